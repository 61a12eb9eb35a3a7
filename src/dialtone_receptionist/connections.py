"""HTTP/1.1 connections to one server: kept alive, one request at a time on each, as raw as asyncio has them.

For the two places that every request of a client passes: the edge (to the application processes) and the limits (to
Redis). A general HTTP client costs ten times the CPU.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import httptools

Headers = list[tuple[bytes, bytes]]

_MOST_IDLE = 32  # kept connections to each server


class Sink(Protocol):
    """Who waits for an answer."""

    def answer_begins(self, status: int, headers: Headers, *, has_length: bool) -> None:
        """Its head is here."""

    def answer_goes_on(self, data: bytes) -> None:
        """A piece of its body is here."""

    def answer_pauses(self) -> None:
        """What has come so far is all for now: time to pass it on."""

    def answer_ends(self) -> None:
        """It is complete."""

    def answer_fails(self) -> None:
        """The connection broke before the answer was complete."""


class Upstream:
    """One server: its address and the idle connections to it. `context` is for a server that speaks TLS."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._host, self._port, self._context = host, port, context
        self._idle: list[UpstreamConnection] = []

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(self), self._host, self._port, ssl=self._context
        )
        return connection

    def idle_connection(self) -> UpstreamConnection | None:
        """An idle connection, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request."""
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()


class UpstreamConnection(asyncio.Protocol):
    """One connection; `send` a request, and its answer goes to the sink."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._has_length = False
        self._is_chunked = False
        self._has_begun = False
        self._is_head = False
        self._has_ended = False
        self._keeps_alive = False

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes, sink: Sink, *, is_head: bool) -> None:
        """Send a whole request; `is_head` because the answer to HEAD announces a body that never comes."""
        assert self._transport is not None
        self._sink, self._is_head, self._has_ended = sink, is_head, False
        self._headers, self._has_length, self._is_chunked, self._has_begun = [], False, False, False
        self._transport.write(data)

    def close(self) -> None:
        """Break off; the sink hears nothing any more."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more until `resume`."""
        if self.is_open and self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.is_open and self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's subclasses

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._sink is None:
            self.close()  # the application speaks without being asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail()
            return
        if self._has_ended:
            self._finish()
        elif self._sink is not None:
            self._sink.answer_pauses()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if exc is None and self._has_begun and not self._has_length and not self._is_chunked:
            self._finish()  # an answer without a length ends with its connection
        else:
            self._fail()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        lower = name.lower()
        if lower == b"content-length":
            self._has_length = True
        elif lower == b"transfer-encoding":
            self._is_chunked = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        status = self._parser.get_status_code()
        if self._sink is not None and status >= 200:
            self._has_begun = True
            self._sink.answer_begins(status, self._headers, has_length=self._has_length)
            if self._is_head:
                self._has_ended = True
                self._keeps_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        if self._sink is not None:
            self._sink.answer_goes_on(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._parser.get_status_code() >= 200:
            self._has_ended = True
            self._keeps_alive = self._parser.should_keep_alive()  # forgotten by the parser when it is done

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        if self._is_head:
            self._parser = httptools.HttpResponseParser(self)  # the old one still waits for the body
        self.resume()
        if self._keeps_alive and self.is_open:
            self._upstream.give_back(self)
        else:
            self.close()
        if sink is not None:
            sink.answer_ends()

    def _fail(self) -> None:
        sink, self._sink = self._sink, None
        self.close()
        if sink is not None:
            sink.answer_fails()
