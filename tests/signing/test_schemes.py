"""The built-in schemes, each before the provider's own verifier."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey
from tests.signing import witnesses

from dialtone.signing import SCHEMES, scheme
from dialtone.verdict import Unarmed

# Neither a busy machine nor a first import is a finding.
steady = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_SEED = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True)
class Case:
    """A scheme with a key and its provider's verifier; `shared` is the verifier's side of the key."""

    name: str
    key: str
    accepts: Callable[[bytes, Mapping[str, str], str], bool]

    def shared(self, key: str | None = None) -> str:
        """What the receiver holds for a key: the public half of Telnyx', else the same."""
        key = key or self.key
        if self.name != "telnyx":
            return key
        return base64.b64encode(bytes(SigningKey(base64.b64decode(key)).verify_key)).decode()


CASES = [
    Case("stripe", "whsec_" + "a1" * 20, witnesses.stripe_accepts),
    Case("retell", "key_" + "0f" * 16, witnesses.retell_accepts),
    Case("telnyx", _SEED, witnesses.telnyx_accepts),
    Case("standard-webhooks", "whsec_" + base64.b64encode(bytes(24)).decode(), witnesses.standard_accepts),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
_BODY = '{"id":"evt_1","name":"Zoë"}'.encode()


def _sign(case: Case, body: bytes = _BODY, *, key: str | None = None, age: float = 0.0) -> dict[str, str]:
    return scheme(case.name).sign(body, key=key or case.key, at=time.time() - age, event_id="evt_1")


def test_every_scheme_has_a_witness() -> None:
    """A scheme that nobody else verified is not finished."""
    assert {case.name for case in CASES} == set(SCHEMES)


@every_case
@steady
@given(text=st.text(max_size=200))
def test_provider_accepts(case: Case, text: str) -> None:
    """Whatever the body, the provider's SDK takes the signature for its own."""
    body = text.encode("utf-8", "replace")
    assert case.accepts(body, _sign(case, body), case.shared())


@every_case
def test_window(case: Case) -> None:
    """A signature is taken just before `stale_after`, and refused after it."""
    limit = scheme(case.name).stale_after
    assert case.accepts(_BODY, _sign(case, age=limit - 5), case.shared())
    assert not case.accepts(_BODY, _sign(case, age=limit + 5), case.shared())


@every_case
def test_other_key(case: Case) -> None:
    """The other key is of the right form, always the same, and refused."""
    other = scheme(case.name).other_key(case.key)
    assert other == scheme(case.name).other_key(case.key) != case.key
    headers = _sign(case, key=other)
    assert case.accepts(_BODY, headers, case.shared(other))
    assert not case.accepts(_BODY, headers, case.shared())


@every_case
@steady
@given(at=st.integers(0, len(_BODY) - 1), flip=st.integers(1, 127))
def test_flipped_byte_of_the_body(case: Case, at: int, flip: int) -> None:
    """Any other byte in the body is refused."""
    body = bytearray(_BODY)
    body[at] ^= flip
    try:
        bytes(body).decode()
    except UnicodeDecodeError:
        return  # a receiver cannot even read it as text
    assert not case.accepts(bytes(body), _sign(case), case.shared())


@every_case
@steady
@given(data=st.data())
def test_flipped_byte_of_a_header(case: Case, data: st.DataObject) -> None:
    """Any other character in what a header says of time or signature is refused."""
    headers = _sign(case)
    name = data.draw(st.sampled_from(sorted(headers)))
    at = data.draw(st.integers(0, len(headers[name]) - 1))
    other = data.draw(st.sampled_from("0123456789abcdefXYZ+/"))
    old = headers[name]
    headers[name] = old[:at] + other + old[at + 1 :]
    if headers[name] == old or _means_the_same(old, headers[name], at):
        return
    assert not case.accepts(_BODY, headers, case.shared())


def _means_the_same(old: str, new: str, at: int) -> bool:
    """Base64 of 32 or 64 bytes has unused bits in its last character, and lenient readers skip foreign ones."""
    tail = old.rstrip("=")
    return at >= len(tail) - 1 and old.endswith("=")


def test_key_that_is_no_seed() -> None:
    """Telnyx' key is a seed of 32 bytes; the message does not quote what it is instead."""
    for key in ("short", base64.b64encode(bytes(31)).decode(), "ä" * 44):
        with pytest.raises(ValueError, match="not base64 of the 32 bytes") as raised:
            scheme("telnyx").sign(b"", key=key, at=0, event_id="")
        assert key not in str(raised.value)


def test_without_pynacl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing package is named, with the extra that brings it."""
    monkeypatch.setitem(sys.modules, "nacl.signing", None)
    with pytest.raises(Unarmed, match=r"pytest-dialtone\[signing\]"):
        scheme("telnyx").sign(b"", key=_SEED, at=0, event_id="")


def test_unknown_scheme() -> None:
    """The known ones are listed."""
    with pytest.raises(ValueError, match="no signing scheme 'strype'; there are stripe, retell"):
        scheme("strype")
