"""Without a fault nothing is changed, and what two readers could understand differently goes nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.interceptor.conftest import ANSWER, BODY, Proxy, ask, read_answer, rest

from dialtone.interceptor.settings import BadSettingsError, build

GET = b"GET /v1/x?secret=1 HTTP/1.1\r\nHost: api.test\r\nX-Odd:   kept \r\n\r\n"


def test_bytes_arrive_as_they_were_sent(proxy: Proxy) -> None:
    """Head and body, both ways, over one kept connection."""
    with proxy.connect() as sock:
        for request in (GET, b"POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 4\r\n\r\nabcd", GET):
            assert ask(sock, request) == ANSWER
            assert proxy.upstream.requests[-1] == request


def test_pipelined_requests_are_answered_in_their_order(proxy: Proxy) -> None:
    """Twenty at once."""
    proxy.upstream.say = lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + r.split(b"/")[1][:2]
    with proxy.connect() as sock:
        sock.sendall(b"".join(b"GET /%02d HTTP/1.1\r\nHost: api.test\r\n\r\n" % n for n in range(20)))
        assert [read_exactly(sock, 40)[-2:] for _ in range(20)] == [b"%02d" % n for n in range(20)]


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """So many bytes."""
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def test_a_body_in_chunks_with_a_trailer(proxy: Proxy) -> None:
    """Requests and answers, byte by byte."""
    proxy.upstream.say = lambda _: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
    )
    request = b"POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    with proxy.connect() as sock:
        for byte in request:
            sock.sendall(bytes([byte]))
        assert rest(sock) == proxy.upstream.say(b"")
    assert proxy.upstream.requests == [request]


def test_an_answer_that_ends_with_the_connection(proxy: Proxy) -> None:
    """HTTP/1.0 style: the end is passed on."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY * 100
    proxy.upstream.say = lambda _: answer
    with proxy.connect() as sock:
        sock.sendall(GET)
        assert rest(sock) == answer


def test_head_and_no_content(proxy: Proxy) -> None:
    """Answers without a body leave the connection usable, whatever their Content-Length says."""
    proxy.upstream.say = lambda r: (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
        if r[:4] == b"HEAD"
        else b"HTTP/1.1 204 No Content\r\n\r\n"
        if b"/no" in r
        else ANSWER
    )
    with proxy.connect() as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert read_exactly(sock, 39).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /no HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert read_exactly(sock, 27).startswith(b"HTTP/1.1 204")
        assert ask(sock, GET) == ANSWER


def test_continue_is_the_upstreams(proxy: Proxy) -> None:
    """A 100 goes through before the body is sent."""

    with proxy.connect() as sock:
        proxy.upstream.say = lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        assert read_exactly(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert read_answer(sock) == ANSWER


def test_an_upgrade_becomes_a_tunnel(proxy: Proxy) -> None:
    """After 101 nobody reads what passes."""
    proxy.upstream.say = lambda _: (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + b"\x00raw"
    )
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
        data = read_exactly(sock, len(proxy.upstream.say(b"") or b""))
        assert data.endswith(b"\x00raw")
        proxy.upstream.say = lambda _: b"again"
        sock.sendall(b"\r\n\r\n")
        assert read_exactly(sock, 5) == b"again"


def test_a_half_closed_client_gets_its_answer(proxy: Proxy) -> None:
    """It has said everything, and waits."""
    with proxy.connect() as sock:
        sock.sendall(GET)
        sock.shutdown(socket.SHUT_WR)
        assert rest(sock) == ANSWER


@pytest.mark.parametrize("way", ["bound", "connect", "sni", "absolute"])
def test_ways_in(proxy: Proxy, way: str) -> None:
    """A base URL, CONNECT, TLS by server name, an absolute URL: each reaches the upstream with the same bytes."""
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    if way == "bound":
        sock = proxy.connect()
    elif way == "absolute":
        sock = proxy.connect("*")
        request = b"GET http://api.test/v1 HTTP/1.1\r\nHost: api.test\r\n\r\n"
        assert ask(sock, request) == ANSWER
        assert proxy.upstream.requests == [request]
        sock.close()
        return
    else:
        raw = proxy.connect("*")
        if way == "connect":
            raw.sendall(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
            assert read_exactly(raw, 39) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        sock = context.wrap_socket(raw, server_hostname="api.test")
    assert ask(sock, GET) == ANSWER
    assert proxy.upstream.requests == [GET]
    sock.close()
    assert proxy.lines("exchange")[-1]["host"] == "api.test"


def test_http2_is_declined(proxy: Proxy) -> None:
    """A client that offers both gets HTTP/1.1."""
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(proxy.connect("*"), server_hostname="api.test") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


BAD = {
    "length and coding": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a length with a sign": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd", 400),
    "a length in a list": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd", 400),
    "folded": (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
    "blank before the colon": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nabcd", 400),
    "coding twice": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        400,
    ),
    "another coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "vertical tab": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n", 501),
    "coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two blanks": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a NUL": (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", 400),
    "HTTP/2 in plain": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "bad chunk size": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
        400,
    ),
    "chunk too long": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n", 400),
    "chunk ends in LF": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n", 400),
    "64 KiB of headers": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    "1 MB of headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Y: zzzz\r\n" * 100_000, 431),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(proxy: Proxy, name: str) -> None:
    """A clear answer, said to be ours, a connection that ends, and an upstream that heard nothing."""
    request, status = BAD[name]
    with proxy.connect() as sock:
        sock.sendall(request)
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"x-dialtone: ours" in answer
    assert answer.count(b"content-length") == 1
    assert proxy.upstream.requests == []
    line = proxy.lines("refused")[-1]
    assert line["by"] == "ours"
    assert line["why"]


def test_unknown_host(proxy: Proxy) -> None:
    """Named, with the remedy; by CONNECT too."""
    for request in (b"GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n", b"CONNECT nobody.test:443 HTTP/1.1\r\n\r\n"):
        with proxy.connect("*") as sock:
            sock.sendall(request)
            answer = rest(sock)
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"nobody.test: add it" in answer


def test_an_upstream_that_cannot_be_reached_is_told_from_a_fault(proxy: Proxy) -> None:
    """502 of ours, with its address."""
    with proxy.connect("*") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: dead.test\r\n\r\n")
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"127.0.0.1:1" in answer
    assert proxy.lines("refused")[-1]["by"] == "ours"


@pytest.mark.parametrize(
    "answer", [b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_an_upstream_that_speaks_no_http_is_theirs(proxy: Proxy, answer: bytes) -> None:
    """502, and the journal says whose mistake it was."""
    proxy.upstream.say = lambda _: answer
    with proxy.connect() as sock:
        sock.sendall(GET)
        assert rest(sock).startswith(b"HTTP/1.1 502 ")
    assert proxy.lines("exchange")[-1]["by"] == "theirs"


def test_an_upstream_that_hangs_up_is_passed_on(proxy: Proxy) -> None:
    """No answer is invented: the client sees the end that we saw."""
    proxy.upstream.say = lambda _: None
    with proxy.connect() as sock:
        sock.sendall(GET)
        assert rest(sock) == b""
    assert "before its answer was complete" in proxy.lines("exchange")[-1]["why"]


def test_a_large_answer_to_a_slow_reader_needs_little_memory(proxy: Proxy) -> None:
    """The upstream is not read faster than the client reads: 64 MB stay where they are."""
    size = 64 * 2**20
    proxy.upstream.say = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    with proxy.connect() as sock:
        sock.sendall(GET)
        sock.recv(10)

        def waiting() -> int:
            return max(c.transport.get_write_buffer_size() for c in proxy.core.connections.values())

        most = max(proxy.call(waiting) for _ in range(50))
        assert most < 2**20
        total = 10
        while total < size:
            piece = sock.recv(2**20)
            assert piece
            total += len(piece)


def test_the_journal_holds_no_secret(proxy: Proxy) -> None:
    """Names of a query are kept, values are not; nor is a segment that looks like a credential."""
    with proxy.connect() as sock:
        ask(sock, GET)
        ask(sock, b"GET /services/T000/B000/abcdefgh12345678abcdefgh HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert [line["path"] for line in proxy.lines("exchange")] == ["/v1/x?secret", "/services/T000/B000/‹secret›"]


def test_plain_tcp_both_ways_and_its_half_close(proxy: Proxy) -> None:
    """What the client says last is answered last."""
    with proxy.connect("tcp.test") as sock:
        sock.sendall(b"\x00\x01" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        assert rest(sock) == b"\x00\x01" * 100_000 + b"[end]"


def test_an_upstream_of_another_name_is_told_its_own(proxy: Proxy) -> None:
    """`host = "upstream"`: Host and an absolute target are its own, in copies too; nothing else changes."""
    port = proxy.core.hosts["renamed.test"].upstream.port

    async def copies() -> None:
        await asyncio.gather(*proxy.core._beside)

    own = b"Host: 127.0.0.1:%d\r\n" % port
    sent = b"POST /v1/x?y HTTP/1.1\r\nX-A:  b\r\nhOST: renamed.test\r\nContent-Length: 2\r\n\r\nab"
    wanted = sent.replace(b"hOST: renamed.test\r\n", own)
    with proxy.connect("*") as sock:
        for request in (sent, sent.replace(b" /v1", b" http://renamed.test/v1")):
            assert ask(sock, request) == ANSWER
            assert proxy.upstream.requests[-1] == wanted
        proxy.put({"fault": "duplicate", "match": {"host": "renamed.test", "body": {"nothing": "x"}}})
        ask(sock, sent)
        assert proxy.upstream.requests[-1] == wanted
        proxy.put({"fault": "duplicate", "match": {"host": "renamed.test"}})
        before = len(proxy.upstream.requests)
        ask(sock, sent)
        proxy.await_(copies())
        assert len(again := proxy.upstream.requests[before:]) > 1
    assert [request.count(own) for request in again] == [1] * len(again)
    assert b"renamed.test" not in b"".join(again)


def test_what_a_host_may_be_told() -> None:
    """keep or upstream, and nothing for plain TCP."""
    for entry in ({"upstream": "http://a", "host": "b"}, {"upstream": "tcp://a:1", "host": "upstream"}):
        with pytest.raises(BadSettingsError, match=r"hosts\.x\.host: .*keep, or upstream"):
            build({"hosts": {"x": {"listen": "127.0.0.1:1", **entry}}})


@pytest.mark.parametrize("half", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize(
    "fault",
    [{"fault": "latency", "seconds": 0.01}, {"fault": "reset", "after": 40}, {"fault": "freeze", "after": 10}, None],
    ids=lambda fault: fault["fault"] if fault else "none",
)
def test_what_is_over_needs_no_collector(proxy: Proxy, fault: dict[str, Any] | None, half: bool) -> None:
    """A connection goes with its last reference: under load a collector comes late, and takes long then."""
    if fault is not None:
        proxy.put(fault)

    async def only() -> Callable[[], Any]:
        while not proxy.core.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        (inbound,) = proxy.core.connections.values()
        return weakref.ref(inbound)

    async def gone(inbound: Callable[[], Any]) -> None:
        while inbound() is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    gc.disable()
    try:
        with proxy.connect() as sock:
            inbound = proxy.await_(only())
            sock.sendall(GET)
            if half:
                sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1)
        proxy.call(proxy.core.board.end)
        proxy.await_(asyncio.wait_for(gone(inbound), 30))
    finally:
        gc.enable()
