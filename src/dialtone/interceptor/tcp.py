"""Plain TCP to one host (Postgres, Redis, SMTP): bytes pass both ways, faults act on what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Any

from dialtone.interceptor.connection import Connection
from dialtone.interceptor.core import CONNECT_TIMEOUT
from dialtone.interceptor.exchange import HIGH, LOW
from dialtone.interceptor.mechanism import Act, Cut, Pieces, on_tcp
from dialtone.interceptor.plan import Spec


class TcpOutbound(asyncio.Protocol):
    """The upstream's side."""

    def __init__(self, inbound: TcpInbound) -> None:
        self.inbound = inbound
        self.transport: Any = None
        self.exchange: None = None
        self.ended = False
        self._stopped = False

    def connection_made(self, transport: Any) -> None:
        """The connection stands."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes for the client."""
        self.inbound.answer(data)

    def eof_received(self) -> bool:
        """The upstream has said everything; the client may go on."""
        self.ended = True
        self.inbound.answer_ends(None)
        return not self.inbound.ended

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone; the client sees how."""
        self.inbound.answer_ends(Cut("reset" if exc is not None else "close"))

    def pause_writing(self) -> None:
        """It does not keep up."""
        self.inbound.stop(self.inbound.UPSTREAM_FULL)

    def resume_writing(self) -> None:
        """It does again."""
        self.inbound.go(self.inbound.UPSTREAM_FULL)

    def stop(self) -> None:
        """Do not read."""
        if not self._stopped and not self.transport.is_closing():
            self._stopped = True
            self.transport.pause_reading()

    def go(self) -> None:
        """Read again."""
        if self._stopped and not self.transport.is_closing():
            self._stopped = False
            self.transport.resume_reading()


class TcpInbound(Connection):
    """The client's side."""

    def connection_made(self, transport: Any) -> None:
        """Accepted: the upstream is dialled at once, because with SMTP it speaks first."""
        self._queue: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._over: Cut | None = None
        self._said_all = False
        self._acts: list[Act] = []
        self._bytes_in = self._bytes_out = 0
        self._begun = self.core.clock()
        super().connection_made(transport)

    def _sniff(self, data: bytes) -> None:
        self.plain(data)

    def _meet(self, host: str, then: Any = None) -> None:
        def dial() -> None:
            self.stop(self.CONNECTING)
            self.spawn(self._dial(host))

        super()._meet(host, dial)

    async def _dial(self, host: str) -> None:
        board, target = self.core.board, self.core.hosts[host]
        self.core.arrived[host] = self.core.arrived.get(host, 0) + 1
        found = [f for f in board.faults.values() if not f.connects and _means(f.spec, host)]
        self._acts = [act for fault in found if (act := board.act(fault, host, None)) is not None]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, outbound = await self.core.loop.create_connection(
                    lambda: TcpOutbound(self), target.upstream.address, target.upstream.port
                )
        except (OSError, TimeoutError) as error:
            why = str(error) or "no connection in time"
            self.core.journal.event("refused", connection=self.number, host=host, by="ours", why=f"upstream: {why}")
            self.end("reset")
            return
        if self._gone:
            outbound.transport.abort()
            return
        self.outbound = outbound  # type: ignore[assignment] # both have stop, go, transport and exchange
        if self._held:
            outbound.transport.write(bytes(self._held))
            self._held.clear()
        if self._ended:
            outbound.transport.write_eof()
        self.go(self.CONNECTING)
        if self._acts:
            await self._perform()

    def plain(self, data: bytes) -> None:
        """Bytes of the client."""
        self._bytes_in += len(data)
        if self.outbound is not None:
            self.outbound.transport.write(data)
        else:
            self._held += data

    def refuse(self, status: int, why: str) -> None:
        """There is no answer in a protocol that nobody knows: the connection is reset."""
        self.core.journal.event("refused", connection=self.number, host=self.host, by="ours", why=why)
        self.abort()

    def say(self, status: int, why: str) -> None:
        """As `refuse`, without a line."""
        self.abort()

    def owes(self) -> bool:
        """A client of plain TCP owes nothing."""
        return False

    def eof_received(self) -> bool:
        """Half-closed: handed on."""
        self._ended = True
        if self.outbound is not None:
            self.outbound.transport.write_eof()
            return bool(self._acts) or not self.outbound.ended
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        self.core.journal.event(
            "tcp", connection=self.number, host=self.host, received=self._bytes_in, out=self._bytes_out,
            ms=round((self.core.clock() - self._begun) * 1000, 2), by="fault" if self._acts else "theirs",
            faults=[act.fault.id for act in self._acts] or None,
        )  # fmt: skip
        super().connection_lost(exc)

    def answer(self, data: bytes) -> None:
        """Bytes of the upstream."""
        if not self._acts:
            self._bytes_out += len(data)
            self.write(data)
            return
        self._queue.append(data)
        if sum(map(len, self._queue)) > HIGH and self.outbound is not None:
            self.outbound.stop()
        self._wake()

    def answer_ends(self, how: Cut | None) -> None:
        """The upstream ended its side (None), or its connection."""
        if self._acts:
            self._said_all = True
            self._over = self._over or how
            self._wake()
        elif how is None:
            self.write_eof()
        elif not self._gone:
            self.end(how.how) if how.how == "reset" else self._close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            while self._queue:
                piece = self._queue.pop(0)
                if sum(map(len, self._queue)) <= LOW and self.outbound is not None:
                    self.outbound.go()
                yield piece
            if self._over is not None and self._over.how == "reset":
                raise self._over
            if self._said_all:
                return
            self._waiter = self.core.loop.create_future()
            await self._waiter

    async def _perform(self) -> None:
        pieces: Pieces = self._pieces()
        for act in self._acts:
            pieces = act.fault.spec.mechanism.answer(act, pieces)
        try:
            async for piece in pieces:
                self._bytes_out += len(piece)
                self.write(piece)
                await self.drained()
        except Cut as cut:
            self.end(cut.how)
            if cut.how == "half":
                await self._acts[-1].fault.waiting.pause(None)
                self.end("close")
            return
        self._close()


def _means(spec: Spec, host: str) -> bool:
    """Whether a fault is about this host's connections: TCP has no path, method, header or body, and no answers."""
    match = spec.match
    if match.path or match.method or match.header or match.body or not on_tcp(type(spec.mechanism)):
        return False
    return match.host is None or fnmatchcase(host, match.host)
