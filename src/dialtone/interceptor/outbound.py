"""A connection to an upstream. It belongs to one client's connection and ends with it."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any

import httptools

from dialtone.interceptor.exchange import Exchange
from dialtone.interceptor.framing import Complete, UntilClose, body
from dialtone.interceptor.heads import END, MAX_HEAD, SHORT, BadMessageError, ResponseHead
from dialtone.interceptor.mechanism import Cut

if TYPE_CHECKING:
    from dialtone.interceptor.inbound import Inbound
    from dialtone.interceptor.lane import Lane
    from dialtone.interceptor.settings import Origin


_STATUS = {b"%d" % code: code for code in range(200, 600) if code not in (204, 304)}


class Outbound(asyncio.Protocol):
    """Reads answers and hands them on as they are."""

    __slots__ = ("_exchange", "_held", "_parser", "_said", "_stopped", "ended", "inbound", "origin", "transport")

    def __init__(self, inbound: Inbound, origin: Origin) -> None:
        self.inbound, self.origin = inbound, origin
        self.transport: Any = None
        self._exchange: Exchange | None = None
        self._held = b""
        self._stopped = False
        self.ended = False
        """Whether it has said everything."""
        self.renew()

    def renew(self) -> None:
        """After an answer to HEAD llhttp would wait for a body: it starts anew."""
        self._said = Complete()
        self._parser = httptools.HttpResponseParser(self._said)

    @property
    def exchange(self) -> Exchange | None:
        """What is under way; a request that went the short way becomes an exchange here, for the long one."""
        if self.inbound.flight is not None:
            self.inbound.land()
        return self._exchange

    @exchange.setter
    def exchange(self, exchange: Exchange | None) -> None:
        self._exchange = exchange

    def connection_made(self, transport: Any) -> None:
        """The connection stands."""
        self.transport = transport

    def send(self, exchange: Exchange, data: bytes) -> None:
        """Begin an exchange with the first bytes of its request."""
        self.exchange = exchange
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        inbound = self.inbound
        if inbound.flight is not None and self._short(inbound, data):
            return
        exchange = self.exchange
        if exchange is None:
            if self.inbound.blind:
                self.inbound.write(data)
            else:
                self.inbound.theirs("bytes after the end of an answer")
            return
        try:
            while data:
                data = self._take(exchange, data)
                if exchange.response_done or self.inbound.blind:
                    break
        except BadMessageError as error:
            self.inbound.malformed(exchange, str(error))
            return
        except httptools.HttpParserError as error:
            self.inbound.malformed(exchange, str(error) or type(error).__name__)
            return
        if data and self.inbound.blind:
            self.inbound.write(data)
        elif exchange.response_done:
            if data:
                exchange.closes = True
            self.inbound.answered(exchange)

    def _short(self, inbound: Lane, data: bytes) -> bool:
        """Hand on an answer to a request that went the short way, if all of it is here; else nothing has happened."""
        if self._held or self is not inbound.outbound or len(data) > SHORT or data[:9] != b"HTTP/1.1 ":
            return False
        end = data.find(END) + 4
        status = _STATUS.get(data[9:12])
        if status is None or end < 4:
            return False
        head = str(data[:end], "latin-1").lower()
        at = head.find("\r\nconnection:")
        if f"\r\ncontent-length: {len(data) - end}\r\n" not in head or (
            at >= 0 and not head.startswith(" keep-alive\r\n", at + 13)
        ):
            return False
        # Whatever else the head may say of its length: llhttp has to see the end here too, or it is refused.
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.renew()
            return False
        left = self._said.left
        if left:
            self.renew()
            return False
        left.append(True)
        inbound.flight = None
        inbound.write(data)
        inbound.core.journal.exchange(
            inbound.number, inbound.requests, inbound.host or "", inbound.method, inbound.target,
            status, len(data), (perf_counter() - inbound.started) * 1000,
        )  # fmt: skip
        return True

    def _take(self, exchange: Exchange, data: bytes) -> bytes:
        """Hand on one piece: an interim answer, or as much as there is of the final one; the bytes that are left."""
        start = 0
        if exchange.answer is None:
            if self._held:
                data = self._held + data
                self._held = b""
            start = data.find(END) + 4
            if start < 4:
                if len(data) > MAX_HEAD:
                    raise BadMessageError(502, "a head of more than 64 KiB")
                self._held = data
                return b""
            head = ResponseHead(data if start == len(data) else data[:start])
            status = head.status
            if status < 200:
                return self._interim(exchange, status, data, start)
            exchange.status = status
            exchange.closes = exchange.closes or head.closes()
            exchange.answer = body(head.framing(exchange.head.method))
        end = exchange.answer.take(data, start)
        piece = data if end < 0 or end == len(data) else data[:end]
        if exchange.head.method != b"HEAD":
            self._parser.feed_data(piece)
            if self._said.seen() != (end >= 0):
                raise BadMessageError(502, "an answer whose end two readers see at different places")
        if exchange.acts is None:
            exchange.out += len(piece)
            self.inbound.write(piece)
        else:
            if start:
                exchange.put(piece[:start])
            if len(piece) > start:
                exchange.put(piece[start:] if start else piece)
        if end < 0:
            return b""
        exchange.response_done = True
        self.exchange = None
        return data[end:] if end < len(data) else b""

    def _interim(self, exchange: Exchange, status: int, data: bytes, start: int) -> bytes:
        """A 1xx: handed on, and the final answer is still to come; after a 101 the bytes are nobody's HTTP."""
        piece = data[:start]
        exchange.out += len(piece)
        if status == 101:
            if exchange.head.get(b"upgrade") is None:
                raise BadMessageError(502, "101 without being asked")
            exchange.status = 101
            self.exchange = None
            self.inbound.write(piece)
            self.inbound.upgraded(exchange)
        elif exchange.acts is None:
            self.inbound.write(piece)
        return data[start:]

    def eof_received(self) -> bool:
        """The upstream has said everything."""
        self.ended = True
        if self.inbound.blind:
            self.inbound.write_eof()
            return not self.inbound.ended
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """The upstream is gone; the client sees what we saw."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exc is None and isinstance(exchange.answer, UntilClose):
            exchange.response_done = exchange.closes = True
            if exchange.acts is not None:
                exchange.wake()
            self.inbound.lost_upstream(self)
            self.inbound.answered(exchange)
            return
        self.inbound.lost_upstream(self)
        if exchange is not None:
            self.inbound.broke(exchange, "reset" if exc is not None else "close")

    def pause_writing(self) -> None:
        """The upstream does not keep up with the request."""
        self.inbound.stop(self.inbound.UPSTREAM_FULL)

    def resume_writing(self) -> None:
        """It does again."""
        self.inbound.go(self.inbound.UPSTREAM_FULL)

    def stop(self) -> None:
        """Do not read: the client does not keep up."""
        if not self._stopped and not self.transport.is_closing():
            self._stopped = True
            self.transport.pause_reading()

    def go(self) -> None:
        """Read again."""
        if self._stopped and not self.transport.is_closing():
            self._stopped = False
            self.transport.resume_reading()


def cut(how: str) -> Cut:
    """The upstream's end as a mechanism would say it."""
    return Cut("reset" if how == "reset" else "close")
