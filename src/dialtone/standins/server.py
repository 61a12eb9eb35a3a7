"""The listeners: every stand-in on a loopback port of its own, all of them in one event loop.

HTTP is uvicorn's work (httptools parser, one server over many sockets); which stand-in is meant follows from the
port a request arrived at. The application calls one of them for every page it serves, so nothing stands between the
server and a stand-in that is not needed: no routing framework, no access log.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dialtone.standins.exchange import Exchange, own_answer
from dialtone.standins.standin import StandIn
from dialtone.standins.wire import Answer, Request, text_answer

HOST = "127.0.0.1"
MAX_BODY = 8 * 2**20
_KEEP_ALIVE = 120
"""Seconds. Longer than any client keeps an idle connection, so that none meets one that is just being closed."""


class Application:
    """The ASGI application: gathers a request, has it taken, waits out the delay and sends the answer."""

    def __init__(self, standins: Mapping[int, StandIn], exchange: Exchange) -> None:
        self._standins, self._exchange = standins, exchange

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one request, as ASGI 3 says."""
        body = await _body(receive)
        if body is None:
            await _send(send, text_answer(413, "more than the stand-in reads"))
            return
        standin = self._standins[scope["server"][1]]
        request = Request(
            scope["method"],
            scope["path"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body,
        )
        if standin.name == "journal":
            answer = own_answer(standin, request)
        elif standin.blocking:
            answer = await self._exchange.take_blocking(standin, request)
        else:
            answer = self._exchange.take(standin, request)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.status:
            await _send(send, answer)
        else:
            scope["state"]["connection"].close()
            await receive()  # until it is closed: uvicorn would answer 500 for an application that says nothing


async def _body(receive: Any) -> bytes | None:
    """The whole body; None when it is longer than `MAX_BODY` or the client went away in the middle of it."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Any, answer: Answer) -> None:
    headers = [(b"content-length", str(len(answer.body)).encode())]
    if answer.content_type and "content-type" not in answer.headers:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
    headers += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection at hand for answers that close it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["connection"] = self.transport


class _Server(uvicorn.Server):
    """uvicorn's server without signal handlers: the process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(port: int) -> socket.socket:
    """A socket bound to a port of 127.0.0.1; 0 is any free one. Raises OSError when the port is taken."""
    # With the protocol named: asyncio switches Nagle's algorithm off only on sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


async def serve(application: Application, sockets: list[socket.socket]) -> asyncio.Task[None]:
    """Start to serve on the sockets; returns when all of them accept. Cancel the task to stop: what is open is cut."""
    config = uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    server = _Server(config)
    task = asyncio.create_task(_until_cancelled(server, sockets))
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.001)
    return task


async def _until_cancelled(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    try:
        await server.serve(sockets=sockets)
    finally:  # uvicorn ends its connections when it is asked to stop, not when it is cancelled
        for listening in server.servers:
            listening.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which the loop closes their sockets
