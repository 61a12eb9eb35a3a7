"""A request that arrives more than once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism


@mechanism("duplicate")
@dataclass(frozen=True, slots=True)
class Duplicate(Mechanism):
    """Delivers the same request again after its answer, or at the same time; the sender sees the first answer.

    Providers deliver webhooks at least once: the same event comes twice, seconds apart or near-simultaneously.
    """

    copies: Annotated[int, Bounds(1, 20)] = 1
    gap: Annotated[float, Bounds(0, 300)] = 0.0
    """Seconds between two deliveries; 0 sends all at once."""

    whole_request = True

    async def request(self, act: Act) -> bytes | None:
        """At once: beside the original."""
        if not self.gap:
            act.beside(self._send(act))
        return None

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """With a gap: after it."""
        async for piece in pieces:
            yield piece
        if self.gap:
            act.beside(self._send(act))

    async def _send(self, act: Act) -> None:
        for _ in range(self.copies):
            await act.pause(self.gap)
            if act.ended or act.resend is None:
                return
            try:
                async for _ in act.resend():
                    pass
            except (TimeoutError, OSError):
                act.note("a copy was not answered")
