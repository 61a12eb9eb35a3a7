"""The ways in which a peer misbehaves, one function each; its name is the path under which `tests.hostile` serves it.

Nothing sleeps: what drips waits for the end of the server.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

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
def unframed(peer: Peer) -> None:
    """HTTP/1.0: the end of the connection is the end of the body; within TLS nobody says good-bye."""
    peer.send("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall there is")


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
