"""The short way: a request that is whole in one piece and that no fault means, and the answer to it.

Most traffic is this, so it costs one function for each direction. It takes what it is sure of: one reader is the code
here, the other is llhttp, and both have to see the end at the last byte. Whatever else there is (a body in pieces, a
pipeline, an upgrade, a head that says anything unusual, a candidate among the faults) goes the long way of `inbound`
and `outbound`, which decides again from the same bytes.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import httptools

from dialtone.interceptor.connection import Connection
from dialtone.interceptor.exchange import Exchange
from dialtone.interceptor.framing import Complete
from dialtone.interceptor.heads import END, SHORT, RequestHead

if TYPE_CHECKING:
    from dialtone.interceptor.core import Core
    from dialtone.interceptor.outbound import Outbound

_METHODS = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"})
_CR, _LF = 13, 10


class Lane(Connection):
    """A client's connection, as far as the short way needs it."""

    __slots__ = ("_exchange", "_parser", "_said", "flight", "method", "requests", "started", "target")

    def __init__(self, core: Core, bound: str | None = None) -> None:
        super().__init__(core, bound)
        self.flight: bytes | None = None
        """A request that went the short way and has no answer yet; there is no `Exchange` of it so far."""
        self.method = self.target = b""
        """Of the request in flight."""
        self.started = 0.0
        self.requests = 0
        self._exchange: Exchange | None = None
        self._renew()

    def _renew(self) -> None:
        """llhttp starts anew: after an upgrade that nobody took, after a request that it refuses."""
        self._said = Complete()
        self._parser = httptools.HttpRequestParser(self._said)

    @property
    def exchange(self) -> Exchange | None:
        """What is under way. Who asks goes the long way, so a request in flight becomes an exchange here."""
        if self.flight is not None:
            self.land()
        return self._exchange

    @exchange.setter
    def exchange(self, exchange: Exchange | None) -> None:
        self.flight, self._exchange = None, exchange

    def land(self) -> None:
        """Make the exchange of the request in flight."""
        data, self.flight = self.flight or b"", None
        head, host = RequestHead(data[: data.find(END) + 4]), self.host or ""
        self._exchange = exchange = Exchange(
            self, head, host, self.core.hosts[host], None, self.requests, self.started  # type: ignore[arg-type] # Inbound is the one Lane
        )  # fmt: skip
        exchange.forwarded = True
        if self.outbound is not None:
            self.outbound.exchange = exchange

    def short(self, lane: Outbound, data: bytes) -> bool:
        """Send a request to its upstream if it may go the short way; else nothing has happened."""
        parts = data.split(b" ", 2)
        if len(parts) < 3 or len(data) > SHORT:
            return False
        method, target, rest = parts
        if method not in _METHODS or rest[:10] != b"HTTP/1.1\r\n" or _CR in target or _LF in target:
            return False
        text = str(rest, "latin-1").lower()  # of a text Python finds a part in half the time
        body = text.find("\r\n\r\n") + 4
        if body != len(text):
            if body < 4:
                return False
            head = text[:body]
            if f"\r\ncontent-length: {len(text) - body}\r\n" not in head:
                return False
        else:
            head = text
            if "\r\ncontent-length" in head and "\r\ncontent-length: 0\r\n" not in head:
                return False
        at = head.find("\r\nconnection:")
        if at >= 0 and not head.startswith(" keep-alive\r\n", at + 13):
            return False
        if "\r\ntransfer-encoding" in head or head.count("\r\nhost:") > 1 or target[0] != 47:
            return False
        core, host = self.core, self.host
        index = core.board.index
        if index is not None:
            path = target if b"?" not in target else target[: target.find(b"?")]
            if index.near(host, path):  # type: ignore[arg-type] # a lane has its host
                return False
        left = self._said.left
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._renew()
            return False
        if left:
            self._renew()
            return False
        left.append(True)
        self.requests += 1
        core.arrived[host] += 1  # type: ignore[index]
        self.method, self.target, self.started, self.flight = method, target, perf_counter(), data
        lane.transport.write(data)
        return True
