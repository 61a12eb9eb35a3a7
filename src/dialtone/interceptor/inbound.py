"""A client's connection: what it asks is read, matched and forwarded as it is; its faults are in `performance`."""

from __future__ import annotations

import asyncio
import json
import ssl
from http import HTTPStatus
from time import perf_counter
from typing import Any

import httptools

from dialtone.interceptor import performance
from dialtone.interceptor.core import CONNECT_TIMEOUT, UPSTREAM_PATIENCE, Core
from dialtone.interceptor.edit import renamed
from dialtone.interceptor.exchange import Exchange
from dialtone.interceptor.framing import Body, body
from dialtone.interceptor.heads import END, MAX_HEAD, BadMessageError, RequestHead, hostname
from dialtone.interceptor.lane import Lane
from dialtone.interceptor.listeners import unpaced
from dialtone.interceptor.outbound import Outbound, cut

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Inbound(Lane):
    """One accepted connection that speaks HTTP/1.1."""

    __slots__ = ("_patience", "_pending")

    def __init__(self, core: Core, bound: str | None = None) -> None:
        super().__init__(core, bound)
        self._patience: asyncio.TimerHandle | None = None
        self._pending = bytearray()  # of a request's body, while its upstream is being dialled

    def eof_received(self) -> bool:
        """The client says nothing more; it still gets the answer to what it asked."""
        if self.blind and self.outbound is not None:
            self._ended = True
            self.outbound.transport.write_eof()
            return not self.outbound.ended
        self._ended = True
        # Only what will end the connection may keep it: an exchange will, a task that is just over will not.
        exchange = self.exchange
        if exchange is None or not exchange.request_done:
            return False
        patience = self.core.patience if exchange.acts is not None else UPSTREAM_PATIENCE
        self._patience = self.core.loop.call_later(patience, self._give_up, exchange)
        return True

    def _give_up(self, exchange: Exchange) -> None:
        """Most who say nothing more are gone: neither a fault nor a slow upstream keeps their connections for ever."""
        if self.exchange is exchange:
            self._close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone."""
        if self._patience is not None:
            self._patience.cancel()  # else it would keep all of this until then
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self.core.journal.event(
                "exchange", **self.about(exchange), by="theirs", why="the client went away before the end"
            )
        super().connection_lost(exc)

    def owes(self) -> bool:
        """Whether the client has begun something that it has to finish: a handshake, a head, a body."""
        if self.exchange is not None:
            return not self.exchange.request_done and not self._stopped
        return bool(self._held) or (self._layer is not None and not self._layer.done)

    # from bytes to requests

    def plain(self, data: bytes) -> None:
        """Bytes of requests."""
        lane = self.lane
        if (
            lane is not None and self.flight is None and self._exchange is None and not self._held
            and self.short(lane, data)
        ):  # fmt: skip
            return
        exchange = self.exchange
        if exchange is not None:
            if exchange.request_done:
                self._hold(data)
            else:
                self._request_body(exchange, data)
            return
        if self._held:
            seen = max(0, len(self._held) - 3)
            self._held += data
            end = self._held.find(END, seen) + 4
            if end >= 4:
                data = bytes(self._held)
                self._held.clear()
        else:
            end = data.find(END) + 4
            if end < 4:
                self._held += data
        if end < 4:
            if len(self._held) > MAX_HEAD:
                self.refuse(431, f"a head of more than {MAX_HEAD // 1024} KiB")
            return
        try:
            self._begin(data, end)
        except BadMessageError as error:
            self.refuse(error.status, str(error))
        except httptools.HttpParserError as error:
            self.refuse(400, str(error) or type(error).__name__)

    def _begin(self, data: bytes, end: int) -> None:
        """A head is complete."""
        if data[:2] == b"\r\n":  # RFC 9112 section 2.2: an empty line before a request is ignored
            self.plain(data[2:])
            return
        whole = end == len(data)
        head = RequestHead(data if whole else data[:end])
        if end > MAX_HEAD:
            raise BadMessageError(431, f"a head of more than {MAX_HEAD // 1024} KiB")
        framing = head.framing()
        if framing:
            counter: Body | None = (sized := body(framing))
            last = sized.take(data, end)
        else:
            counter, last = None, end
        piece = data if last < 0 or last == len(data) else data[:last]
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._renew()
            if head.method == b"CONNECT":
                if self.met:
                    raise BadMessageError(400, "CONNECT inside of a connection to a host") from None
                self._tunnel(head, data[end:])
                return
        else:
            self._agree(last >= 0)
        self.requests += 1
        host = self.host
        if host is None:
            host = hostname(head.authority())
        elif head.lower.count(b"\r\nhost:") > 1:
            raise BadMessageError(400, "more than one Host")
        core = self.core
        target = core.hosts.get(host) or core.host(host)
        exchange = Exchange(self, head, host, target, counter, self.requests, perf_counter())  # type: ignore[arg-type] # refused below when None
        if head.old or b"\r\nconnection:" in head.lower:
            exchange.closes = head.closes()
        self.exchange = exchange
        if last < 0:
            exchange.request_done = False
        elif last < len(data):
            self._hold(data[last:])
        if target is None:
            self.refuse(502, f"unknown host {host or '(none named)'}: add it to the interceptor's hosts")
            return
        arrived = core.arrived
        arrived[host] = arrived.get(host, 0) + 1
        index = core.board.index
        if index is not None and (found := index.candidates(host, head)):
            performance.consider(exchange, found, piece, end)
            return
        self.forward(exchange, piece)

    def _hold(self, data: bytes) -> None:
        """The next requests wait; reading goes on for a while, because only who reads sees a client leave."""
        self._held += data
        if len(self._held) > MAX_HEAD:
            self.stop(self.PIPELINED)

    def _agree(self, complete: bool) -> None:
        """llhttp has to see the end of a request where we do."""
        if self._said.seen() != complete:
            raise BadMessageError(400, "a request whose end two readers see at different places")

    def _request_body(self, exchange: Exchange, data: bytes) -> None:
        try:
            last = exchange.request.take(data, 0)  # type: ignore[union-attr] # it has one: it is not done
            piece = data if last < 0 or last == len(data) else data[:last]
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                self.refuse(501, "an upgrade with a body")
                return
            self._agree(last >= 0)
        except BadMessageError as error:
            self.refuse(error.status, str(error))
            return
        except httptools.HttpParserError as error:
            self.refuse(400, str(error) or type(error).__name__)
            return
        exchange.request_done = last >= 0
        if exchange.acts is not None:
            performance.more(exchange, piece)
        elif self.outbound is not None and exchange.forwarded:
            self.outbound.transport.write(piece)
        else:
            self._pending += piece
        if 0 <= last < len(data):
            self._hold(data[last:])
        if exchange.request_done and exchange.response_done and exchange.acts is None:
            self.answered(exchange)

    def _tunnel(self, head: RequestHead, rest: bytes) -> None:
        """CONNECT: the client believes to speak with the host from here on (RFC 9110 section 9.3.6)."""
        host = hostname(head.authority())
        if self.core.host(host) is None:
            self.refuse(502, f"unknown host {host}: add it to the interceptor's hosts")
            return
        self.connecting = True
        self._feed = self._sniff

        def established() -> None:
            self.connecting = False
            self.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if rest:
                self._feed(rest)

        self._meet(host, established)

    def pend(self, piece: bytes) -> None:
        """Keep a piece of a request's body until the upstream is there."""
        self._pending += piece

    # to the upstream and back

    def forward(self, exchange: Exchange, data: bytes) -> None:
        """Send the first bytes of a request to its upstream, over a new connection when there is none."""
        exchange.forwarded = True
        outbound, origin = self.outbound, exchange.target.upstream
        if exchange.target.renamed:
            head = exchange.head.raw
            data = renamed(head, origin.authority()) + data[len(head) :]
        if outbound is not None and outbound.origin is origin:
            outbound.send(exchange, data)
            return
        self.drop()
        self.stop(self.CONNECTING)
        self.spawn(self._dial(exchange, data))

    async def _dial(self, exchange: Exchange, data: bytes) -> None:
        origin = exchange.target.upstream
        context = self.core.upstream_context() if origin.tls else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, outbound = await self.core.loop.create_connection(
                    lambda: Outbound(self, origin), origin.address, origin.port,
                    ssl=context, server_hostname=origin.name if origin.tls else None,
                )  # fmt: skip
        except (OSError, TimeoutError) as error:
            why = "no connection in time" if isinstance(error, TimeoutError) else _words(error)
            if self.exchange is exchange and not self._gone:
                self.refuse(502, f"upstream {origin} of {exchange.host} cannot be reached: {why}")
            return
        if self._gone or self.exchange is not exchange:
            outbound.transport.abort()
            return
        self.outbound = outbound
        unpaced(outbound.transport.get_extra_info("socket"), origin.address)
        if self.host is not None and not exchange.target.renamed:
            self.lane = outbound
        outbound.send(exchange, data + self._pending)
        self._pending.clear()
        if self._full is not None:
            outbound.stop()
        self.go(self.CONNECTING)

    def answered(self, exchange: Exchange) -> None:
        """The upstream's answer is complete."""
        if exchange.head.method == b"HEAD" and self.outbound is not None:
            self.outbound.renew()
        if exchange.acts is not None:
            exchange.wake()
        elif exchange.request_done and self.exchange is exchange:
            head = exchange.head
            self.core.journal.exchange(
                self.number, exchange.number, exchange.host, head.method, head.target,
                exchange.status, exchange.out, (perf_counter() - exchange.started) * 1000,
            )  # fmt: skip
            self.exchange = None
            if exchange.closes or self._held or self._ended:
                self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """The exchange is over; the next request, if it is here already, begins."""
        self.exchange = None
        if exchange.closes or self._ended:
            self._close()
        elif self._held:
            self.core.loop.call_soon(self._next)

    def _next(self) -> None:
        if self.exchange is None and not self._gone and not self.transport.is_closing():
            data = bytes(self._held)
            self._held.clear()
            self.plain(data)
            if not self._held or self.exchange is None:
                self.go(self.PIPELINED)

    def upgraded(self, exchange: Exchange) -> None:
        """After 101 bytes go both ways unread."""
        self.blind = True
        if exchange.acts is not None:
            exchange.response_done = True
            exchange.wake()
        self.core.journal.event("exchange", **self.about(exchange), by="theirs", why="upgraded")
        self.exchange = None
        outbound = self.outbound
        if outbound is not None:
            self._feed = outbound.transport.write
            if self._held:
                outbound.transport.write(bytes(self._held))
                self._held.clear()
        self.go(self.PIPELINED)

    def broke(self, exchange: Exchange, how: str) -> None:
        """The upstream ended its connection before its answer was complete."""
        if exchange.acts is not None:
            exchange.broke(cut(how))
            return
        if self.exchange is not exchange:
            return
        why = "the upstream reset its connection" if how == "reset" else "the upstream closed its connection"
        self.core.journal.event(
            "exchange", **self.about(exchange), by="theirs", why=f"{why} before its answer was complete"
        )
        self.exchange = None
        self.end(how)

    def malformed(self, exchange: Exchange, why: str) -> None:
        """The upstream's answer is no HTTP; the client gets a 502 if nothing was sent yet."""
        if exchange.acts is not None:
            self.drop()
            exchange.broke(cut("reset"))
            return
        if self.exchange is not exchange:
            return
        self.exchange = None
        told = {**self.about(exchange), "status": 502}
        self.core.journal.event("exchange", **told, by="theirs", why=f"the upstream answered with {why}")
        if exchange.out:
            self.end("reset")
        else:
            self.say(502, f"upstream of {exchange.host} answered with {why}")

    def theirs(self, why: str) -> None:
        """Something is wrong with the upstream between two exchanges."""
        self.core.journal.event("upstream", connection=self.number, host=self.host, by="theirs", why=why)
        self._close()

    def lost_upstream(self, outbound: Outbound) -> None:
        """The upstream's connection ended; an idle client's ends with it, as it would without us."""
        if self.outbound is outbound:
            self.outbound = None
            if self.blind or (self.exchange is None and not self._held):
                self._close()

    # ends

    def refuse(self, status: int, why: str) -> None:
        """An answer of the interceptor itself, after which the connection closes."""
        exchange, self.exchange = self.exchange, None
        about = self.about(exchange) if exchange is not None else {"connection": self.number, "host": self.host}
        self.core.journal.event("refused", **{**about, "status": status}, by="ours", why=why)
        if exchange is not None and exchange.out:
            self.end("reset")
        else:
            self.say(status, why)

    def say(self, status: int, why: str) -> None:
        """An answer of the interceptor itself, and the end."""
        text = json.dumps({"error": why, "by": "dialtone interceptor"}).encode()
        if self._layer is None or self._layer.done:
            self.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-dialtone: ours\r\n"
                b"connection: close\r\n\r\n%s" % (status, _REASONS[status], len(text), text)
            )
        self._close(linger=True)

    def about(self, exchange: Exchange) -> dict[str, Any]:
        """What a journal line says of an exchange."""
        told: dict[str, Any] = {
            "connection": self.number, "request": exchange.number, "host": exchange.host,
            "method": exchange.head.method.decode("latin-1"), "target": exchange.head.target,
            "status": exchange.status, "out": exchange.out,
            "ms": round((perf_counter() - exchange.started) * 1000, 2),
        }  # fmt: skip
        if exchange.acts:
            told["faults"] = [act.fault.id for act in exchange.acts]
        return told


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {error.verify_message}"
    return error.strerror or str(error) or type(error).__name__
