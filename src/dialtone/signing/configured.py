"""HMAC schemes by configuration: whatever signs with a shared secret is a few options, not a program.

The options are what a profile says of a webhook. GitHub, for instance
(https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries):

    scheme = { header = "X-Hub-Signature-256", value = "sha256={digest}" }

and Slack (https://docs.slack.dev/authentication/verifying-requests-from-slack):

    scheme = { header = "X-Slack-Signature", value = "v0={digest}", message = "v0:{timestamp}:{body}",
               timestamp_header = "X-Slack-Request-Timestamp" }

and Twilio (https://www.twilio.com/docs/usage/security#validating-requests):

    scheme = { header = "X-Twilio-Signature", message = "{url}{form}", digest = "sha1", encoding = "base64" }

A shared secret that is just shown is one as well, as GitLab
(https://docs.gitlab.com/user/project/integrations/webhooks/#validate-payloads-by-using-a-secret-token) and Telegram
(https://core.telegram.org/bots/api#setwebhook) do it:

    scheme = { header = "X-Gitlab-Token", value = "{key}" }
    scheme = { header = "X-Telegram-Bot-Api-Secret-Token", value = "{key}" }
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

from dialtone.signing.scheme import Scheme
from dialtone.verdict import Unarmed

Digest = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]
Unit = Literal["s", "ms"]
KeyEncoding = Literal["text", "base64", "hex"]

_PLACE = re.compile(r"\{(\w*)\}")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "digest": get_args(Digest),
    "encoding": get_args(Encoding),
    "timestamp_unit": get_args(Unit),
    "key_encoding": get_args(KeyEncoding),
}
_MESSAGE = {"body", "timestamp", "id", "form", "url"}
_VALUE = {"digest", "timestamp", "id", "key"}


@dataclass(frozen=True, slots=True)
class Hmac:
    """A scheme of a shared secret. Each field is an option of a profile.

    `message` is what is signed: `{body}`, `{timestamp}`, `{id}`, `{url}` (where it is sent) and `{form}` (names and
    values of a form body, sorted and run together, as Twilio signs them) are filled in. `value` is what the header
    says: `{digest}`, `{timestamp}` and `{id}`, or `{key}`, the secret itself. `key_prefix` is taken off the key that
    signs, the rest is text, base64 or hex, as `key_encoding` says. A signature may be `stale_after` seconds old.
    """

    header: str
    value: str = "{digest}"
    message: str = "{body}"
    digest: Digest = "sha256"
    encoding: Encoding = "hex"
    timestamp_unit: Unit = "s"
    timestamp_header: str | None = None
    id_header: str | None = None
    key_prefix: str = ""
    key_encoding: KeyEncoding = "text"
    stale_after: float = 300.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"signing scheme: {name} is one of {', '.join(choices)}")
        for name, known in (("message", _MESSAGE), ("value", _VALUE)):
            unknown = set(_PLACE.findall(getattr(self, name))) - known
            if unknown:
                raise ValueError(f"signing scheme: {name} knows {_list(known)}, not {_list(unknown)}")
        if ("{digest}" in self.value) == ("{key}" in self.value):
            raise ValueError("signing scheme: value needs either {digest} or {key}")
        if not self._timed:
            object.__setattr__(self, "stale_after", math.inf)

    @property
    def signs(self) -> frozenset[str]:
        """The places of `message`; nothing where the key is just shown."""
        return frozenset(_PLACE.findall(self.message) if "{digest}" in self.value else ())

    @property
    def _timed(self) -> bool:
        return "timestamp" in self.signs

    def sign(self, body: bytes, *, key: str, at: float, event_id: str, url: str = "") -> dict[str, str]:
        """The headers that sign `body`. Raises ValueError for a key of the wrong form, Unarmed for an infinite age."""
        if not math.isfinite(at):
            raise Unarmed("the signing scheme signs no time: an old event cannot be told from a new one")
        stamp = str(math.floor(at * 1000 if self.timestamp_unit == "ms" else at))
        places = {"timestamp": stamp.encode, "id": event_id.encode, "body": lambda: body,
                  "form": lambda: _form(body), "url": url.encode}  # fmt: skip
        made = hmac.new(self._secret(key), _fill(self.message, places), self.digest).digest()
        text = base64.b64encode(made).decode() if self.encoding == "base64" else made.hex()
        said = {"digest": text.encode, "timestamp": stamp.encode, "id": event_id.encode, "key": key.encode}
        headers = {self.header: _fill(self.value, said).decode()}
        if self.timestamp_header:
            headers[self.timestamp_header] = stamp
        if self.id_header:
            headers[self.id_header] = event_id
        return headers

    def other_key(self, key: str) -> str:
        """A key of the same form that is not this one."""
        made = hashlib.sha256(b"not " + key.encode()).digest()
        rest = base64.b64encode(made).decode() if self.key_encoding == "base64" else made.hex()
        # Receivers may look at the beginning of a key (whsec_, key_), so a text keeps what stands before its last "_".
        prefix = self.key_prefix or (key[: key.rfind("_") + 1] if self.key_encoding == "text" else "")
        return prefix + rest

    def _secret(self, key: str) -> bytes:
        rest = key.removeprefix(self.key_prefix)
        if not rest:
            raise ValueError("the signing key is empty")
        try:
            if self.key_encoding == "base64":
                return base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True)
            return bytes.fromhex(rest) if self.key_encoding == "hex" else rest.encode()
        except (ValueError, binascii.Error):
            raise ValueError(f"the signing key is not {self.key_encoding}") from None


def configured(**options: Any) -> Scheme:
    """An HMAC scheme from a profile's options; see `Hmac`. Raises ValueError that names the wrong one."""
    known = {f.name: f for f in fields(Hmac)}
    unknown = set(options) - set(known)
    if unknown:
        raise ValueError(f"signing scheme: no option {_list(unknown)}; there are {_list(set(known))}")
    if "header" not in options:
        raise ValueError("signing scheme: the option header is missing")
    for name, value in options.items():
        wanted = (int, float) if name == "stale_after" else str
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(  # noqa: TRY004 - a wrong value in a profile, not a wrong call
                f"signing scheme: {name} is to be {'a number' if name == 'stale_after' else 'a text'}"
            )
    return Hmac(**options)


def _fill(template: str, places: Mapping[str, Callable[[], bytes]]) -> bytes:
    """The template as bytes: a body is not text to be decoded, it is signed as it is."""
    parts = _PLACE.split(template)
    return b"".join(places[part]() if i % 2 else part.encode() for i, part in enumerate(parts))


def _form(body: bytes) -> bytes:
    """https://www.twilio.com/docs/usage/security#validating-requests: sorted by name, then by value."""
    pairs = parse_qsl(body.decode("utf-8", "surrogateescape"), keep_blank_values=True)
    return "".join(name + value for name, value in sorted(set(pairs))).encode("utf-8", "surrogateescape")


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
