"""Schemes by configuration, before the examples that providers publish and verifiers written from their documents."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialtone.signing import SCHEMES, configured
from dialtone.signing.configured import Hmac
from dialtone.verdict import Unarmed

# Neither a busy machine nor a first import is a finding.
steady = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
GITHUB: dict[str, Any] = {"header": "X-Hub-Signature-256", "value": "sha256={digest}"}
SLACK: dict[str, Any] = {
    "header": "X-Slack-Signature",
    "value": "v0={digest}",
    "message": "v0:{timestamp}:{body}",
    "timestamp_header": "X-Slack-Request-Timestamp",
}
SHOPIFY: dict[str, Any] = {"header": "X-Shopify-Hmac-Sha256", "encoding": "base64"}
VERCEL: dict[str, Any] = {"header": "x-vercel-signature", "digest": "sha1"}
TWILIO: dict[str, Any] = {
    "header": "X-Twilio-Signature",
    "digest": "sha1",
    "encoding": "base64",
    "message": "https://mycompany.com/myapp.php?foo=1&bar=2{form}",
}


def test_github_example() -> None:
    """The example of GitHub's documentation."""
    headers = configured(**GITHUB).sign(b"Hello, World!", key="It's a Secret to Everybody", at=0, event_id="")
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert headers == {"X-Hub-Signature-256": f"sha256={digest}"}


def test_slack_example() -> None:
    """The example of Slack's documentation."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = configured(**SLACK).sign(body, key="8f742231b10e8888abcd99yyyzzz85a5", at=1531420618.7, event_id="")
    assert headers == {
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "X-Slack-Request-Timestamp": "1531420618",
    }


def test_twilio_example() -> None:
    """The example of Twilio's libraries: URL, then names and values of the form, sorted."""
    body = b"Digits=1234&To=%2B18005551212&From=%2B12349013030&Caller=%2B12349013030&CallSid=CA1234567890ABCDE"
    headers = configured(**TWILIO).sign(body, key="12345", at=0, event_id="")
    assert headers == {"X-Twilio-Signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ="}


@steady
@given(st.binary(max_size=300), st.text(min_size=1, max_size=40))
def test_any_bytes_with_any_key(body: bytes, key: str) -> None:
    """A body is signed as the bytes it is; the digest is that of the documents' formula."""
    key = key.encode("utf-8", "replace").decode()
    made = hmac.new(key.encode(), body, hashlib.sha256).digest()
    headers = configured(**SHOPIFY).sign(body, key=key, at=0, event_id="")
    assert headers == {"X-Shopify-Hmac-Sha256": base64.b64encode(made).decode()}
    made = hmac.new(key.encode(), body, hashlib.sha1).digest()
    assert configured(**VERCEL).sign(body, key=key, at=0, event_id="") == {"x-vercel-signature": made.hex()}


@pytest.mark.parametrize(
    "options", [GITHUB, SLACK, SHOPIFY, VERCEL, TWILIO], ids=["github", "slack", "shopify", "vercel", "twilio"]
)
@steady
@given(body=st.binary(min_size=1, max_size=60), at=st.integers(0, 59), flip=st.integers(1, 255))
def test_flipped_byte_changes_the_signature(options: dict[str, Any], body: bytes, at: int, flip: int) -> None:
    """Another body has another signature, as long as it is another form."""
    scheme, other = configured(**options), bytearray(body)
    other[at % len(body)] ^= flip
    first, second = (scheme.sign(b, key="k", at=0, event_id="") for b in (body, bytes(other)))
    assert first != second or "{form}" in options.get("message", "")


def test_key_encodings() -> None:
    """A prefix is taken off, and the rest read as the scheme says; base64 may lack its padding."""
    made = [
        configured(header="h", key_prefix="p_", key_encoding=form).sign(b"x", key=key, at=0, event_id="")
        for form, key in (("text", "p_abcd"), ("hex", "p_61626364"), ("base64", "p_YWJjZA=="), ("base64", "YWJjZA"))
    ]
    assert len({m["h"] for m in made}) == 1


@pytest.mark.parametrize(("form", "key"), [("hex", "p_xyz"), ("base64", "p_%%%"), ("text", "p_"), ("base64", "p_a")])
def test_wrong_key(form: str, key: str) -> None:
    """What is wrong with a key is said without quoting it."""
    scheme = configured(header="h", key_prefix="p_", key_encoding=form)
    with pytest.raises(ValueError, match=r"the signing key is (not|empty)") as raised:
        scheme.sign(b"", key=key, at=0, event_id="")
    assert key not in str(raised.value)


def test_other_keys_keep_their_form() -> None:
    """The beginning that receivers look at, and an encoding that they can read."""
    assert configured(header="h").other_key("whsec_abc").startswith("whsec_")
    assert len(bytes.fromhex(configured(header="h", key_encoding="hex").other_key("00"))) == 32
    prefixed = configured(header="h", key_encoding="base64", key_prefix="whsec_").other_key("whsec_AAAA")
    assert len(base64.b64decode(prefixed.removeprefix("whsec_"), validate=True)) == 32


def test_the_address_is_signed_as_well() -> None:
    """Twilio's example with the address that a delivery is sent to; Square's formula, address and bytes."""
    body = b"Digits=1234&To=%2B18005551212&From=%2B12349013030&Caller=%2B12349013030&CallSid=CA1234567890ABCDE"
    twilio = configured(**{**TWILIO, "message": "{url}{form}"})
    address = "https://mycompany.com/myapp.php?foo=1&bar=2"
    headers = twilio.sign(body, key="12345", at=0, event_id="", url=address)
    assert headers == {"X-Twilio-Signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ="}
    square = configured(header="h", message="{url}{body}", encoding="base64")
    made = hmac.new(b"k", b"https://a.example/hook{}", hashlib.sha256).digest()
    assert square.sign(b"{}", key="k", at=0, event_id="", url="https://a.example/hook") == {
        "h": base64.b64encode(made).decode()
    }
    assert (twilio.signs, square.signs) == ({"url", "form"}, {"url", "body"})


def test_a_secret_that_is_just_shown() -> None:
    """GitLab's and Telegram's scheme: the same for any body, and nothing of the delivery is signed."""
    gitlab = configured(header="X-Gitlab-Token", value="{key}")
    assert gitlab.sign(b"a", key="s3cret", at=0, event_id="") == {"X-Gitlab-Token": "s3cret"}
    assert gitlab.signs == frozenset()
    assert gitlab.stale_after == math.inf
    assert gitlab.other_key("s3cret") != "s3cret"


def test_scheme_without_time() -> None:
    """A scheme that signs no time can send no old event: that check is not armed, and says why."""
    scheme = configured(**GITHUB)
    assert scheme.stale_after == math.inf
    with pytest.raises(Unarmed, match="signs no time"):
        scheme.sign(b"", key="k", at=-math.inf, event_id="")
    assert configured(**SLACK, stale_after=60).stale_after == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the option header is missing"),
        ({"header": "h", "heather": "x"}, "no option heather; there are digest, "),
        ({"header": 1}, "header is to be a text"),
        ({"header": "h", "stale_after": "5"}, "stale_after is to be a number"),
        ({"header": "h", "digest": "md5"}, "digest is one of sha1, sha256"),
        ({"header": "h", "message": "{body}{key}"}, "message knows body, form, id, timestamp, url, not key"),
        ({"header": "h", "value": "{body}"}, "value knows digest, id, key, timestamp, not body"),
        ({"header": "h", "value": "v1"}, "value needs either {digest} or {key}"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    """A wrong option is named with what is right."""
    with pytest.raises(ValueError, match="signing scheme: ") as raised:
        configured(**options)
    assert message in str(raised.value)


def test_built_in_schemes_are_options_too() -> None:
    """Of the built-in schemes, all but the one with another kind of signature could stand in a profile."""
    assert [name for name, scheme in SCHEMES.items() if not isinstance(scheme, Hmac)] == ["telnyx"]
