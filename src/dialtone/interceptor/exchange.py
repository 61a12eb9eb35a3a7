"""One request and its answer, as they travel."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from dialtone.interceptor.framing import Body
from dialtone.interceptor.mechanism import Act, Cut

if TYPE_CHECKING:
    from dialtone.interceptor.board import Fault
    from dialtone.interceptor.heads import RequestHead
    from dialtone.interceptor.inbound import Inbound
    from dialtone.interceptor.settings import Host

HIGH, LOW = 64 * 1024, 16 * 1024
"""Bytes of an answer that may wait for a fault before the upstream is not read any more, and until it is again."""


class Exchange:
    """State of one exchange. Without faults its bytes only pass by and are counted."""

    request_done = True
    response_done = False
    answer: Body | None = None
    """Framing of the answer, once its head is there."""
    status = 0
    out = 0
    """Bytes sent to the client."""
    closes = False
    """Whether the connection ends with this exchange."""
    acts: list[Act] | None = None
    forwarded = False
    """Whether the request went, or goes, to the upstream."""
    discard = False
    """Whether the rest of the request is of no interest."""
    broken: Cut | None = None
    """How the upstream ended its connection in the middle."""
    undecided: list[Fault] | None = None
    """Faults that wait for the request's body."""

    def __init__(
        self,
        inbound: Inbound,
        head: RequestHead,
        host: str,
        target: Host,
        request: Body | None,
        number: int,
        started: float,
    ) -> None:
        self.inbound, self.head, self.host, self.target = inbound, head, host, target
        self.request = request
        """What is still to come of the request; None when it has no body."""
        self.number, self.started = number, started

    def hold(self) -> None:
        """Prepare for faults: the request waits here, the answer goes through a queue."""
        self.gathered: list[bytes] = []
        self.size = 0
        self.queue: deque[bytes] = deque()
        self.queued = 0
        self.waiter: asyncio.Future[None] | None = None

    def put(self, piece: bytes) -> None:
        """A piece of the upstream's answer."""
        if self.acts and not self.acts[0].answered:
            now = self.inbound.core.clock()
            for act in self.acts:
                act.answered = now
        self.queue.append(piece)
        self.queued += len(piece)
        if self.queued > HIGH and self.inbound.outbound is not None:
            self.inbound.outbound.stop()
        self.wake()

    def broke(self, how: Cut) -> None:
        """The upstream ended its connection in the middle."""
        self.broken = how
        self.wake()

    def wake(self) -> None:
        """Let `pieces` look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The upstream's answer: the head by itself, then the body as it comes. Raises Cut when it breaks off."""
        while True:
            while self.queue:
                piece = self.queue.popleft()
                self.queued -= len(piece)
                if self.queued <= LOW and self.inbound.outbound is not None:
                    self.inbound.outbound.go()
                yield piece
            if self.broken is not None:
                raise self.broken
            if self.response_done:
                return
            self.waiter = self.inbound.core.loop.create_future()
            await self.waiter
