"""Pass-through is transparent: whatever is valid arrives byte for byte, however it is cut; h11 says what is valid."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.interceptor.conftest import Proxy

from dialtone.interceptor.framing import Chunks, body
from dialtone.interceptor.heads import CHUNKED, END, BadMessageError, RequestHead

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TARGETS = ["/", "/v1/charges", "/a/b?c=%20d&e", "/%E2%82%AC", "/.well-known/x;p=1"]
HEADERS = [
    b"User-Agent: Stripe/v1 PythonBindings/16.0.0\r\nAuthorization: Bearer sk_test_x\r\n",
    b"accept: */*\r\nX-Empty:\r\nX-Odd:\t  a  b \t\r\n",
    b'COOKIE: a=b; c="d"\r\nX-Latin: \xe9\r\n',
]
BODIES = [
    b"",
    b"a",
    b'{"a": "\\u20ac"}',
    bytes(range(256)),
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"0\r\n\r\n" * 3,
    b"x" * 70_000,
]


def chunked(data: bytes, size: int, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """A body in chunks."""
    parts = [
        b"%X%s\r\n%s\r\n" % (len(p), extension, p) for at in range(0, len(data), size) if (p := data[at : at + size])
    ]
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def requests() -> Iterator[bytes]:
    """Every method with every kind of target, headers and body."""
    for number, method in enumerate(METHODS):
        for at, target in enumerate(TARGETS):
            head = b"%s %s HTTP/1.1\r\nHost: api.test\r\n%s" % (
                method.encode(), target.encode(), HEADERS[(number + at) % 3]
            )  # fmt: skip
            content = BODIES[(number * 5 + at) % len(BODIES)]
            if method in ("GET", "HEAD", "OPTIONS"):
                yield head + b"\r\n"
            elif at % 2:
                yield head + b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
            else:
                sent = chunked(
                    content,
                    1 + at * 1000 + len(content) // 500,
                    b";a=b" if at else b"",
                    b"X-Trailer: t\r\n" if at == 4 else b"",
                )
                yield head + b"Transfer-Encoding: chunked\r\n\r\n" + sent


def answers() -> Iterator[bytes]:
    """Statuses, framings and headers as providers send them."""
    for number, content in enumerate(BODIES):
        for status in (b"200 OK", b"201 Created", b"404 Not Found", b"429 Too Many Requests", b"500", b"299 \xe9"):
            head = b"HTTP/1.1 %s\r\nServer: x\r\n%s" % (status, HEADERS[number % 3])
            yield head + b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
            yield head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(content, 7 + number * 500)
    yield from (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")
    yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    yield b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"


REQUESTS, ANSWERS = list(requests()), list(answers())
GET = b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EXCHANGES = [
    *((r, PLAIN if r[:4] != b"HEAD" else PLAIN[:-2]) for r in REQUESTS),
    *((GET, a) for a in ANSWERS),
    *((r, ANSWERS[n * 2 % len(ANSWERS)]) for n, r in enumerate(REQUESTS * 3) if r[:4] != b"HEAD"),
]


def through(proxy: Proxy, sock: socket.socket, request: bytes, answer: bytes, cuts: list[int]) -> bytes:
    """Send a request in pieces and read as many bytes as the answer has."""
    proxy.upstream.say = lambda _: answer
    for begin, end in zip([0, *cuts], [*cuts, len(request)], strict=True):
        sock.sendall(request[begin:end])
    got = b""
    while len(got) < len(answer) and (piece := sock.recv(len(answer) - len(got))):
        got += piece
    return got


def test_the_corpus_is_valid_and_large_enough() -> None:
    """h11 reads every request of it."""
    assert len(EXCHANGES) >= 200
    for request in REQUESTS:
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=200_000)
        reader.receive_data(request)
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA


def test_the_corpus_arrives_as_it_was_sent(proxy: Proxy) -> None:
    """Each exchange over one kept connection."""
    with proxy.connect() as sock:
        for request, answer in EXCHANGES:
            assert through(proxy, sock, request, answer, []) == answer
            assert proxy.upstream.requests[-1] == request


def test_every_split_of_a_request(proxy: Proxy) -> None:
    """In two pieces at every byte: a head, a body with its length, chunks with an extension and a trailer."""
    for request in (
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\ncd"[:-1],
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e=f\r\nabc\r\n0\r\nT: t\r\n\r\n",
    ):
        sock = proxy.connect()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            for cut in range(1, len(request)):
                assert through(proxy, sock, request, PLAIN, [cut]) == PLAIN
                assert proxy.upstream.requests[-1] == request


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_generated_exchanges_in_any_split(proxy: Proxy, data: st.DataObject) -> None:
    """Bytes of hypothesis for bodies, chunk sizes and cuts, also with a fault that lets all through."""
    content = data.draw(st.binary(max_size=300))
    if data.draw(st.booleans()):
        framed = b"Transfer-Encoding: chunked\r\n\r\n" + chunked(content, data.draw(st.integers(1, 50)))
    else:
        framed = b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
    request, answer = b"POST /p HTTP/1.1\r\nHost: a\r\n" + framed, b"HTTP/1.1 200 OK\r\n" + framed
    cuts = sorted(data.draw(st.sets(st.integers(1, len(request) - 1), max_size=4)))
    proxy.call(lambda: proxy.core.board.end())
    if data.draw(st.booleans()):
        proxy.put(
            {"fault": "latency", "seconds": 0, "match": {"body": {"nothing": "x"}} if data.draw(st.booleans()) else {}}
        )
    with proxy.connect() as sock:
        assert through(proxy, sock, request, answer, cuts) == answer
        assert proxy.upstream.requests[-1] == request


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 40), st.sets(st.integers(1, 400), max_size=6), st.binary(max_size=5))
def test_the_end_of_a_chunked_body(content: bytes, size: int, cuts: set[int], after: bytes) -> None:
    """Found at the same byte however the body is cut, with the next message right behind it."""
    sent = chunked(content, size, b";x") + after
    end, counter = len(sent) - len(after), Chunks()
    places = [*sorted(c for c in cuts if c < len(sent)), len(sent)]
    begin, found = 0, -1
    for place in places:
        taken = counter.take(sent[begin:place], 0)
        if taken >= 0:
            found = begin + taken
            break
        begin = place
    assert found == end


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("target", [b"/", b"/a?b=c"])
@given(
    st.lists(
        st.tuples(st.from_regex(rb"[A-Za-z-]{1,12}", fullmatch=True), st.from_regex(rb"[!-~]{0,12}", fullmatch=True))
    )
)
def test_our_framing_is_h11s(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """What we accept h11 frames the same; what h11 refuses because of a length, we refuse."""
    raw = b"POST %s HTTP/1.1\r\nHost: a\r\n" % target + b"".join(b"%s: %s\r\n" % pair for pair in headers) + b"\r\n"
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(raw)
    try:
        event = reader.next_event()
    except h11.RemoteProtocolError:
        return  # llhttp has the last word on grammar; test_through shows what it refuses
    try:
        framing = RequestHead(raw).framing()
    except BadMessageError:
        assert any(name.lower() in (b"content-length", b"transfer-encoding", b"host") for name, _ in headers)
        return
    assert isinstance(event, h11.Request)
    told = dict(event.headers)
    if b"transfer-encoding" in told:
        assert framing == CHUNKED
    else:
        assert framing == int(told.get(b"content-length", b"0"))
    assert body(framing).take(b"x" * framing if framing > 0 else b"", 0) == framing if framing >= 0 else True
    assert raw.endswith(END)
