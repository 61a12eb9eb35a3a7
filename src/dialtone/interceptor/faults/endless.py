"""A body that never ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Cut, Mechanism, Pieces, mechanism


@mechanism("endless")
@dataclass(frozen=True, slots=True)
class Endless(Mechanism):
    """Answers 200 and blanks for ever, at so many bytes a second; the upstream hears nothing.

    Time that a slow wake-up took is made good, as with `bandwidth`; of a client that did not read, a second of it.
    """

    rate: Annotated[float, Bounds(1, 10**8)] = 10_000

    async def request(self, act: Act) -> bytes | None:
        """The head; the body is made in `answer`."""
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Chunks of blanks: JSON allows any number of them before a value (RFC 8259 section 2)."""
        async for piece in pieces:
            yield piece
        size = max(1, int(self.rate / 20))
        chunk = b"%x\r\n%s\r\n" % (size, b" " * size)
        due = act.clock()
        while not act.ended:
            yield chunk
            due = max(due, act.clock() - 1) + size / self.rate
            await act.pause(due - act.clock())
        raise Cut("close")
