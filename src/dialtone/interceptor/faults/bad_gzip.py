"""A body that says it is gzip and is none."""

from __future__ import annotations

from dataclasses import dataclass

from dialtone.interceptor.edit import set_header
from dialtone.interceptor.mechanism import Act, Mechanism, Pieces, mechanism


@mechanism("bad-gzip")
@dataclass(frozen=True, slots=True)
class BadGzip(Mechanism):
    """Adds `Content-Encoding: gzip` to the answer and leaves its body as it is."""

    needs_http = True

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Only the head changes."""
        first = act.head is not None
        async for piece in pieces:
            yield set_header(piece, b"Content-Encoding", b"gzip") if first and not act.ended else piece
            first = False
