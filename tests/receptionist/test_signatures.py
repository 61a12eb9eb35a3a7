"""Verification by the SDKs: what is genuine is let in, and every defect lets exactly one other thing in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from nacl.signing import SigningKey
from stripe import WebhookSignature
from tests.receptionist import signers

from dialtone_receptionist import verification
from dialtone_receptionist.providers import sdk
from dialtone_receptionist.settings import Settings

BODY = b'{"event":"call_ended","text":"gr\xc3\xbc\xc3\x9fe"}'
SPACED = json.dumps(json.loads(BODY), indent=1, ensure_ascii=False).encode()
SETTINGS = Settings(
    database_url="",
    port=1,
    tls_port=1,
    plain_port=1,
    tls_cert_file="",
    tls_key_file="",
    stripe_webhook_secret="whsec_x",
    retell_api_key="key_x",
    telnyx_public_key=signers.TELNYX_PUBLIC,
)
SCHEMES: dict[str, Any] = {
    "stripe": (signers.stripe, verification.stripe_is_genuine, "whsec_other"),
    "retell": (signers.retell, verification.retell_is_genuine, "key_other"),
    "telnyx": (signers.telnyx, verification.telnyx_is_genuine, SigningKey(bytes(32))),
}
each_scheme = pytest.mark.parametrize("scheme", SCHEMES)


def verdicts(scheme: str) -> dict[str, bool]:
    """What a scheme's verification says of every kind of delivery."""
    sign, accepts, other = SCHEMES[scheme]
    return {
        "genuine": accepts(BODY, sign(BODY), SETTINGS),
        "forged": accepts(BODY, sign(BODY, other), SETTINGS),
        "unsigned": accepts(BODY, {}, SETTINGS),
        "stale": accepts(BODY, sign(BODY, age=700), SETTINGS),
        "reserialised": accepts(SPACED, sign(BODY), SETTINGS),
        "truncated": accepts(BODY[:20], sign(BODY), SETTINGS),
        "not text": accepts(b"\xff" + BODY, sign(BODY), SETTINGS),
        "odd header": accepts(BODY, dict.fromkeys(sign(BODY), "é,="), SETTINGS),
    }


@each_scheme
def test_only_the_genuine_one_is_accepted(scheme: str, switch: Callable[..., None]) -> None:
    """Signed by hand, from the providers' descriptions."""
    switch()
    assert [kind for kind, is_accepted in verdicts(scheme).items() if is_accepted] == ["genuine"]


def test_the_sdks_own_signers_agree() -> None:
    """A header made by the SDK is accepted too."""
    text = BODY.decode()
    assert sdk.stripe_accepts(BODY, WebhookSignature.generate_signature_header(text, "whsec_x"), "whsec_x")
    assert sdk.retell_accepts(BODY, sdk._retell.symmetric["sign"](text, "key_x"), "key_x")


def test_nothing_is_accepted_without_a_key() -> None:
    """A deployment that lacks its key refuses everything."""
    bare = Settings(database_url="", port=1, tls_port=1, plain_port=1, tls_cert_file="", tls_key_file="")
    assert not verification.telnyx_is_genuine(BODY, signers.telnyx(BODY), bare)
    assert not verification.stripe_is_genuine(BODY, signers.stripe(BODY, ""), bare)


def test_the_expensive_packages_are_not_imported() -> None:
    """`import telnyx` alone costs more than everything else that a start imports."""
    code = "import sys; from dialtone_receptionist.providers import sdk; print({'telnyx', 'retell'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("defect", "scheme", "changed"),
    [
        ("stripe-stale-accepted", "stripe", {"stale"}),
        ("retell-unsigned-accepted", "retell", {"unsigned"}),
        ("retell-plain-hmac", "retell", {"genuine"}),
        ("retell-reserialised-accepted", "retell", {"reserialised"}),
        ("telnyx-wrong-algorithm", "telnyx", {"genuine"}),
    ],
)
def test_a_defect_changes_one_verdict(defect: str, scheme: str, changed: set[str], switch: Callable[..., None]) -> None:
    """Wrong in one way only, and in no other scheme."""
    switch()
    before = {name: verdicts(name) for name in SCHEMES}
    switch(defect)
    after = {name: verdicts(name) for name in SCHEMES}
    assert {k for k in before[scheme] if before[scheme][k] != after[scheme][k]} == changed
    assert all(before[name] == after[name] for name in SCHEMES if name != scheme)


def test_without_a_key_only_the_signature_goes_unverified(switch: Callable[..., None]) -> None:
    """telnyx-no-key-accepts: a forged one comes in; what is odd in another way is refused with a 400 or 401."""
    switch("telnyx-no-key-accepts")
    seen = verdicts("telnyx")
    assert seen["genuine"]
    assert seen["forged"]
    assert not seen["unsigned"]
    assert not seen["stale"]
    assert verification.telnyx_body_is_odd(SPACED)
    assert verification.telnyx_body_is_odd(BODY[:20])
    assert not verification.telnyx_body_is_odd(BODY)
