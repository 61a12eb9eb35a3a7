"""The Upstash client against a small server of the protocol, and against its misbehaviour."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from dialtone_receptionist.providers.upstash import Upstash, UpstashError

Answering = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def redis(answering: Answering) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads requests and has `answering` write; its address, and the heads that it has read."""
    heads: list[bytes] = []

    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(size)
                heads.append(head)
                await answering(body, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base", heads
    finally:
        server.close()
        await asyncio.gather(*connections)


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a length."""
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


async def echo(body: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer each command with its own length."""
    writer.write(answer(json.dumps([{"result": len(command)} for command in json.loads(body)]).encode()))


def test_pipeline_over_one_connection() -> None:
    """Commands go to /pipeline with the token; the connection is kept."""

    async def run() -> None:
        connections = set()

        async def noting(body: bytes, writer: asyncio.StreamWriter) -> None:
            connections.add(writer)
            await echo(body, writer)

        async with redis(noting) as (url, heads):
            client = Upstash(url, "token\n")
            for _ in range(3):
                assert await client.pipeline(("GET", "a"), ("SET", "a", 1)) == [2, 3]
            await client.close()
        assert heads[0].startswith(b"POST /base/pipeline HTTP/1.1\r\n")
        assert b"\r\nauthorization: Bearer token\r\n" in heads[0]
        assert len(connections) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(b'{"error":"WRONGPASS"}', b"401 Unauthorized"), "answered 401"),
        (answer(b'[{"error":"ERR max daily request limit exceeded"}]'), "with an error"),
        (answer(b"<html>"), "something else"),
        (answer(b"null"), "something else"),
        (b"SMTP ready\r\n\r\n", "did not answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n[", "did not answer"),
    ],
)
def test_anything_but_results_is_an_error(response: bytes, reason: str) -> None:
    """Refusals, failed commands, pages, garbage and half an answer."""

    async def run() -> None:
        async def answering(_: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(response)
            writer.close()

        async with redis(answering) as (url, _):
            with pytest.raises(UpstashError, match=reason):
                await Upstash(url, "t").pipeline(("PING",))

    asyncio.run(run())


def test_silence_ends_after_the_time_out() -> None:
    """A Redis that takes the request and says nothing costs the time-out, and its late answer meets nobody."""

    async def run() -> None:
        late: list[asyncio.StreamWriter] = []

        async def answering(body: bytes, writer: asyncio.StreamWriter) -> None:
            late.append(writer)
            if len(late) > 1:
                await echo(body, writer)

        async with redis(answering) as (url, _):
            client = Upstash(url, "t", timeout=0.05)
            with pytest.raises(UpstashError, match="TimeoutError"):
                await client.pipeline(("PING",))
            late[0].write(answer(b'[{"result":"late"}]'))
            client._timeout = 20.0
            assert await client.pipeline(("PING",)) == [1]
            await client.close()

    asyncio.run(run())


def test_an_idle_connection_that_was_closed_is_replaced() -> None:
    """The server may close between two requests without a request being lost."""

    async def run() -> None:
        async def answering(body: bytes, writer: asyncio.StreamWriter) -> None:
            await echo(body, writer)
            await writer.drain()
            writer.close()

        async with redis(answering) as (url, heads):
            client = Upstash(url, "t")
            for _ in range(3):
                assert await client.pipeline(("PING",)) == [1]
            assert len(heads) == 3
            await client.close()

    asyncio.run(run())


def test_nobody_listens() -> None:
    """A refused connection is an error at once; an address that is none is one when the client is made."""

    async def run() -> None:
        async with redis(echo) as (url, _):
            pass
        with pytest.raises(UpstashError, match="ConnectionRefusedError"):
            await Upstash(url, "t").pipeline(("PING",))

    asyncio.run(run())
    with pytest.raises(ValueError, match="REDIS_REST_URL"):
        Upstash("redis.example", "t")
