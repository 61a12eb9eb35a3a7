"""Stripe: `Stripe-Signature: t=<s>,v1=<hex>`, HMAC-SHA256 with the whole secret over `<t>.<body>`.

Source: stripe-python, `stripe/_webhook.py` (tolerance 300 s, into the past only).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets


class Stripe:
    """Stripe's scheme."""

    stale_after = 300.0

    def sign(self, body: bytes, *, key: str, at: float, event_id: str) -> dict[str, str]:
        """The `stripe-signature` header."""
        digest = hmac.new(key.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={int(at)},v1={digest}"}

    def other_key(self, key: str) -> str:
        """Another endpoint secret."""
        return "whsec_" + secrets.token_hex(16)
