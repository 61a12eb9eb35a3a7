"""Acme shouts when it is tired: the body of an answer in capitals, which no parser of JSON likes in `true`."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.mechanism import Act, Mechanism, Pieces, mechanism


@mechanism("shout")
@dataclass(frozen=True, slots=True)
class Shout(Mechanism):
    """Capitals; the length stays."""

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """The head as it is, the body in capitals."""
        head = act.head is not None
        async for piece in pieces:
            yield piece if head else piece.upper()
            head = False
