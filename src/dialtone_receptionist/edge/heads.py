"""Heads of requests and answers on their way through the edge, and the answers that it gives itself."""

from __future__ import annotations

import random
import time
from http import HTTPStatus

from dialtone_receptionist.connections import Headers

MOST_HEAD = 32 * 1024
"""Bytes of a request head (its lines and headers together)."""
MOST_BODY = 4_718_592
"""Bytes of a request body: 4.5 MB, as on Vercel."""

COUNT_HEADER = b"x-edge-request-number"
"""Tells the application the number of a client's request for a path while a defect counts them."""

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_REWRITTEN = _HOP_BY_HOP | {
    b"content-length",
    b"expect",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    COUNT_HEADER,
}
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_random = random.Random()  # noqa: S311  # ids for people to search for, not secrets


def request_id() -> bytes:
    """An `x-vercel-id`: region of the edge, region of the function, and an id with its time in milliseconds."""
    bits = _random.getrandbits(80)
    return b"iad1::iad1::%05x-%d-%012x" % (bits >> 60, time.time() * 1000, bits & 0xFFFFFFFFFFFF)


def request_head(
    method: bytes,
    target: bytes,
    headers: Headers,
    *,
    client: bytes,
    client_header: bytes,
    scheme: bytes,
    body_size: int | None,
    number: int,
) -> bytes:
    """The head that the application sees. What it trusts is written here over whatever the client sent.

    `client` is the client's address, the header `client_header` is taken out. A `body_size` of None means no body, a
    `number` of 0 that nobody counts.
    """
    lines = [method, b" ", target, b" HTTP/1.1\r\n"]
    host = b""
    for name, value in headers:
        lower = name.lower()
        if lower in _REWRITTEN or lower == client_header or lower.startswith(b"x-vercel-"):
            continue
        if lower == b"host":
            host = value
        lines += (name, b": ", value, b"\r\n")
    if body_size is not None:
        lines.append(b"content-length: %d\r\n" % body_size)
    if number:
        lines.append(b"%b: %d\r\n" % (COUNT_HEADER, number))
    lines += (b"x-forwarded-for: ", client, b"\r\nx-forwarded-proto: ", scheme)
    lines += (b"\r\nx-forwarded-host: ", host, b"\r\n\r\n")
    return b"".join(lines)


def client_address(headers: Headers, client_header: bytes, peer: bytes) -> bytes:
    """The client's address: the peer's, unless the header by which a prober tells its own is there."""
    if client_header:
        for name, value in headers:
            if name.lower() == client_header:
                return value
    return peer


def answer_head(status: int, headers: Headers, *, is_chunked: bool, keeps_alive: bool, is_anonymous: bool) -> bytes:
    """The head that the client sees: the application's, with the edge's own headers."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Unknown"))]
    is_cached = False
    for name, value in headers:
        lower = name.lower()
        if lower in _HOP_BY_HOP:
            continue
        is_cached = is_cached or lower == b"x-vercel-cache"
        lines += (name, b": ", value, b"\r\n")
    if not is_cached:
        lines.append(b"x-vercel-cache: MISS\r\n")
    if not is_anonymous:
        lines += (b"x-vercel-id: ", request_id(), b"\r\n")
    if is_chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    lines.append(b"server: Vercel\r\nconnection: keep-alive\r\n\r\n" if keeps_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)


def own_answer(status: int, code: str, *, keeps_alive: bool, is_anonymous: bool, location: str = "") -> bytes:
    """An answer of the edge itself: an error with its Vercel code, or a redirect to `location`."""
    text = f"{_REASONS[status].decode()}\n\n{code}\n" if code else "Redirecting...\n"
    headers: Headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
    if code:
        headers.append((b"x-vercel-error", code.encode()))
    if location:
        headers.append((b"location", location.encode("latin-1", "replace")))
    head = answer_head(status, headers, is_chunked=False, keeps_alive=keeps_alive, is_anonymous=is_anonymous)
    return head + text.encode()
