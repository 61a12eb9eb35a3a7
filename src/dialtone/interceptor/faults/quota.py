"""A quota that is used up, and filled again."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated

from dialtone.interceptor.edit import response
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism

MOST = 1_000
"""Callers that are counted apart at most; the one that began first is forgotten first."""


@mechanism("quota")
@dataclass(frozen=True, slots=True)
class Quota(Mechanism):
    """Lets so many requests of a window through and refuses the rest until the window is over.

    A window begins with its first request. One that never ends is `match.after`.
    """

    most: Annotated[int, Bounds(0, 10**9)] = 100
    window: Annotated[float, Bounds(0.01, 86_400)] = 60.0
    """Seconds."""
    per: str = ""
    """A header whose values are counted apart: a key, a tenant, a region."""
    status: Annotated[int, Bounds(400, 599)] = 429
    body: str = '{"error":{"code":"quota_exceeded","message":"Quota exceeded"}}'
    retry_after: bool = True
    """Whether the refusal says when the window is over (RFC 9110 section 10.2.3, whole seconds)."""
    windows: OrderedDict[bytes, list[float]] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)

    async def request(self, act: Act) -> bytes | None:
        """Count, and refuse."""
        caller = (act.head.get(self.per.lower().encode("latin-1", "replace")) or b"") if self.per and act.head else b""
        now, window = act.clock(), self.windows.get(caller)
        if window is None or now - window[0] >= self.window:
            window = self.windows[caller] = [now, 0]
            self.windows.move_to_end(caller)
            while len(self.windows) > MOST:
                self.windows.popitem(last=False)
        window[1] += 1
        if window[1] <= self.most:
            return None
        left = str(math.ceil(window[0] + self.window - now))
        return response(
            self.status, self.body.encode(), "application/json", {"retry-after": left} if self.retry_after else {}
        )
