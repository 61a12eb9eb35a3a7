"""Telnyx: `telnyx-timestamp` (s) and `telnyx-signature-ed25519` (base64), Ed25519 over `<ts>|<body>`.

The key is the base64 of the 32-byte seed of a private key. Source: telnyx-python, `lib/webhook_verification.py`
(five minutes both ways).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any

from dialtone.verdict import Unarmed


class Telnyx:
    """Telnyx' scheme."""

    stale_after = 300.0

    def sign(self, body: bytes, *, key: str, at: float, event_id: str) -> dict[str, str]:
        """The two headers."""
        moment = str(int(at))
        signed = _key(key).sign(f"{moment}|".encode() + body).signature
        return {"telnyx-timestamp": moment, "telnyx-signature-ed25519": base64.b64encode(signed).decode()}

    def other_key(self, key: str) -> str:
        """The seed of another key."""
        return base64.b64encode(secrets.token_bytes(32)).decode()


def _key(key: str) -> Any:
    try:
        from nacl.signing import SigningKey
    except ImportError:
        raise Unarmed("Ed25519 needs PyNaCl: pip install 'pytest-dialtone[signing]'") from None
    try:
        return SigningKey(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("the Telnyx signing key is not the base64 of 32 bytes") from None
