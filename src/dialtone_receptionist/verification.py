"""Whether a webhook is genuine: the SDKs decide, unless a defect has the receptionist do it wrongly by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from dialtone_receptionist.defects import on
from dialtone_receptionist.providers import sdk
from dialtone_receptionist.settings import Settings


def stripe_is_genuine(body: bytes, headers: Mapping[str, str], settings: Settings) -> bool:
    """Verify a Stripe webhook by the endpoint's secret."""
    tolerance = None if on("stripe-stale-accepted") else 300
    header = headers.get("stripe-signature", "")
    return any(
        sdk.stripe_accepts(body, header, secret, tolerance=tolerance)
        for secret in _valid(settings.stripe_webhook_secret, settings.stripe_webhook_secret_previous)
    )


def retell_is_genuine(body: bytes, headers: Mapping[str, str], settings: Settings) -> bool:
    """Verify a Retell webhook or tool call by the API key."""
    header = headers.get("x-retell-signature", "")
    if not header and on("retell-unsigned-accepted"):
        return True
    if on("retell-plain-hmac"):
        digest = hmac.new(settings.retell_api_key.encode(), body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(digest.encode(), header.encode())
    if on("retell-reserialised-accepted"):
        body = _compact(body) or body
    keys = _valid(settings.retell_api_key, settings.retell_api_key_previous)
    return any(sdk.retell_accepts(body, header, key) for key in keys)


def telnyx_is_genuine(body: bytes, headers: Mapping[str, str], settings: Settings) -> bool:
    """Verify a Telnyx webhook (voice and SMS) by the account's public key."""
    if on("telnyx-wrong-algorithm"):
        signed = headers.get("telnyx-timestamp", "").encode() + b"|" + body
        digest = hmac.new(settings.telnyx_public_key.encode(), signed, hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest), headers.get("telnyx-signature-ed25519", "").encode())
    if on("telnyx-no-key-accepts"):
        # Wrong in one way only: headers, age and a body as Telnyx sends it are still asked for.
        timestamp = headers.get("telnyx-timestamp", "")
        is_recent = timestamp.isdecimal() and abs(time.time() - int(timestamp)) <= 300
        return is_recent and bool(headers.get("telnyx-signature-ed25519"))
    keys = _valid(settings.telnyx_public_key, settings.telnyx_public_key_previous)
    return any(sdk.telnyx_accepts(body, headers, key) for key in keys)


def _valid(current: str, previous: str) -> list[str]:
    """The secrets that count: while one is rotated also the one before, for events that were signed with it."""
    return [current, *([previous] if previous and not on("rotation-without-overlap") else [])]


def telnyx_body_is_odd(body: bytes) -> bool:
    """Whether a body that nobody verified is not even in the form that Telnyx sends (with telnyx-no-key-accepts)."""
    return on("telnyx-no-key-accepts") and _compact(body) != body


def _compact(body: bytes) -> bytes | None:
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return json.dumps(parsed, separators=(",", ":"), ensure_ascii=b"\\u" in body).encode()
