"""An answer that stops in the middle and never goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism


@mechanism("freeze")
@dataclass(frozen=True, slots=True)
class Freeze(Mechanism):
    """Lets so many bytes of the answer arrive, its head included; the connection stays open and silent."""

    after: Annotated[int, Bounds(0, 2**31)] = 0

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Count, and wait for the end."""
        left = self.after
        async for piece in pieces:
            if act.ended:
                yield piece
                continue
            if left:
                yield piece[:left]
            left -= len(piece)
            if left <= 0:
                await act.hold()
