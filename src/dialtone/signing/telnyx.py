"""Telnyx: `telnyx-timestamp: <seconds>` and `telnyx-signature-ed25519: <base64>` over the time, a pipe and the body.

Source: https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks and telnyx-python,
`telnyx/lib/webhook_verification.py`; 300 s both ways. Telnyx signs with a key that nobody else has, so only a target
whose public key is ours (the sandbox) can be sent such an event.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math

from dialtone.verdict import Unarmed


class Ed25519:
    """The scheme; its key is base64 of the 32 bytes of an Ed25519 seed (RFC 8032 section 5.1.5)."""

    stale_after = 300.0
    signs = frozenset({"body", "timestamp"})

    def sign(self, body: bytes, *, key: str, at: float, event_id: str, url: str = "") -> dict[str, str]:
        """The headers that sign `body`. Raises ValueError for a key that is no seed, Unarmed without PyNaCl."""
        try:
            from nacl.signing import SigningKey
        except ImportError:
            raise Unarmed("Ed25519 signatures need PyNaCl: pip install 'pytest-dialtone[signing]'") from None
        stamp = str(math.floor(at))
        made = SigningKey(_seed(key)).sign(f"{stamp}|".encode() + body).signature
        return {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": base64.b64encode(made).decode()}

    def other_key(self, key: str) -> str:
        """Another seed."""
        return base64.b64encode(hashlib.sha256(b"not " + _seed(key)).digest()).decode()


def _seed(key: str) -> bytes:
    try:
        seed = base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        seed = b""
    if len(seed) != 32:
        raise ValueError("the signing key is not base64 of the 32 bytes of an Ed25519 seed")
    return seed


SCHEME = Ed25519()
