"""`/metrics` and `/health` of the resident watch: two pages, GET and HEAD alone, one answer for each connection."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Mapping

Answer = tuple[int, str, str]
"""Status, content type, body."""
_WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_PATIENCE, _MOST_LINES, _LONGEST = 5.0, 100, 8192


def address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464`, `[::1]:9464` or `:9464` (all interfaces). Raises ValueError in words."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address to listen on: write 127.0.0.1:9464, or off")
    return host or "0.0.0.0", int(port)


def is_open(host: str) -> bool:
    """Whether others than this machine can reach it."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


async def serve(host: str, port: int, pages: Mapping[str, Callable[[], Answer]]) -> asyncio.Server:
    """Answer until it is closed. Raises OSError where the address cannot be had."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            method, path = await asyncio.wait_for(_asked(reader), _PATIENCE)
            status, kind, body = 405, "text/plain; charset=utf-8", "GET or HEAD\n"
            if method in ("GET", "HEAD"):
                page = pages.get(path)
                status, kind, body = page() if page else (404, kind, "there are " + " and ".join(pages) + "\n")
            sent = body.encode()
            head = (
                f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(sent)}\r\n"
                "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + (b"" if method == "HEAD" else sent))
            await asyncio.wait_for(writer.drain(), _PATIENCE)
        with contextlib.suppress(OSError):
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=_LONGEST)


async def _asked(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Method and path of a request; its headers are read and mean nothing here."""
    first = (await reader.readuntil(b"\n")).decode("latin-1").split()
    if len(first) != 3:
        raise ValueError("no request line")
    for _ in range(_MOST_LINES):
        if (await reader.readuntil(b"\n")).strip() == b"":
            return first[0], first[1].partition("?")[0]
    raise ValueError("too many headers")
