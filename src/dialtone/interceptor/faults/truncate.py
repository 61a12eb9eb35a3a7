"""An answer that stops too early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Cut, Mechanism, Pieces, mechanism


@mechanism("truncate")
@dataclass(frozen=True, slots=True)
class Truncate(Mechanism):
    """Lets so many bytes of the body arrive and closes the connection in good order: less than Content-Length says."""

    after: Annotated[int, Bounds(0, 2**31)] = 1

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """The head is whole, the body is not."""
        left, head = self.after, act.head is not None
        async for piece in pieces:
            if head or act.ended:
                head = False
                yield piece
                continue
            if left:
                yield piece[:left]
            left -= len(piece)
            if left < 0:
                raise Cut("close")
