"""A server on loopback that misbehaves: each path in its own way. For the tests of everything that talks to a target.

    with Hostile() as server:
        server.url("/drip-body")

A behaviour is one function below; its path is its name. Nothing sleeps: what drips waits on the server's end.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import trustme

TICK = 0.01  # seconds between two bytes of what drips


@dataclass(frozen=True)
class Seen:
    """A request that arrived. `connection` counts connections from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Peer:
    """One connection, for a behaviour to act on."""

    sock: socket.socket
    end: threading.Event
    request: Seen

    def send(self, data: bytes | str) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def answer(self, body: bytes, *headers: str, status: str = "200 OK", kind: str = "text/plain") -> None:
        """Send a whole answer with the right length."""
        lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *headers]
        self.send("\r\n".join(lines) + "\r\n\r\n")
        self.send(body)

    def tick(self) -> bool:
        """Wait a moment; False when the server ends."""
        return not self.end.wait(TICK)

    def reset(self) -> None:
        """Cut the connection with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Behaviour = Callable[[Peer], bool | None]
BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(function: Behaviour) -> Behaviour:
    """Register under the function's name; one that returns True keeps the connection open for the next request."""
    BEHAVIOURS["/" + function.__name__.removesuffix("_").replace("_", "-")] = function
    return function


@behaviour
def ok(peer: Peer) -> bool:
    """A small JSON answer."""
    peer.answer(b'{"status":"ok"}', kind="application/json")
    return True


@behaviour
def echo(peer: Peer) -> bool:
    """What arrived, as JSON."""
    seen = peer.request
    told = {"method": seen.method, "path": seen.path, "headers": seen.headers, "body": seen.body.decode("latin-1")}
    peer.answer(json.dumps(told).encode(), kind="application/json")
    return True


@behaviour
def two_cookies(peer: Peer) -> bool:
    """Two headers of one name."""
    peer.answer(b"", "set-cookie: a=1", "Set-Cookie: b=2")
    return True


@behaviour
def once(peer: Peer) -> None:
    """A good answer that promises to keep the connection, and then closes it."""
    peer.answer(b"once")


@behaviour
def nothing(peer: Peer) -> None:
    """The connection is closed without an answer."""


@behaviour
def silence(peer: Peer) -> None:
    """Not a byte, for ever."""
    peer.end.wait()


@behaviour
def half(peer: Peer) -> None:
    """The first bytes of a body, then nothing more, for ever."""
    peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n12345")
    peer.end.wait()


@behaviour
def reset_before(peer: Peer) -> None:
    """RST instead of an answer."""
    peer.reset()


@behaviour
def reset_mid_body(peer: Peer) -> None:
    """RST after 512 bytes of the body."""
    peer.send("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n" + "x" * 512)
    peer.reset()


@behaviour
def short(peer: Peer) -> None:
    """Fewer bytes than content-length says."""
    peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n12345")


@behaviour
def drip_body(peer: Peer) -> None:
    """A body that never ends, a byte at a time."""
    peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while peer.tick():
        peer.send("1\r\nx\r\n")


@behaviour
def drip_headers(peer: Peer) -> None:
    """Headers that never end, a byte at a time."""
    peer.send("HTTP/1.1 200 OK\r\nx-endless: ")
    while peer.tick():
        peer.send("x")


@behaviour
def drip_informational(peer: Peer) -> None:
    """Interim answers (103) for ever."""
    while peer.tick():
        peer.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n")


@behaviour
def huge(peer: Peer) -> None:
    """100 MB, chunked."""
    peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for _ in range(100):
        peer.send(chunk)
    peer.send("0\r\n\r\n")


@behaviour
def huge_headers(peer: Peer) -> None:
    """A header of a megabyte."""
    peer.send("HTTP/1.1 200 OK\r\nx-huge: " + "x" * (1 << 20) + "\r\n\r\n")


@cache
def _bomb() -> bytes:
    """100 MB of zeros in 100 kB of gzip: a megabyte, then its block repeated, since a full flush forgets the past."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * 99 + packer.flush()


@behaviour
def gzip_bomb(peer: Peer) -> None:
    """100 kB that unpack to 100 MB."""
    peer.answer(_bomb(), "content-encoding: gzip")


@behaviour
def gzip_empty_members(peer: Peer) -> None:
    """Compressed bytes without end that unpack to nothing."""
    member = gzip.compress(b"")
    peer.send("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n")
    with contextlib.suppress(OSError):
        while not peer.end.is_set():
            peer.send(member * 1000)


@behaviour
def gzip_(peer: Peer) -> bool:
    """A compressed answer, in two members."""
    peer.answer(gzip.compress(b'{"packed":') + gzip.compress(b"true}"), "content-encoding: gzip")
    return True


@behaviour
def gzip_damaged(peer: Peer) -> None:
    """A compressed answer with a flipped byte."""
    data = bytearray(gzip.compress(bytes(range(256)) * 8))
    data[40] ^= 0xFF
    peer.answer(bytes(data), "content-encoding: gzip")


@behaviour
def gzip_truncated(peer: Peer) -> None:
    """A compressed answer that ends too early, of the right length."""
    peer.answer(gzip.compress(bytes(range(256)) * 8)[:-20], "content-encoding: gzip")


@behaviour
def deflate(peer: Peer) -> bool:
    """Deflate as the standard has it."""
    peer.answer(zlib.compress(b"deflated"), "content-encoding: deflate")
    return True


@behaviour
def deflate_bare(peer: Peer) -> bool:
    """Deflate as some send it, without its frame, in pieces of one byte."""
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(b"bare deflate " * 20) + packer.flush()
    peer.send("HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\ntransfer-encoding: chunked\r\n\r\n")
    for byte in data:
        peer.send(b"1\r\n" + bytes([byte]) + b"\r\n")
    peer.send("0\r\n\r\n")
    return True


@behaviour
def brotli(peer: Peer) -> None:
    """An encoding that nobody offered."""
    peer.answer(b"\x8b\x02\x80secret\x03", "content-encoding: br")


@behaviour
def not_json(peer: Peer) -> None:
    """A web page that says it is JSON's place."""
    peer.answer(b"<html>customer Jane Roe</html>", kind="text/html; charset=utf-8")


@behaviour
def wrong_charset(peer: Peer) -> None:
    """Latin-1 that says it is UTF-8."""
    peer.answer("caf\xe9 Jane Roe".encode("latin-1"), kind="text/plain; charset=utf-8")


@behaviour
def unknown_charset(peer: Peer) -> None:
    """A charset that there is not."""
    peer.answer(b"text", kind="text/plain; charset=klingon-1")


@behaviour
def garbage(peer: Peer) -> None:
    """Something else than HTTP."""
    peer.send("SSH-2.0-OpenSSH_9.2\r\n\r\n")


@behaviour
def challenge(peer: Peer) -> None:
    """A challenge page as Cloudflare sends it."""
    body = b"<!DOCTYPE html><title>Just a moment...</title>"
    peer.answer(body, "cf-mitigated: challenge", status="403 Forbidden", kind="text/html; charset=UTF-8")


def _redirect(peer: Peer, where: str, status: str = "302 Found") -> bool:
    peer.answer(b"", f"location: {where}", status=status)
    return True


@behaviour
def loop(peer: Peer) -> bool:
    """A redirect to its partner, which leads back."""
    return _redirect(peer, "/loop-back?token=hidden")


@behaviour
def loop_back(peer: Peer) -> bool:
    """The other half of the circle."""
    return _redirect(peer, "/loop")


@behaviour
def down(peer: Peer) -> bool:
    """A redirect to itself with another number, for ever."""
    number = int(peer.request.path.partition("?")[2] or 0)
    return _redirect(peer, f"/down?{number + 1}")


@behaviour
def moved(peer: Peer) -> bool:
    """A redirect that makes a POST a GET."""
    return _redirect(peer, "/echo", "303 See Other")


@behaviour
def moved_same(peer: Peer) -> bool:
    """A redirect that keeps method and body."""
    return _redirect(peer, "/echo", "307 Temporary Redirect")


@behaviour
def away(peer: Peer) -> bool:
    """A redirect to another host."""
    return _redirect(peer, "http://elsewhere.example/")


@behaviour
def nowhere(peer: Peer) -> bool:
    """A redirect to what is no URL."""
    return _redirect(peer, "http://[half")


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
            thread.join(5)

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


@dataclass
class Authority:
    """A throw-away authority and contexts with certificates of it, good ones and others."""

    ca: trustme.CA = field(default_factory=trustme.CA)

    def good(self, *names: str, days: float = 90) -> ssl.SSLContext:
        """A certificate for these names (127.0.0.1 and localhost), valid for so many days more."""
        now = datetime.now(UTC)
        return self._context(names, now - timedelta(days=90), now + timedelta(days=days))

    def expired(self) -> ssl.SSLContext:
        """A certificate that was valid until 2026-01-02."""
        return self._context((), datetime(2025, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC))

    def future(self) -> ssl.SSLContext:
        """A certificate that is valid from 2120-01-02."""
        return self._context((), datetime(2120, 1, 2, tzinfo=UTC), datetime(2121, 1, 2, tzinfo=UTC))

    def self_signed(self) -> ssl.SSLContext:
        """A certificate that nobody but itself vouches for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with self.ca.cert_pem.tempfile() as cert, self.ca.private_key_pem.tempfile() as key:
            context.load_cert_chain(cert, key)
        return context

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def _context(self, names: tuple[str, ...], not_before: datetime, not_after: datetime) -> ssl.SSLContext:
        names = names or ("127.0.0.1", "localhost")
        cert = self.ca.issue_cert(*names, common_name=names[0], not_before=not_before, not_after=not_after)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(context)
        return context
