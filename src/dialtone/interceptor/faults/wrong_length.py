"""A Content-Length that is not true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.edit import set_header
from dialtone.interceptor.heads import ResponseHead
from dialtone.interceptor.mechanism import Act, Bounds, Cut, Mechanism, Pieces, mechanism


@mechanism("wrong-length")
@dataclass(frozen=True, slots=True)
class WrongLength(Mechanism):
    """Says a Content-Length that is `off` bytes from the true one; an answer in chunks stays as it is."""

    off: Annotated[int, Bounds(-(2**31), 2**31)] = 10
    """More: the client waits for bytes that never come. Less: it takes the rest for the next answer."""

    needs_http = True

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Change the head, pass the body, close."""
        changed = False
        async for piece in pieces:
            if not changed and act.head is not None:
                changed = True
                length = ResponseHead(piece).length()
                if length is None or length < 0:
                    yield piece
                    continue
                yield set_header(piece, b"Content-Length", b"%d" % max(0, length + self.off))
                continue
            yield piece
        if changed and not act.ended:
            raise Cut("close")
