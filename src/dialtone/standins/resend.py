"""Stand-in for Resend: `POST /emails` with an Idempotency-Key, `GET /emails/{id}`, `GET /domains`.

Forms and names of errors: resend/resend-openapi (resend.yaml), resend/resend-python (exceptions.py). The same key with
another body is refused with 409, with the same one answered with the same id.
"""

from __future__ import annotations

import hashlib
import math
import re
from hmac import compare_digest
from typing import Any

from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Request, json_answer

PER_SECOND = 5
_ADDRESS = re.compile(r"(?:[^<>@\r\n]+ )?<?[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+>?")


class Resend(StandIn):
    """One team, one key, one domain."""

    name = "resend"
    routes = Routes()

    def __init__(self, key: str, clock: Clock, *, per_second: float = PER_SECOND) -> None:
        self._key, self._clock, self._rate = key.encode(), clock, per_second
        self._keys: Bounded[tuple[str, str]] = Bounded()
        self._second, self._count = 0, 0.0
        self.mails: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> Answer:
        """JSON with `statusCode`, `name` and `message` for what is wrong."""
        if not request.bearer:
            return _error(401, "missing_api_key", "Missing API key in the authorization header")
        if not compare_digest(request.bearer.encode(), self._key):
            return _error(403, "invalid_api_key", "API key is invalid")
        found = self.routes.find(request.method, request.path)
        if found is None:
            return _error(404, "not_found", "The requested endpoint does not exist")
        now = self._clock.time()
        if math.floor(now) != self._second:
            self._second, self._count = math.floor(now), 0
        self._count += 1
        if self._count > self._rate:
            refused = _error(429, "rate_limit_exceeded", "Too many requests.")
            return Answer(429, refused.body, headers={"retry-after": "1", "ratelimit-remaining": "0"})
        handler, names = found
        return handler(self, request, **names)

    @routes("POST", "/emails")
    def send(self, request: Request) -> Answer:
        """200 with the id."""
        try:
            mail = request.json()
        except ValueError:
            mail = None
        if not isinstance(mail, dict):
            return _error(400, "validation_error", "The request body is not valid JSON")
        for name in ("from", "to", "subject"):
            if not mail.get(name):
                return _error(422, "missing_required_field", f"Missing `{name}` field.")
        if not (mail.get("html") or mail.get("text")):
            return _error(422, "missing_required_field", "Missing `html` or `text` field.")
        to = mail["to"] if isinstance(mail["to"], list) else [mail["to"]]
        if len(to) > 50 or not all(isinstance(a, str) and _ADDRESS.fullmatch(a) for a in [*to, mail["from"]]):
            return _error(422, "validation_error", "Invalid `to` or `from` field.")
        key = request.headers.get("idempotency-key", "")
        if len(key) > 256:
            return _error(400, "invalid_idempotency_key", "The key must be between 1-256 chars.")
        digest = hashlib.sha256(request.raw).hexdigest()
        known = self._keys.get(key) if key else None
        if known:
            if known[0] != digest:
                return _error(409, "invalid_idempotent_request", "Same key used with a different request payload.")
            return json_answer(200, {"id": known[1]})
        number = f"{len(self.mails) + 1:08d}-0000-4000-8000-000000000000"
        self.mails[number] = mail
        if key:
            self._keys[key] = (digest, number)
        return json_answer(200, {"id": number})

    @routes("GET", "/emails/{number}")
    def read(self, _request: Request, number: str) -> Answer:
        """One mail."""
        mail = self.mails.get(number)
        if mail is None:
            return _error(404, "not_found", "Email not found")
        return json_answer(200, {"object": "email", "id": number, **mail, "last_event": "delivered"})

    @routes("GET", "/domains")
    def domains(self, _request: Request) -> Answer:
        """The one domain."""
        return json_answer(200, {"data": [{"id": "d1", "name": "example.com", "status": "verified"}]})

    def caller(self, request: Request) -> Caller:
        """Whoever has the key is the application."""
        known = request.bearer is not None and compare_digest(request.bearer.encode(), self._key)
        return Caller("unknown", "application") if known else STRANGER


def _error(status: int, name: str, message: str) -> Answer:
    return json_answer(status, {"statusCode": status, "name": name, "message": message})
