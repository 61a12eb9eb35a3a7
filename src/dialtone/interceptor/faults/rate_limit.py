"""429, with and without a word on when to come back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Annotated, Literal

from dialtone.interceptor.edit import response
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism


@mechanism("rate-limit")
@dataclass(frozen=True, slots=True)
class RateLimit(Mechanism):
    """Answers 429; Retry-After in one of the forms of RFC 9110 section 10.2.3, or wrong, or not at all."""

    retry_after: Annotated[float, Bounds(0, 86_400)] = 1.0
    """Seconds."""
    form: Literal["none", "seconds", "date", "past", "words"] = "seconds"
    """past: a date that is over; words: `soon`."""
    body: str = '{"error":{"code":"rate_limited","message":"Too many requests"}}'

    async def request(self, act: Act) -> bytes | None:
        """The answer."""
        told = {
            "seconds": f"{self.retry_after:.0f}",
            "date": formatdate(time.time() + self.retry_after, usegmt=True),
            "past": formatdate(time.time() - 3600, usegmt=True),
            "words": "soon",
        }.get(self.form)
        return response(429, self.body.encode(), "application/json", {"retry-after": told} if told else {})
