"""A client's connection below HTTP: TLS or not, back-pressure, faults before a request is seen, and its ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dialtone.interceptor.core import MAX_CONNECTIONS, Core
from dialtone.interceptor.mechanism import Cut, Refused
from dialtone.interceptor.tls import Layer, client_hello_name

if TYPE_CHECKING:
    from dialtone.interceptor.mechanism import Act
    from dialtone.interceptor.outbound import Outbound

_RST = struct.pack("ii", 1, 0)
_LINGER = 1.0


class Connection(asyncio.Protocol):
    """One accepted connection. `bound` is the host of a listener that has just one."""

    # It has more attributes than Python shares the names of among objects: its dictionary alone would take 1.6 kB.
    __slots__ = (
        "__weakref__", "_ended", "_feed", "_full", "_gone", "_held", "_layer", "_stopped", "_tasks", "_wrong",
        "blind", "connecting", "core", "host", "lane", "last", "met", "number", "outbound", "transport", "write",
    )  # fmt: skip
    UPSTREAM_FULL, PIPELINED, CONNECTING, ACTING = 1, 2, 4, 8

    def __init__(self, core: Core, bound: str | None = None) -> None:
        self.core = core
        self.host = bound
        """Whom this connection is for: its listener's host, the name in CONNECT or in the TLS handshake."""
        self.transport: Any = None
        self.write: Callable[[bytes], None]
        """Sends bytes to the client, through TLS when there is any."""
        self.outbound: Outbound | None = None
        self.lane: Outbound | None = None
        """The same when requests may go there the short way."""
        self.blind = False
        """Whether the bytes are nobody's HTTP any more (after 101)."""
        self.last = core.now
        """When the client was last heard."""
        self.number = 0
        self.met: set[str] = set()
        """Hosts whose faults on connections have acted."""
        self._feed: Callable[[bytes], None] = self._sniff
        self._held = bytearray()
        self._layer: Layer | None = None
        self._stopped = 0
        self._full: asyncio.Future[None] | None = None
        self._wrong: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone = False
        self._ended = False
        self.connecting = False
        """Whether a CONNECT waits for its answer."""

    # what HTTP, or plain TCP, adds

    def plain(self, data: bytes) -> None:
        """Bytes of the client, out of TLS."""
        raise NotImplementedError

    def refuse(self, status: int, why: str) -> None:
        """An answer of the interceptor itself, after which the connection closes."""
        raise NotImplementedError

    def say(self, status: int, why: str) -> None:
        """Such an answer by itself; the journal is the caller's."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        """The client says nothing more."""
        raise NotImplementedError

    def owes(self) -> bool:
        """Whether the client has begun something that it has to finish."""
        raise NotImplementedError

    # the transport's side

    def connection_made(self, transport: Any) -> None:
        """Accepted."""
        self.transport = transport
        self.number = self.core.number()
        self.write = transport.write
        if len(self.core.connections) >= MAX_CONNECTIONS:
            self.refuse(503, f"{MAX_CONNECTIONS} connections are open: no more are taken")
            return
        self.core.connections[self.number] = self
        if self.host is not None:
            self._meet(self.host)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        self._gone = True
        if self.core.connections.pop(self.number, None) is not None:
            for host in self.met:
                self.core.left(host)
        for task in tuple(self._tasks):
            task.cancel()
        self._release()
        self.drop()
        # Methods of our own and of what leads to us are cycles, and memory would wait for their collector.
        self._feed = self.write = ignore
        self._layer = None

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._full = self._full or self.core.loop.create_future()
        if self.outbound is not None:
            self.outbound.stop()

    def resume_writing(self) -> None:
        """It does again."""
        self._release()
        if self.outbound is not None:
            self.outbound.go()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client, in TLS or not."""
        self.last = self.core.now
        if self._layer is None:
            self._feed(data)
            return
        try:
            plain = self._layer.feed(data)
        except ssl.SSLError as error:
            self.core.journal.event(
                "tls", connection=self.number, host=self.host, by="theirs", why=error.reason or "broken"
            )
            self._close()
            return
        if plain:
            self._feed(plain)
        if self._layer.eof and not self.eof_received():
            self._close()

    def _release(self) -> None:
        if self._full is not None:
            if not self._full.done():
                self._full.set_result(None)
            self._full = None

    async def drained(self) -> None:
        """Wait until the client keeps up."""
        if self._full is not None:
            await self._full

    @property
    def ended(self) -> bool:
        """Whether the client has said everything."""
        return self._ended

    def stop(self, why: int) -> None:
        """Do not read from the client, for one of several reasons."""
        if not self._stopped and not self.transport.is_closing():
            self.transport.pause_reading()
        self._stopped |= why

    def go(self, why: int) -> None:
        """That reason is gone; read when no other is left."""
        if self._stopped & why:
            self._stopped &= ~why
            if not self._stopped and not self.transport.is_closing():
                self.transport.resume_reading()

    def silence(self) -> None:
        """Pass nothing on any more, in neither direction."""
        self.stop(self.ACTING)
        if self.outbound is not None:
            self.outbound.stop()

    def _meet(self, host: str, then: Callable[[], None] | None = None) -> None:
        """The host is known: faults that act on connections act now; `then` goes on when they let it."""
        self.host = host
        if host not in self.met:
            self.met.add(host)
            self.core.open[host] = self.core.open.get(host, 0) + 1
            if acts := self.core.early(host):
                self._wrong = next((w for a in acts if (w := a.fault.spec.mechanism.certificate())), None)
                self.stop(self.ACTING)
                before, self._feed = self._feed, self._early_bytes
                self.spawn(self._act(acts, before, then))
                return
        if then is not None:
            then()

    def _early_bytes(self, data: bytes) -> None:
        self._held += data

    async def _act(self, acts: list[Act], before: Callable[[bytes], None], then: Callable[[], None] | None) -> None:
        about = {"connection": self.number, "host": self.host, "faults": [act.fault.id for act in acts], "by": "fault"}
        try:
            for act in acts:
                await act.fault.spec.mechanism.connect(act)
        except Cut as cut:
            self.core.journal.event("connection", **about, end=cut.how)
            if isinstance(cut, Refused) and self.connecting:
                self.say(cut.status, cut.why)
            else:
                self.end(cut.how)
            return
        self.core.journal.event("connection", **about)
        self._feed = before
        if then is not None:
            then()
        self.go(self.ACTING)
        if self._held and self._layer is None:
            held = bytes(self._held)
            self._held.clear()
            self.data_received(held)

    def spawn(self, work: Any) -> None:
        """Run something beside the connection; it is cancelled when the client goes away."""
        task = self.core.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sniff(self, data: bytes) -> None:
        """The first bytes: a TLS handshake begins with 0x16, which no HTTP method does."""
        if data[0] == 0x16 and self._layer is None:
            self._feed = self._hello
        else:
            self._feed = self.plain
        self._feed(data)

    def _hello(self, data: bytes) -> None:
        self._held += data
        try:
            whole, name = client_hello_name(bytes(self._held))
        except ValueError as error:
            self.core.journal.event("tls", connection=self.number, host=self.host, by="theirs", why=str(error))
            self._close()
            return
        if whole:
            self.stop(self.ACTING)
            shown = name or self.host or self.transport.get_extra_info("sockname")[0]
            self._meet(self.host or shown, lambda: self._begin_tls(shown))

    def _begin_tls(self, name: str) -> None:
        data = bytes(self._held)
        self._held.clear()
        self._layer = Layer(self.core.authority.context(name, self._wrong), self.transport.write)
        self.write = self._layer.write
        self._feed = self.plain
        self.go(self.ACTING)
        self.data_received(data)

    def end(self, how: str) -> None:
        """End the client's connection: `reset`, `close`, or `half` of it."""
        self._feed = ignore
        if how == "reset":
            self.abort()
        elif how == "half":
            self.write_eof()
        else:
            self._close(linger=True)

    def write_eof(self) -> None:
        """Say the client that nothing more comes; it may still send."""
        with contextlib.suppress(ssl.SSLError, OSError, RuntimeError):
            if self._layer is not None:
                self._layer.close()
            self.transport.write_eof()

    def abort(self) -> None:
        """End the connection with a RST."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.transport.abort()
        self.drop()

    def _close(self, *, linger: bool = False) -> None:
        """End the connection with a FIN after what is still to be written."""
        self.drop()
        if self.transport.is_closing():
            return
        if self._layer is not None:
            self._layer.close()
        if linger and not self._ended:
            # Unread bytes would turn the FIN into a RST and could take the answer with it (RFC 9112 section 9.6).
            self._feed = ignore
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()
            self._stopped = 0
            with contextlib.suppress(RuntimeError):
                self.transport.resume_reading()
            self.core.loop.call_later(_LINGER, self.transport.close)
        else:
            self.transport.close()

    def drop(self) -> None:
        """Let go of the upstream's connection."""
        outbound, self.outbound = self.outbound, None
        self.lane = None
        if outbound is not None:
            outbound.exchange = None
            outbound.transport.abort()


def ignore(data: bytes) -> None:
    """What comes after the end is read and forgotten."""
