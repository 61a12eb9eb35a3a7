"""An answer from yesterday."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from dialtone.interceptor.edit import set_header
from dialtone.interceptor.mechanism import Act, Mechanism, Pieces, mechanism

MOST = 64
LARGEST = 2**20


@mechanism("stale")
@dataclass(frozen=True, slots=True)
class Stale(Mechanism):
    """Gives every further request the first answer that a method and target got, with an `Age`, as a cache does.

    The upstream is asked each time, so that what was written is written; only the client sees the past.
    """

    age: int = 3600
    """Seconds that `Age` says."""
    kept: OrderedDict[bytes, list[bytes]] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)

    needs_http = True

    async def answer(self, act: Act, pieces: Pieces) -> Pieces:
        """Keep the first, repeat it."""
        key = act.head.method + b" " + act.head.target if act.head is not None else b""
        old = self.kept.get(key)
        fresh: list[bytes] = []
        async for piece in pieces:
            if old is None or act.ended:
                if sum(map(len, fresh)) < LARGEST:
                    fresh.append(piece)
                yield piece
        if old is None:
            if fresh and sum(map(len, fresh)) < LARGEST:
                self.kept[key] = [set_header(fresh[0], b"Age", b"%d" % self.age), *fresh[1:]]
                while len(self.kept) > MOST:
                    self.kept.popitem(last=False)
        elif not act.ended:
            for piece in old:
                yield piece
