"""Retell: `x-retell-signature: v=<ms>,d=<hex>`, HMAC-SHA256 with the API key over the body and the milliseconds.

Source: retell-python-sdk, `retell/lib/webhook_auth.py` (five minutes both ways).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets


class Retell:
    """Retell's scheme."""

    stale_after = 300.0

    def sign(self, body: bytes, *, key: str, at: float, event_id: str) -> dict[str, str]:
        """The `x-retell-signature` header."""
        moment = str(int(at * 1000))
        digest = hmac.new(key.encode(), body + moment.encode(), hashlib.sha256).hexdigest()
        return {"x-retell-signature": f"v={moment},d={digest}"}

    def other_key(self, key: str) -> str:
        """Another API key."""
        return "key_" + secrets.token_hex(14)
