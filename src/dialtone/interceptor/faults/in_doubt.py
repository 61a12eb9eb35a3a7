"""The upstream did it, and nobody hears of it: the fault that doubles charges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dialtone.interceptor.edit import response
from dialtone.interceptor.heads import END
from dialtone.interceptor.mechanism import Act, Cut, Mechanism, Pieces, mechanism

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


@mechanism("in-doubt")
@dataclass(frozen=True, slots=True)
class InDoubt(Mechanism):
    """Waits for the whole answer of the upstream and loses it."""

    then: Literal["reset", "close", "timeout", "502"] = "reset"
    """reset: RST; close: FIN without an answer; timeout: silence until the fault ends; 502: a page from the edge."""

    needs_http = True

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Read it to its end: only then the upstream has surely committed."""
        kept = [piece async for piece in pieces]
        if act.ended:
            for piece in kept:
                yield piece
            return
        if self.then == "timeout":
            await act.hold()
        if self.then != "502":
            raise Cut("reset" if self.then == "reset" else "close")
        lost = response(502, PAGE, "text/html", {})
        end = lost.find(END) + 4
        yield lost[:end]
        yield lost[end:]
