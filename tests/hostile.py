"""A server on loopback that misbehaves: each path in its own way. For the tests of everything that talks to a target.

    with Hostile() as server:
        server.url("/drip-body")

The ways are in `tests.misbehaviours`; `Hostile(context)` with a context of `tests.authority` speaks TLS.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from tests.misbehaviours import BEHAVIOURS, Peer, Seen


class Hostile:
    """The server. `context` makes it speak TLS; `requests` is what has arrived."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._end = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._count = itertools.count(1)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.requests: list[Seen] = []
        self.port: int = self._listener.getsockname()[1]

    def url(self, path: str = "/ok", host: str = "127.0.0.1") -> str:
        """The address of a behaviour."""
        return f"{'https' if self._context else 'http'}://{host}:{self.port}{path}"

    def __enter__(self) -> Hostile:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        number = next(self._count)
        plain = sock
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            stream = sock.makefile("rb")
            for request in _requests(stream, number):
                self.requests.append(request)
                act = BEHAVIOURS.get(request.path.partition("?")[0])
                peer = Peer(sock, self._end, request)
                if act is None:
                    peer.answer(b"", status="404 Not Found")
                elif not act(peer):
                    break
            stream.detach()
        except ValueError:
            with contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        except OSError:
            pass  # the other side left, as it should
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            self._open -= {sock, plain}
            sock.close()


def _requests(stream: io.BufferedReader, number: int) -> Iterator[Seen]:
    """The requests of one connection, each read to its end: closing with unread bytes would send RST."""
    if stream.peek(1)[:1] == b"\x16":
        raise ValueError("a TLS handshake")  # it need not hold a line break to wait for
    while line := stream.readline():
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        yield Seen(method, path, headers, stream.read(int(headers.get("content-length", 0))), number)


@contextlib.contextmanager
def stalled(*, full: bool = False) -> Iterator[int]:
    """A port where connections are accepted by the kernel and by nobody else; `full`: not even by the kernel."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0 if full else 8))
        port = listener.getsockname()[1]
        for _ in range(2 if full else 0):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
