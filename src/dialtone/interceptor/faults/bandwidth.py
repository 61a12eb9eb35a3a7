"""An answer that comes no faster than so many bytes a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism

_TICKS = 50


@mechanism("bandwidth")
@dataclass(frozen=True, slots=True)
class Bandwidth(Mechanism):
    """Passes bytes on by the clock, in up to 50 pieces a second; time that a slow wake-up took is made good."""

    rate: Annotated[float, Bounds(1, 10**9)] = 10_000
    """Bytes a second."""

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Send a byte when its time has come, never before."""
        step = max(1, int(self.rate / _TICKS))
        begin, sent = act.clock(), 0
        async for piece in pieces:
            for at in range(0, len(piece), step):
                part = piece[at : at + step]
                sent += len(part)
                await act.pause(begin + sent / self.rate - act.clock())
                yield part
            if act.clock() - begin > sent / self.rate + 1:
                begin, sent = act.clock(), 0  # the upstream was slower: no credit for later
