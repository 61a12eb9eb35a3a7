"""An interceptor and an upstream, both real, on a loop in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dialtone.interceptor.plan import parse
from dialtone.interceptor.run import loop_factory
from dialtone.interceptor.server import Interceptor
from dialtone.interceptor.settings import build
from dialtone.interceptor.tls import Authority

T = TypeVar("T")
BODY = bytes(range(256)) * 4
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\nX-Upstream: yes\r\n\r\n" + BODY


class Upstream:
    """Keeps the bytes of every request and answers as its path says, or with what `say` was given."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.serving = 0
        self.say: Callable[[bytes], bytes | None] = lambda _: ANSWER
        self.server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; the port."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        return int(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                if found := re.search(rb"content-length: *(\d+)", head, re.I):
                    body = await reader.readexactly(int(found[1]))
                elif b"chunked" in head.lower():
                    body = await _chunks(reader)
                self.requests.append(head + body)
                answer = self.say(head + body)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer.lower():
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.serving -= 1
            writer.close()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body with its trailer, as it came."""
    got, size = b"", -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        got += line
        if size:
            got += await reader.readexactly(size + 2)
    while got[-2:] == b"\r\n" and (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        got += line
    return got + b"\r\n"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Plain TCP: says what it hears, and the rest when its client has said everything."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"[end]")
    except OSError:
        pass
    finally:
        writer.close()


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Proxy:
    """The interceptor as tests see it. `api.test` has a listener of its own, `tcp.test` is plain TCP."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.upstream = Upstream()
        self.folder = folder
        self._runner = asyncio.Runner(loop_factory=loop_factory())
        self.loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._end: asyncio.Event
        self._authority = authority
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        with self._runner as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._end = asyncio.Event()
        port = await self.upstream.start()
        echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
        settings = build(
            {
                "hosts": {
                    "api.test": {"upstream": f"http://127.0.0.1:{port}", "listen": "127.77.0.2:0"},
                    "other.test": f"http://127.0.0.1:{port}",
                    "dead.test": "http://127.0.0.1:1",
                    "oauth2.googleapis.com": f"http://127.0.0.1:{port}",
                    "*.supabase.co": f"http://127.0.0.1:{port}",
                    "renamed.test": {"upstream": f"http://127.0.0.1:{port}", "host": "upstream"},
                    "tcp.test": {
                        "upstream": f"tcp://127.0.0.1:{echo.sockets[0].getsockname()[1]}",
                        "listen": "127.77.0.3:0",
                    },
                },
                "folder": str(self.folder),
            }
        )
        self.interceptor = Interceptor(settings, token="token-of-the-tests", authority=self._authority)
        await self.interceptor.start()
        self.core = self.interceptor.core
        self._ready.set()
        await self._end.wait()
        await self.interceptor.close()
        if self.upstream.server is not None:
            self.upstream.server.close()
        echo.close()

    def stop(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(60)

    def call(self, work: Callable[[], T]) -> T:
        """Run a function on the interceptor's loop."""

        async def run() -> T:
            return work()

        return self.await_(run())

    def await_(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def put(self, *faults: dict[str, Any], seed: int = 0) -> None:
        """Take faults; without a match they mean everything, without a TTL they last for the test."""
        specs = parse({"seed": seed, "faults": [{"ttl": 30, **fault} for fault in faults]})
        self.call(lambda: self.core.board.put(specs))
        self.settle()

    def settle(self) -> None:
        """Wait until listeners have turned as the faults want."""

        async def wait() -> None:
            while self.interceptor._tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        self.await_(wait())

    def address(self, host: str = "api.test") -> tuple[str, int]:
        """Where a host's listener is; `*` is the shared one."""
        listener = self.interceptor.listeners[host]
        return listener.address, listener.port

    def connect(self, host: str = "api.test", timeout: float = 30) -> socket.socket:
        """A connection to a listener."""
        return socket.create_connection(self.address(host), timeout=timeout)

    def lines(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The journal since the test began."""
        read = self.call(lambda: self.core.journal.since(self._since, 10**6))
        return [line for raw in read if kind in (None, (line := json.loads(raw))["kind"])]

    @contextlib.contextmanager
    def clock_by_hand(self) -> Iterator[Clock]:
        """The faults' clock stands, and moves when a test says so."""
        board = self.core.board
        before, hand = board.clock, Clock(board.clock())
        board.clock = hand
        try:
            yield hand
        finally:
            board.clock = before

    async def _heard(self) -> None:
        """The upstream has seen the end of every connection: what is still on its way would be the next test's."""
        async with asyncio.timeout(30):
            while self.upstream.serving:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def reset(self) -> None:
        """As if it had just been started."""

        def clean() -> None:
            self.core.board.release()
            self.core.board.end()
            for connection in list(self.core.connections.values()):
                connection.abort()
            self._since = self.core.journal.count

        self.call(clean)
        self.settle()
        self.await_(self._heard())
        self.upstream.requests.clear()
        self.upstream.say = lambda _: ANSWER


@pytest.fixture(scope="session")
def authority() -> Authority:
    """One for all tests: keys take time."""
    return Authority()


@pytest.fixture(scope="session")
def _proxy(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Proxy]:
    made = Proxy(tmp_path_factory.mktemp("interceptor"), authority)
    yield made
    made.stop()


@pytest.fixture
def proxy(_proxy: Proxy) -> Proxy:
    """An interceptor without faults and an upstream that answers `ANSWER`."""
    _proxy.reset()
    return _proxy


_BEAT = 0.005
Slack = Callable[[], float]


@pytest.fixture
def slack() -> Iterator[Slack]:
    """Seconds that the machine may add to what a test times: some always, and by how much a beat beside it came late.

    So an upper bound is as tight as the machine is idle; what a fault adds is bounded below exactly, without it.
    """
    late, end = [0.15], threading.Event()

    def beat() -> None:
        while not end.is_set():
            begin = time.perf_counter()
            end.wait(_BEAT)
            late[0] += max(0.0, time.perf_counter() - begin - _BEAT)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    yield lambda: late[0]
    end.set()
    thread.join()


def ask(sock: socket.socket, request: bytes = b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n") -> bytes:
    """Send a request and read one answer with a Content-Length, or whatever comes until the end."""
    sock.sendall(request)
    return read_answer(sock)


def read_answer(sock: socket.socket) -> bytes:
    """One answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: *(\d+)", head, re.I)
    length = int(found[1]) if found else 10**9
    while len(body) < length and (piece := sock.recv(65536)):
        body += piece
    return head + b"\r\n\r\n" + body


def rest(sock: socket.socket) -> bytes:
    """Everything until the end of the connection."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data
