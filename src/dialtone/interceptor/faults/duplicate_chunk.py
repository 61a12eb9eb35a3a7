"""A part of the body that comes twice."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Cut, Mechanism, Pieces, mechanism


@mechanism("duplicate-chunk")
@dataclass(frozen=True, slots=True)
class DuplicateChunk(Mechanism):
    """Sends the first piece of the body once more; the connection closes after it, because nobody can tell its end."""

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Once."""
        number = 0 if act.head is not None else 1
        async for piece in pieces:
            yield piece
            number += 1
            if number == 2 and not act.ended:
                yield piece
        if number >= 2:
            raise Cut("close")
