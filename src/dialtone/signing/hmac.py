"""A plain HMAC scheme by options, for providers without a file of their own.

GitHub: `{header = "x-hub-signature-256", value = "sha256={digest}"}`. Slack: `{header = "x-slack-signature", value =
"v0={digest}", message = "v0:{timestamp}:{body}", timestamp_header = "x-slack-request-timestamp"}`. Shopify: `{header =
"x-shopify-hmac-sha256", encoding = "base64"}`. Vercel: `{header = "x-vercel-signature", digest = "sha1"}`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Hmac:
    """Options: where the digest stands, how it is written, and what is signed.

    `value` may hold `{digest}` and `{timestamp}`; `message` holds `{body}` and may hold `{timestamp}` and `{id}`.
    `key_encoding` says how the secret is written, `key_prefix` what stands before it.
    """

    header: str
    value: str = "{digest}"
    message: str = "{body}"
    digest: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: str | None = None
    timestamp_unit: Literal["s", "ms"] = "s"
    id_header: str | None = None
    key_encoding: Literal["text", "base64", "hex"] = "text"
    key_prefix: str = ""
    stale_after: float = 300.0

    def sign(self, body: bytes, *, key: str, at: float, event_id: str) -> dict[str, str]:
        """The headers."""
        moment = str(int(at * 1000) if self.timestamp_unit == "ms" else int(at))
        before, _, after = self.message.partition("{body}")
        fill = {"timestamp": moment, "id": event_id}
        said = before.format(**fill).encode() + body + after.format(**fill).encode()
        made = hmac.new(self._secret(key), said, getattr(hashlib, self.digest)).digest()
        text = made.hex() if self.encoding == "hex" else base64.b64encode(made).decode()
        headers = {self.header: self.value.format(digest=text, timestamp=moment)}
        if self.timestamp_header:
            headers[self.timestamp_header] = moment
        if self.id_header:
            headers[self.id_header] = event_id
        return headers

    def _secret(self, key: str) -> bytes:
        bare = key.removeprefix(self.key_prefix)
        if self.key_encoding == "base64":
            return base64.b64decode(bare)
        return bytes.fromhex(bare) if self.key_encoding == "hex" else bare.encode()

    def other_key(self, key: str) -> str:
        """Another secret of the same form."""
        raw = secrets.token_bytes(24)
        if self.key_encoding == "base64":
            return self.key_prefix + base64.b64encode(raw).decode()
        return self.key_prefix + raw.hex()
