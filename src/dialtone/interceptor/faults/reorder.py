"""Requests that arrive in another order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, Waiting, mechanism


@mechanism("reorder")
@dataclass(frozen=True, slots=True)
class Reorder(Mechanism):
    """Holds each first of two requests until the second has been answered; one that stays alone waits no longer."""

    wait: Annotated[float, Bounds(0, 300)] = 2.0
    """Seconds that the first waits for a second at most."""
    held: list[Waiting] = field(default_factory=list, init=False, repr=False, compare=False)

    async def request(self, act: Act) -> bytes | None:
        """The odd ones wait."""
        if act.number % 2:
            waiting = Waiting()
            self.held.append(waiting)
            act.fault.waiting.then(waiting.end)
            await waiting.pause(self.wait)
            if waiting in self.held:
                self.held.remove(waiting)
        return None

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """The even ones let the one before them go."""
        async for piece in pieces:
            yield piece
        if not act.number % 2 and self.held:
            self.held.pop(0).end()
