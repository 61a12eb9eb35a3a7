"""The edge's side of a client's connection: whole requests in, answers out in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httptools

from dialtone_receptionist.connections import Headers, UpstreamConnection
from dialtone_receptionist.edge.heads import (
    MOST_BODY,
    MOST_HEAD,
    answer_head,
    client_address,
    own_answer,
    request_head,
)

if TYPE_CHECKING:
    from dialtone_receptionist.edge.server import Edge

_IDLE = 60.0  # seconds until an idle connection is closed; less than the application keeps its side
_READING = 20.0  # seconds for a whole request
_ANSWERING = 60.0  # seconds for a whole answer
_LINGER = 2.0  # seconds in which the rest of a refused request is read, so that the refusal is not lost to a reset


@dataclass(slots=True)
class _Request:
    """A request, complete or while it is read."""

    target: bytes = b""
    headers: Headers = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    has_body: bool = False
    has_head: bool = False
    method: bytes = b""
    is_http_11: bool = True
    keeps_alive: bool = True


class ClientConnection(asyncio.Protocol):
    """One client. `scheme` is http or https; on the plain listener every request is redirected."""

    def __init__(self, edge: Edge, scheme: bytes, *, is_plain: bool = False) -> None:
        self._edge = edge
        self._scheme = scheme
        self._is_plain = is_plain
        self._transport: asyncio.Transport | None = None
        self._peer = b""
        self._parser = httptools.HttpRequestParser(self)
        self._reading: _Request | None = None
        self._head_size = 0
        self._waiting: deque[_Request] = deque()
        self._answering: _Request | None = None
        self._upstream: UpstreamConnection | None = None
        self._has_begun = False
        self._is_chunked = False
        self._out: list[bytes] = []
        self._is_refused = False
        self.deadline = 0.0
        """When the sweeper calls `expire`, on the loop's clock."""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]).encode() if peer else b"unknown"
        self._edge.connections.add(self)
        self._expect(_IDLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._edge.connections.discard(self)
        self._transport = None
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._is_refused:
            return
        if self._answering is None and self._reading is None:
            self._expect(_READING)
        if self._reading is None or not self._reading.has_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "UPGRADE_NOT_SUPPORTED")
        except httptools.HttpParserError:
            self._refuse(400, "BAD_REQUEST")
        else:
            if self._reading is not None and not self._reading.has_head and self._head_size > MOST_HEAD:
                self._refuse(431, "REQUEST_HEADER_TOO_LARGE")
            elif self._waiting and self._transport is not None:
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """A client may close its sending side and still wait for the answer."""
        return self._answering is not None

    def pause_writing(self) -> None:
        """See asyncio."""
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """See asyncio."""
        if self._upstream is not None:
            self._upstream.resume()

    # httptools

    def on_message_begin(self) -> None:
        """See httptools."""
        self._reading = None if self._is_refused else _Request()

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        if self._reading is not None:
            self._reading.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        if self._reading is not None:
            self._reading.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        request = self._reading
        if request is None:
            return
        request.has_head = True
        request.method = self._parser.get_method()
        request.is_http_11 = self._parser.get_http_version() == "1.1"
        size = len(request.target)
        for name, value in request.headers:
            size += len(name) + len(value)
            lower = name.lower()
            if lower == b"content-length":
                request.has_body = True
                if int(value) > MOST_BODY:
                    self._refuse(413, "FUNCTION_PAYLOAD_TOO_LARGE")
                    return
            elif lower == b"transfer-encoding":
                request.has_body = True
        if size > MOST_HEAD:
            self._refuse(431, "REQUEST_HEADER_TOO_LARGE")
        elif request.has_body and any(
            name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in request.headers
        ):
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        request = self._reading
        if request is not None:
            request.body += body
            if len(request.body) > MOST_BODY:
                self._refuse(413, "FUNCTION_PAYLOAD_TOO_LARGE")

    def on_message_complete(self) -> None:
        """See httptools."""
        request, self._reading, self._head_size = self._reading, None, 0
        if request is None:
            return
        request.keeps_alive = self._parser.should_keep_alive()
        if self._answering is None:
            self._answer(request)
        else:
            self._waiting.append(request)

    # the way to the application

    def _answer(self, request: _Request) -> None:
        edge = self._edge
        self._answering, self._has_begun, self._is_chunked = request, False, False
        self._expect(_ANSWERING)
        active = edge.switches.active()
        if self._is_plain and "plain-served" not in active:
            self._finish_with(308, "", edge.tls_url + request.target.decode("latin-1"))
            return
        client = client_address(request.headers, edge.client_header, self._peer)
        path = request.target.partition(b"?")[0]
        number = edge.count(active, client, path)
        if number and number % 6 == 0 and path == b"/api/health" and "health-flaps" in active:
            # Closed after the first bytes: without any, a client takes a kept connection for stale and tries again.
            self._write(b"HTTP/1.1 200 OK\r\n")
            request.keeps_alive = False
            self._next()
            return
        head = request_head(
            request.method,
            request.target,
            request.headers,
            client=client,
            client_header=edge.client_header,
            scheme=self._scheme,
            body_size=len(request.body) if request.has_body else None,
            number=number,
        )
        upstream = edge.next_upstream()
        connection = upstream.idle_connection()
        if connection is not None:
            self._send(connection, head, request)
        else:
            edge.spawn(self._connect_and_send(upstream.connect(), head, request))

    async def _connect_and_send(
        self, connecting: Coroutine[None, None, UpstreamConnection], head: bytes, request: _Request
    ) -> None:
        try:
            connection = await connecting
        except OSError:
            if self._answering is request:
                self.answer_fails()
            return
        if self._answering is request and self._transport is not None:
            self._send(connection, head, request)
        else:
            connection.close()

    def _send(self, connection: UpstreamConnection, head: bytes, request: _Request) -> None:
        self._upstream = connection
        data = head + request.body if request.body else head
        connection.send(data, self, is_head=request.method == b"HEAD")

    # the way back (upstream.Sink)

    def answer_begins(self, status: int, headers: Headers, *, has_length: bool) -> None:
        """See `Sink`."""
        request = self._answering
        if request is None:
            return
        self._has_begun = True
        if not has_length and status not in (204, 304) and request.method != b"HEAD":
            self._is_chunked = request.is_http_11
            request.keeps_alive = request.keeps_alive and request.is_http_11
        head = answer_head(
            status,
            headers,
            is_chunked=self._is_chunked,
            keeps_alive=request.keeps_alive,
            is_anonymous="edge-anonymous" in self._edge.switches.active(),
        )
        self._out.append(head)

    def answer_goes_on(self, data: bytes) -> None:
        """See `Sink`."""
        if self._is_chunked:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def answer_pauses(self) -> None:
        """See `Sink`."""
        if self._out:
            self._write(b"".join(self._out))
            self._out.clear()

    def answer_ends(self) -> None:
        """See `Sink`."""
        self._upstream = None
        if self._is_chunked:
            self._out.append(b"0\r\n\r\n")
        self.answer_pauses()
        self._next()

    def answer_fails(self) -> None:
        """See `Sink`."""
        self._upstream = None
        if self._has_begun:
            self.close()  # half an answer: only a broken connection tells the client
        else:
            self._finish_with(502, "NO_RESPONSE_FROM_FUNCTION")

    # endings

    def _next(self) -> None:
        request, self._answering = self._answering, None
        if self._transport is None:
            return
        if request is None or not request.keeps_alive or self._is_refused:
            self._transport.close()
        elif self._waiting:
            self._answer(self._waiting.popleft())
        else:
            self._expect(_IDLE if self._reading is None else _READING)
            if not self._transport.is_reading():
                self._transport.resume_reading()

    def _finish_with(self, status: int, code: str, location: str = "") -> None:
        """Answer the current request from here."""
        request = self._answering
        keeps_alive = request is not None and request.keeps_alive
        answer = self._own(status, code, keeps_alive=keeps_alive, location=location)
        if request is not None and request.method == b"HEAD":
            answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        self._write(answer)
        self._next()

    def _refuse(self, status: int, code: str) -> None:
        """Refuse the request that is being read, and everything after it."""
        if self._is_refused:
            return
        self._is_refused, self._reading = True, None
        self._waiting.clear()
        if self._answering is None:
            self._write(self._own(status, code, keeps_alive=False))
            self._expect(_LINGER)

    def expire(self) -> None:
        """The deadline is over."""
        if self._answering is not None and not self._has_begun:
            if self._upstream is not None:
                self._upstream.close()
                self._upstream = None
            self._answering.keeps_alive = False
            self._finish_with(504, "FUNCTION_INVOCATION_TIMEOUT")
        elif self._reading is not None:
            self._refuse(408, "REQUEST_TIMEOUT")
        else:
            self.close()

    def close(self) -> None:
        """Close at once, whatever is going on."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether no request is on its way."""
        return self._answering is None and self._reading is None

    def _own(self, status: int, code: str, *, keeps_alive: bool, location: str = "") -> bytes:
        is_anonymous = "edge-anonymous" in self._edge.switches.active()
        return own_answer(status, code, keeps_alive=keeps_alive, is_anonymous=is_anonymous, location=location)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _expect(self, seconds: float) -> None:
        self.deadline = self._edge.now() + seconds
