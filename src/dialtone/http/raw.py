"""One request over a connection of its own, without a client: an `asyncio.Protocol` that parses with httptools.

For probes of which there are many at once. What the peer sends is bounded in time and size, and never decompressed.
"""

from __future__ import annotations

import asyncio
import ssl

from dialtone.http.answer import FailureKind
from dialtone.http.exchange import Exchange, Interrupted

MAX_HEAD = 65_536
"""Bytes of an answer before its body begins, interim answers included."""
_CHALLENGES = (b"x-vercel-mitigated", b"cf-mitigated")


class Raw(asyncio.Protocol):
    """Sends `request` and reads its answer; `over` is done when that is whole, or fails with Interrupted.

    `keep` keeps the body in `kept`, as it came. `began` is set before a TLS handshake, whose end it times.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, exchange: Exchange, request: bytes, *, keep: bool, bodiless: bool = False
    ) -> None:
        self.over: asyncio.Future[None] = loop.create_future()
        self.status, self.challenge, self.kept = 0, False, list[bytes]()
        self.began: float | None = None
        self._loop, self._exchange, self._request, self._keep = loop, exchange, request, keep
        self._bodiless = bodiless  # the answer to HEAD
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._framed = False  # whether the head says where the body ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        import httptools

        exchange = self._exchange
        if self.began is not None:
            exchange.tls = exchange.now() - self.began
        self._errors, self._upgrade = httptools.HttpParserError, httptools.HttpParserUpgrade
        self._parser = httptools.HttpResponseParser(self)
        self._transport = transport  # type: ignore[assignment]
        transport.write(self._request)  # type: ignore[attr-defined]
        exchange.asked()
        self._timer = self._loop.call_later(exchange.patience(exchange.limits.read), self._look)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self.over.done():
            return
        exchange = self._exchange
        exchange.took(len(data))
        try:
            self._parser.feed_data(data)
        except self._upgrade:
            self._end()
        except self._errors:
            self._end(Interrupted(FailureKind.PROTOCOL, "the answer is not HTTP"))
        if exchange.body is None and exchange.received > MAX_HEAD:
            self._end(Interrupted(FailureKind.TOO_LARGE, f"the headers are larger than {MAX_HEAD:,} bytes"))

    def eof_received(self) -> None:
        """The peer closes its side: the end of a body that has no other."""
        if self._exchange.body is not None and not self._framed:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of an answer that was not whole; or its only end, where TLS was not closed before TCP, as by many."""
        if exc is None:
            self.eof_received()
        if isinstance(exc, ssl.SSLError):
            self._end(Interrupted(FailureKind.TLS, "TLS broke off"))
        else:
            self._end(self._exchange.cut("closed" if exc is None else "reset"))

    # what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header: what frames the body, and what says that somebody else answers."""
        name = name.lower()
        if name == b"content-length":
            self._framed = True
            self._exchange.expected = int(value) if value.isdigit() and len(value) < 16 else None
        elif name == b"transfer-encoding":
            self._framed = True
        elif name in _CHALLENGES:
            self.challenge = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.status = self._parser.get_status_code()
        if not self._interim:
            self._exchange.body = 0
            if self._bodiless:
                self._end()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        exchange = self._exchange
        exchange.body = (exchange.body or 0) + len(body)
        if exchange.body > exchange.limits.max_body:
            self._end(Interrupted(FailureKind.TOO_LARGE, f"the body is larger than {exchange.limits.max_body:,} bytes"))
        elif self._keep:
            self.kept.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one was."""
        if self._interim:
            self._framed, self._exchange.expected = False, None
        else:
            self._end()

    @property
    def _interim(self) -> bool:
        """100 Continue, 103 Early Hints: the answer itself is still to come (RFC 9110 section 15.2)."""
        return 100 <= self.status < 200 and self.status != 101

    def _look(self) -> None:
        """Time may be over; if something came meanwhile, look again later."""
        exchange = self._exchange
        left = exchange.patience(exchange.limits.read - exchange.silence())
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._end(exchange.silent())

    def _end(self, wrong: Interrupted | None = None) -> None:
        if self.over.done():
            return
        if wrong:
            self.over.set_exception(wrong)
        else:
            self.over.set_result(None)

    def close(self) -> None:
        """Let go of the connection, whatever state it is in."""
        if self._timer:
            self._timer.cancel()
        if self._transport:
            self._transport.abort()
        if self.over.done() and not self.over.cancelled():
            self.over.exception()  # seen
        else:
            self.over.cancel()
