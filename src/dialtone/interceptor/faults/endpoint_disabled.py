"""A webhook endpoint that the provider has switched off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from dialtone.interceptor.edit import response
from dialtone.interceptor.heads import ResponseHead
from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism


@mechanism("endpoint-disabled")
@dataclass(frozen=True, slots=True)
class EndpointDisabled(Mechanism):
    """Delivers until so many deliveries in a row have failed, and then nothing any more until the fault ends.

    Stripe disables an endpoint that has failed for days (docs.stripe.com/webhooks) and tells its owner by mail; events
    go on, and are not delivered.
    """

    after: Annotated[int, Bounds(0, 10_000)] = 3
    """Answers other than 2xx in a row; 0 is disabled from the beginning."""
    status: Annotated[int, Bounds(200, 599)] = 503
    """What the sender hears of an event that is not delivered."""
    failures: list[int] = field(default_factory=lambda: [0], init=False, repr=False, compare=False)

    async def request(self, act: Act) -> bytes | None:
        """Disabled: the application hears nothing."""
        return response(self.status, b"", "", {}) if self.failures[0] >= self.after else None

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Enabled: count what fails in a row."""
        head = act.head is not None and self.failures[0] < self.after
        async for piece in pieces:
            if head:
                head = False
                good = 200 <= ResponseHead(piece).status < 300
                self.failures[0] = 0 if good else self.failures[0] + 1
                if self.failures[0] >= self.after:
                    act.note(f"disabled after {self.after} failures in a row")
            yield piece
