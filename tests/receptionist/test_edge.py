"""The edge on loopback, in front of two small servers that tell what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from dialtone_receptionist.defects import Switches
from dialtone_receptionist.edge.server import Edge
from dialtone_receptionist.settings import Settings

Answering = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


async def echo(text: str, writer: asyncio.StreamWriter) -> None:
    """Answer with what came in: the server's port, the head, the body."""
    head, _, body = text.partition("\r\n\r\n")
    seen = {"port": writer.get_extra_info("sockname")[1], "head": head.split("\r\n"), "body": body}
    data = json.dumps(seen).encode()
    shown = b"" if head.startswith("HEAD") else data
    writer.write(b"HTTP/1.1 200 OK\r\nx-twice: 1\r\nx-twice: 2\r\ncontent-length: %d\r\n\r\n%b" % (len(data), shown))


@asynccontextmanager
async def upstream(answering: Answering) -> AsyncIterator[tuple[str, int]]:
    """A server that reads whole requests (with a length) and has `answering` write; its address."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                size = next((int(x[16:]) for x in head.lower().split("\r\n") if x.startswith("content-length: ")), 0)
                await answering(head + (await reader.readexactly(size)).decode("latin-1"), writer)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await asyncio.gather(*connections)


class Place:
    """An edge with its files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        for name, host in (("good", "localhost"), ("wrong", "other.example")):
            certificate = self.authority.issue_cert(host)
            certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
            certificate.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        self.defects = folder / "defects.json"
        self.settings = Settings(
            database_url="",
            port=0,
            tls_port=0,
            plain_port=0,
            tls_cert_file=str(folder / "good.pem"),
            tls_key_file=str(folder / "good.key"),
            tls_wrong_host_cert_file=str(folder / "wrong.pem"),
            tls_wrong_host_key_file=str(folder / "wrong.key"),
            edge_client_header="X-Client-7",
        )

    @asynccontextmanager
    async def edge(self, *answering: Answering) -> AsyncIterator[Edge]:
        """A running edge before one server for each way of answering."""
        edge = Edge(self.settings, Switches(str(self.defects)))
        async with contextlib.AsyncExitStack() as stack:
            edge.use([await stack.enter_async_context(upstream(one)) for one in answering])
            await edge.start()
            try:
                yield edge
            finally:
                await edge.stop(0.1)

    def run(self, scenario: Callable[[Edge], Awaitable[None]], *answering: Answering) -> None:
        """Run a scenario against a fresh edge, within bounds."""

        async def inside() -> None:
            async with asyncio.timeout(60), self.edge(*(answering or (echo, echo))) as edge:
                try:
                    await scenario(edge)
                finally:
                    await Client.close_all()

        asyncio.run(inside())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Certificates cost a while: one place for all tests of this module."""
    return Place(tmp_path_factory.mktemp("edge"))


class Client:
    """A connection to the edge that speaks bytes."""

    made: ClassVar[list[Client]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.made.append(self)

    @classmethod
    async def close_all(cls) -> None:
        """Close every connection that was made."""
        while cls.made:
            writer = cls.made.pop().writer
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    @classmethod
    async def to(cls, port: int, context: ssl.SSLContext | None = None) -> Client:
        """Connect."""
        name = "localhost" if context else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name))

    async def ask(self, request: bytes) -> tuple[int, dict[str, list[str]], bytes]:
        """Send a request and read its answer: status, headers, body."""
        self.writer.write(request)
        return await self.read(is_head=request.startswith(b"HEAD"))

    async def read(self, *, is_head: bool = False) -> tuple[int, dict[str, list[str]], bytes]:
        """Read one answer."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers: dict[str, list[str]] = {}
        for name, _, value in (line.partition(": ") for line in lines):
            headers.setdefault(name.lower(), []).append(value)
        status = int(first.split()[1])
        body = b""
        if not is_head and status not in (204, 304):
            if "chunked" in headers.get("transfer-encoding", []):
                while size := int(await self.reader.readline(), 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readline()
                await self.reader.readline()
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"][0]))
            else:
                body = await self.reader.read()
        return status, headers, body

    async def is_closed(self) -> bool:
        """Whether the edge closes the connection."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read(1) == b""
        return True


GET = b"GET /landing HTTP/1.1\r\nHost: app.example\r\n\r\n"


def test_requests_go_to_the_processes_in_turn(place: Place) -> None:
    """Strict round robin by request, over one kept connection and over new ones."""

    async def scenario(edge: Edge) -> None:
        ports = []
        client = await Client.to(edge.ports[0])
        ports += [json.loads((await client.ask(GET))[2])["port"] for _ in range(4)]
        for _ in range(2):
            ports.append(json.loads((await (await Client.to(edge.ports[0])).ask(GET))[2])["port"])
        assert ports == [ports[0], ports[1]] * 3
        assert ports[0] != ports[1]

    place.run(scenario)


def test_connections_to_the_processes_are_kept(place: Place) -> None:
    """A request costs no new connection behind the edge, HEAD and bodies without a length included."""
    peers = set()

    async def answering(text: str, writer: asyncio.StreamWriter) -> None:
        peers.add(writer.get_extra_info("peername"))
        if text.startswith("PUT"):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        else:
            await echo(text, writer)

    async def scenario(edge: Edge) -> None:
        for method in (b"GET", b"HEAD", b"PUT", b"GET"):
            client = await Client.to(edge.ports[0])
            assert (await client.ask(method + GET[3:]))[0] == 200
        assert len(peers) == 1

    place.run(scenario, answering)


def test_what_the_application_trusts_is_the_edges(place: Place) -> None:
    """X-Forwarded-For is the peer's address over whatever the client sends; x-vercel-* and counts are taken out."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        request = (
            b"GET /x?y HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\n"
            b"X-Vercel-Id: forged\r\nX-Edge-Request-Number: 6\r\nX-Real-IP: 8.8.8.8\r\nConnection: keep-alive\r\n%b\r\n"
        )
        head = json.loads((await client.ask(request % b""))[2])["head"]
        assert head[0] == "GET /x?y HTTP/1.1"
        assert "x-forwarded-for: 127.0.0.1" in head
        assert "x-forwarded-proto: http" in head
        assert "x-forwarded-host: app.example" in head
        text = "\n".join(head).lower()
        assert "9.9.9.9" not in text
        assert "forged" not in text
        assert "number" not in text
        assert "x-real-ip: 8.8.8.8" in text  # a client's claim: passed on, for the application to ignore
        head = json.loads((await client.ask(request % b"x-client-7: 198.18.0.7\r\n"))[2])["head"]
        assert "x-forwarded-for: 198.18.0.7" in head
        assert not any(line.lower().startswith("x-client-7") for line in head)

    place.run(scenario)


def test_answers_carry_the_edges_headers(place: Place) -> None:
    """Region and cache state, each once; the application's own headers stay, doubled ones too."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        _, headers, _ = await client.ask(GET)
        assert headers["x-vercel-cache"] == ["MISS"]
        assert headers["x-vercel-id"][0].startswith("iad1::iad1::")
        assert headers["x-twice"] == ["1", "2"]
        again = (await client.ask(GET))[1]
        assert again["x-vercel-id"] != headers["x-vercel-id"]
        place.defects.write_text('["edge-anonymous"]')
        assert "x-vercel-id" not in (await client.ask(GET))[1]
        place.defects.unlink()

    place.run(scenario)


def test_bodies_in_every_form(place: Place) -> None:
    """With a length, chunked, in pieces, with Expect: 100-continue; and pipelined requests are answered in order."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        start = b"POST /p HTTP/1.1\r\nHost: a\r\n"
        seen = json.loads((await client.ask(start + b"content-length: 3\r\n\r\nabc"))[2])
        assert seen["body"] == "abc"
        client.writer.write(start + b"transfer-encoding: chunked\r\n\r\n2\r\nde\r\n")
        seen = json.loads((await client.ask(b"1\r\nf\r\n0\r\n\r\n"))[2])
        assert seen["body"] == "def"
        assert "content-length: 3" in seen["head"]
        client.writer.write(start + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert json.loads((await client.ask(b"gh"))[2])["body"] == "gh"
        client.writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(5)))
        lines = [json.loads((await client.read())[2])["head"][0] for _ in range(5)]
        assert lines == [f"GET /{n} HTTP/1.1" for n in range(5)]

    place.run(scenario)


def test_answers_in_every_form(place: Place) -> None:
    """HEAD, 204, 304, chunked, without a length, and all of that for an HTTP/1.0 client."""

    async def answering(text: str, writer: asyncio.StreamWriter) -> None:
        if text.startswith(("GET /204", "GET /304")):
            writer.write(b"HTTP/1.1 %b X\r\n\r\n" % text[5:8].encode())
        elif text.startswith("GET /chunked"):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await writer.drain()
            writer.write(b"2\r\nde\r\n0\r\n\r\n")
        elif text.startswith("GET /until-close"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
            writer.close()
        else:
            await echo(text, writer)

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        for path, status, body in (
            (b"/204", 204, b""),
            (b"/304", 304, b""),
            (b"/chunked", 200, b"abcde"),
            (b"/until-close", 200, b"all of it"),
        ):
            answer = await client.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            assert (answer[0], answer[2]) == (status, body)
        status, headers, _ = await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, int(headers["content-length"][0]) > 0) == (200, True)
        assert (await client.ask(GET))[0] == 200
        old = await Client.to(edge.ports[0])
        status, headers, body = await old.ask(b"GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n")
        assert (body, headers["connection"]) == (b"abcde", ["close"])

    place.run(scenario, answering)


def test_an_upgrade_is_not_taken_up(place: Place) -> None:
    """A request for another protocol is answered as what it is otherwise, and nothing after it is read."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
        status, _, body = await client.ask(request + b"\x81\x05hello")
        assert (status, "upgrade" in body.decode().lower()) == (200, False)
        assert await client.is_closed()

    place.run(scenario)


def test_a_client_that_wants_to_close_is_closed(place: Place) -> None:
    """Connection: close is honoured, and a client may close its sending side before it reads."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        _, headers, _ = await client.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert headers["connection"] == ["close"]
        assert await client.is_closed()
        client = await Client.to(edge.ports[0])
        client.writer.write(GET)
        client.writer.write_eof()
        assert (await client.read())[0] == 200

    place.run(scenario)


def test_a_dying_process_is_a_502(place: Place) -> None:
    """No answer, no connection, garbage: 502 with its code; half an answer: a broken connection."""

    async def answering(text: str, writer: asyncio.StreamWriter) -> None:
        if text.startswith("GET /half"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            await writer.drain()
        elif text.startswith("GET /garbage"):
            writer.write(b"nonsense\r\n\r\n")
        writer.close()

    async def scenario(edge: Edge) -> None:
        for path in (b"/none", b"/garbage"):
            client = await Client.to(edge.ports[0])
            status, headers, _ = await client.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            assert (status, headers["x-vercel-error"]) == (502, ["NO_RESPONSE_FROM_FUNCTION"])
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
        edge.use([("127.0.0.1", 1)])
        client = await Client.to(edge.ports[0])
        assert (await client.ask(GET))[0] == 502
        assert (await client.ask(b"HEAD" + GET[3:]))[0] == 502

    place.run(scenario, answering)


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", 431, "REQUEST_HEADER_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 40_000, 431, "REQUEST_HEADER_TOO_LARGE"),
        (b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 9999999\r\n\r\n", 413, "FUNCTION_PAYLOAD_TOO_LARGE"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"100000\r\n"
            + b"z" * 0x100000
            + b"\r\n"
            b"400000\r\n" + b"z" * 0x400000,
            413,
            "FUNCTION_PAYLOAD_TOO_LARGE",
        ),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", 400, "BAD_REQUEST"),
    ],
    ids=["long head", "endless head", "long body", "long chunked body", "garbage"],
)
def test_what_is_too_much_is_refused(place: Place, request_bytes: bytes, status: int, code: str) -> None:
    """Bounded heads and bodies; the refusal is read even by a client that is still sending."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[0])
        got, headers, _ = await client.ask(request_bytes)
        assert (got, headers["x-vercel-error"], headers["connection"]) == (status, [code], ["close"])

    place.run(scenario)


def test_deadlines(place: Place) -> None:
    """An idle connection is closed, half a request is a 408, an answer that does not come is a 504."""

    async def silent(text: str, writer: asyncio.StreamWriter) -> None:
        return

    async def scenario(edge: Edge) -> None:
        idle, slow, waiting = [await Client.to(edge.ports[0]) for _ in range(3)]
        slow.writer.write(GET[:20])
        waiting.writer.write(GET)
        while len([c for c in edge.connections if not c.is_idle]) < 2:  # noqa: ASYNC110  # no time passes
            await asyncio.sleep(0)
        for connection in tuple(edge.connections):
            connection.expire()
        assert await idle.is_closed()
        assert (await slow.read())[0] == 408
        assert (await waiting.read())[0] == 504

    place.run(scenario, silent)


def test_tls_and_its_defects(place: Place) -> None:
    """The good certificate verifies; another host's is presented from the next handshake on, without a restart."""
    context = ssl.create_default_context()
    place.authority.configure_trust(context)

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[1], context)
        status, _, body = await client.ask(GET)
        assert status == 200
        assert "x-forwarded-proto: https" in json.loads(body)["head"]
        place.defects.write_text('["cert-wrong-host"]')
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await Client.to(edge.ports[1], context)
        assert (await client.ask(GET))[0] == 200
        place.defects.unlink()
        await Client.to(edge.ports[1], context)

    place.run(scenario)


def test_the_plain_listener_redirects(place: Place) -> None:
    """Every path to the same path over TLS; with plain-served it serves."""

    async def scenario(edge: Edge) -> None:
        client = await Client.to(edge.ports[2])
        status, headers, _ = await client.ask(b"GET /a/b?c=d HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, headers["location"]) == (308, [f"https://localhost:{edge.ports[1]}/a/b?c=d"])
        place.defects.write_text('["plain-served"]')
        assert (await client.ask(GET))[0] == 200
        place.defects.unlink()

    place.run(scenario)


def test_every_sixth_health_request_of_a_client_crashes(place: Place) -> None:
    """health-flaps counts by client and path, and closes after the first bytes of an answer."""

    async def scenario(edge: Edge) -> None:
        place.defects.write_text('["health-flaps"]')
        request = b"GET /api/health HTTP/1.1\r\nHost: a\r\nx-client-7: %b\r\n\r\n"
        outcomes = []
        for number in range(13):
            client = await Client.to(edge.ports[0])
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                status, _, body = await client.ask(request % b"198.18.0.1")
                assert f"x-edge-request-number: {number + 1}" in json.loads(body)["head"]
                outcomes.append(status)
                continue
            outcomes.append(0)
        assert outcomes == [200] * 5 + [0] + [200] * 5 + [0, 200]
        assert (await (await Client.to(edge.ports[0])).ask(request % b"198.18.0.2"))[0] == 200
        place.defects.unlink()

    place.run(scenario)
