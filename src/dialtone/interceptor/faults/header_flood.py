"""More headers than a client wants to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dialtone.interceptor.mechanism import Act, Bounds, Mechanism, Pieces, mechanism


@mechanism("header-flood")
@dataclass(frozen=True, slots=True)
class HeaderFlood(Mechanism):
    """Adds so many headers of so many bytes to the answer."""

    count: Annotated[int, Bounds(1, 10_000)] = 200
    size: Annotated[int, Bounds(1, 64_000)] = 100

    needs_http = True

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Only the head grows."""
        first = act.head is not None
        async for piece in pieces:
            if first and not act.ended:
                flood = b"".join(b"x-flood-%d: %s\r\n" % (n, b"f" * self.size) for n in range(self.count))
                yield piece[:-2] + flood + b"\r\n"
            else:
                yield piece
            first = False
