"""Stand-in for a receiver of webhooks: takes what is signed as Standard Webhooks says, refuses the rest with 401.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. It reads the signature with
the standard library alone, so that whoever signs is not its own witness.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request, json_answer

STALE = 300.0


class Hook(StandIn):
    """Keeps what came, the same id as often as it came."""

    name = "hook"

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret, self._clock = base64.b64decode(secret.removeprefix("whsec_")), clock
        self.taken: list[tuple[str, Any]] = []

    def answer(self, request: Request) -> Answer:
        """204, or 401 for what is not signed, or not in time."""
        ident, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        signed = hmac.digest(self._secret, f"{ident}.{at}.".encode() + request.raw, hashlib.sha256)
        wanted = f"v1,{base64.b64encode(signed).decode()}"
        given = request.headers.get("webhook-signature", "").split()
        fresh = at.isdigit() and abs(self._clock.time() - int(at)) <= STALE
        if not ident or not fresh or not any(hmac.compare_digest(wanted, one) for one in given):
            return json_answer(401, {"error": "invalid signature"})
        try:
            self.taken.append((ident, request.json()))
        except ValueError:
            return json_answer(400, {"error": "not JSON"})
        return Answer(204)
