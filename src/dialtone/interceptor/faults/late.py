"""A request that is accepted now and delivered later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from dialtone.interceptor.edit import response
from dialtone.interceptor.heads import ResponseHead
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, mechanism

SCHEDULES: Mapping[str, tuple[float, ...]] = {
    # Retell: up to 3 retries of an answer that is no 2xx (docs.retellai.com/features/webhook); intervals unsourced.
    "retell": (0, 10, 20, 40),
    # Telnyx messaging: up to 3 attempts for each URL (developers.telnyx.com, receiving-webhooks); intervals unsourced.
    "telnyx": (0, 2, 4),
    # Stripe live: exponential for up to 3 days; the intervals are not published, these double up to 12 hours.
    "stripe": (0, 60, 300, 1800, 7200, 18_000, 36_000, *[43_200] * 3),
    "once": (0,),
}
"""Seconds before each attempt, counted from the one before."""


@mechanism("late")
@dataclass(frozen=True, slots=True)
class Late(Mechanism):
    """Answers the sender 200 at once and delivers by itself: late, and again by the provider's schedule until a 2xx.

    The signature is the one that the sender made: delivered after its window it is stale, as a replay is. Deliveries
    that are still due when the fault ends are made at once: the burst after an outage.
    """

    seconds: Annotated[float, Bounds(0, 4 * 3600)] = 0.0
    """Before the first attempt."""
    schedule: Literal["once", "retell", "telnyx", "stripe"] = "once"
    compress: Annotated[float, Bounds(1, 1_000_000)] = 1.0
    """How many seconds of the schedule pass in one."""
    burst: bool = True
    """Whether what is due is delivered when the fault ends; else it is lost."""

    whole_request = True

    async def request(self, act: Act) -> bytes | None:
        """Take it."""
        act.beside(self._deliver(act))
        return response(200, b"", "", {})

    async def _deliver(self, act: Act) -> None:
        await act.pause(self.seconds / self.compress)
        for wait in SCHEDULES[self.schedule]:
            await act.pause(wait / self.compress)
            if act.resend is None or (act.ended and not self.burst):
                return
            try:
                status = 0
                async for piece in act.resend():
                    status = status or ResponseHead(piece).status
            except (TimeoutError, OSError):
                status = 0
            act.note(f"delivered, answered {status or 'nothing'}")
            if 200 <= status < 300 or act.ended:
                return
