"""An answer with bytes that are not the upstream's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism


@mechanism("corrupt")
@dataclass(frozen=True, slots=True)
class Corrupt(Mechanism):
    """Flips one bit in so many bytes of the body, drawn with the seed; the head stays whole."""

    one_in: Annotated[int, Bounds(1, 2**31)] = 100

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Every `one_in`th byte on average, and the first byte always."""
        head, until = act.head is not None, 0
        async for piece in pieces:
            if head or act.ended:
                head = False
                yield piece
                continue
            changed = bytearray(piece)
            while until < len(changed):
                changed[until] ^= 1 << act.random.randrange(8)
                until += 1 + act.random.randrange(2 * self.one_in - 1)
            until -= len(changed)
            yield bytes(changed)
