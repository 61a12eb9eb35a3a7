"""Standard Webhooks (Svix, Resend): `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>`.

HMAC-SHA256 with the base64-decoded secret (after `whsec_`) over `<id>.<ts>.<body>`.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets


class StandardWebhooks:
    """The Standard Webhooks scheme."""

    stale_after = 300.0

    def sign(self, body: bytes, *, key: str, at: float, event_id: str) -> dict[str, str]:
        """The three headers."""
        secret = base64.b64decode(key.removeprefix("whsec_"))
        moment = str(int(at))
        digest = hmac.new(secret, f"{event_id}.{moment}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }

    def other_key(self, key: str) -> str:
        """Another secret."""
        return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
