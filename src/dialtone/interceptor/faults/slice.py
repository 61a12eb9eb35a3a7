"""An answer in small pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism


@mechanism("slice")
@dataclass(frozen=True, slots=True)
class Slice(Mechanism):
    """Cuts the answer into pieces of `size` bytes with `gap` seconds between them; `size` 1 is a drip-feed."""

    size: Annotated[int, Bounds(1, 2**20)] = 1
    gap: Annotated[float, Bounds(0, 60)] = 0.01

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """One piece, one segment, one pause."""
        first = True
        async for piece in pieces:
            for at in range(0, len(piece), self.size):
                if not first:
                    await act.pause(self.gap)
                first = False
                yield piece[at:] if act.ended else piece[at : at + self.size]
                if act.ended:
                    break
