"""A connection that ends with a RST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Cut, Mechanism, Pieces, mechanism

Count = Annotated[int, Bounds(0, 2**31)]


@mechanism("reset")
@dataclass(frozen=True, slots=True)
class Reset(Mechanism):
    """Resets the connection after so many bytes of the answer; the upstream has done its work by then."""

    after: Count = 0
    """Bytes of the answer, head included, that still arrive."""

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Count, and cut."""
        left = self.after
        async for piece in pieces:
            if act.ended:
                yield piece
                continue
            if len(piece) >= left:
                if left:
                    yield piece[:left]
                    await act.pause(0.01)  # a RST drops what still waits in the socket
                raise Cut("reset")
            left -= len(piece)
            yield piece
        if not act.ended:
            raise Cut("reset")
