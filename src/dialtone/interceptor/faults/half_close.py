"""A connection of which one half is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Cut, Mechanism, Pieces, mechanism


@mechanism("half-close")
@dataclass(frozen=True, slots=True)
class HalfClose(Mechanism):
    """Sends a FIN after so many bytes of the answer and keeps on reading, as a server that is being stopped does."""

    after: Annotated[int, Bounds(0, 2**31)] = 0

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Count, and cut."""
        left = self.after
        async for piece in pieces:
            if act.ended:
                yield piece
                continue
            if left:
                yield piece[:left]
            left -= len(piece)
            if left <= 0:
                raise Cut("half")
