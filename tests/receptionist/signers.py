"""Signatures made by hand, from the providers' descriptions alone: a second opinion beside the SDKs' own signers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

from nacl.signing import SigningKey

TELNYX_KEY = SigningKey(bytes(range(32)))
TELNYX_PUBLIC = base64.b64encode(bytes(TELNYX_KEY.verify_key)).decode()


def stripe(body: bytes, key: str = "whsec_x", *, age: float = 0) -> dict[str, str]:
    """HMAC-SHA256 with the endpoint's secret over time, dot and body; seconds."""
    moment = int(time.time() - age)
    digest = hmac.new(key.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={moment},v1={digest}"}


def retell(body: bytes, key: str = "key_x", *, age: float = 0) -> dict[str, str]:
    """HMAC-SHA256 with the API key over body and time without a separator; milliseconds."""
    moment = int((time.time() - age) * 1000)
    digest = hmac.new(key.encode(), body + str(moment).encode(), hashlib.sha256).hexdigest()
    return {"x-retell-signature": f"v={moment},d={digest}"}


def telnyx(body: bytes, key: SigningKey = TELNYX_KEY, *, age: float = 0) -> dict[str, str]:
    """Ed25519 over time, pipe and body; seconds."""
    moment = str(int(time.time() - age))
    signature = key.sign(moment.encode() + b"|" + body).signature
    return {"telnyx-timestamp": moment, "telnyx-signature-ed25519": base64.b64encode(signature).decode()}
