"""Every mechanism on the wire, with both sides of its tolerance."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from tests.interceptor.conftest import ANSWER, BODY, Proxy, Slack, ask, read_answer, rest

from dialtone.interceptor.faults.late import SCHEDULES
from dialtone.interceptor.mechanism import Mechanism, mechanisms, on_tcp
from dialtone.interceptor.plan import parse

HEAD = ANSWER[: -len(BODY)]
COVERED: set[str] = set()


def wire(name: str) -> Callable[[Any], Any]:
    """Marks the test that shows a mechanism on the wire."""
    COVERED.add(name)
    return pytest.mark.filterwarnings("default")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that something takes, and what it gives."""
    begin = time.perf_counter()
    got = work()
    return time.perf_counter() - begin, got


def until_it_ends(sock: socket.socket) -> tuple[bytes, type[OSError] | None]:
    """What still comes, and the error that it ends with."""
    got = b""
    try:
        while piece := sock.recv(65536):
            got += piece
    except OSError as error:
        return got, type(error)
    return got, None


def failure(work: Callable[[], Any]) -> type[OSError] | None:
    """How something fails."""
    try:
        work()
    except OSError as error:
        return type(error)
    return None


def test_every_mechanism_is_shown_on_the_wire() -> None:
    """A new one needs a test here."""
    assert set(mechanisms()) == COVERED | {"answer"}  # its rows have a test of their own


@wire("latency")
def test_latency_is_neither_too_short_nor_too_long(proxy: Proxy, slack: Slack) -> None:
    """A fixed wait, and the answer as it was."""
    proxy.put({"fault": "latency", "seconds": 0.2})
    with proxy.connect() as sock:
        for _ in range(3):
            took, answer = timed(lambda: ask(sock))
            assert 0.199 <= took <= 0.2 + slack()
            assert answer == ANSWER


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        ({"seconds": 1.0, "jitter": 0.5}, 0.95, 1.05),
        ({"seconds": 1.0, "jitter": 0.2, "distribution": "normal"}, 0.95, 1.05),
        ({"seconds": 1.0, "distribution": "exponential"}, 0.9, 1.1),
        ({"seconds": 1.0, "distribution": "pareto"}, 1.7, 2.3),
    ],
)
def test_latency_has_the_distribution_that_it_says(fault: dict[str, Any], least: float, most: float) -> None:
    """The mean of 2,000 draws with a fixed seed; the Pareto law of shape 2 has a mean of twice its least."""
    from dialtone.interceptor.board import Board

    spec = parse({"faults": [{"fault": "latency", **fault}]})[0]
    board = Board(lambda: 0.0)
    [made] = board.put([spec])
    draws = [spec.mechanism.draw(act) for _ in range(2_000) if (act := board.act(made, "h", None))]  # type: ignore[attr-defined]
    assert least <= sum(draws) / len(draws) <= most
    assert len(set(draws)) > 1_900


@wire("reset")
@pytest.mark.parametrize("after", [0, 50, len(HEAD) + 10])
def test_reset_at_any_byte(proxy: Proxy, after: int) -> None:
    """So many bytes, and then a RST, not a FIN; the upstream had its request."""
    proxy.put({"fault": "reset", "after": after})
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert until_it_ends(sock) == (ANSWER[:after], ConnectionResetError)
    assert len(proxy.upstream.requests) == 1
    assert proxy.lines("exchange")[-1]["end"] == "reset"


@wire("refuse")
def test_refused(proxy: Proxy) -> None:
    """By its own listener ECONNREFUSED, by the shared one a RST; and open again afterwards."""
    proxy.put({"fault": "refuse", "match": {"host": "api.test"}})
    with pytest.raises(ConnectionRefusedError):
        proxy.connect()
    with proxy.connect("*") as sock:
        sock.sendall(b"CONNECT api.test:443 HTTP/1.1\r\n\r\n")
        assert until_it_ends(sock)[1] is ConnectionResetError
    proxy.call(lambda: proxy.core.board.end())
    proxy.settle()
    with proxy.connect() as sock:
        assert ask(sock) == ANSWER


@wire("blackhole")
def test_blackhole(proxy: Proxy, slack: Slack) -> None:
    """The connection is neither refused nor made; other hosts are not concerned; and open again afterwards."""
    proxy.put({"fault": "blackhole", "match": {"host": "api.test"}})
    took, error = timed(lambda: failure(lambda: proxy.connect(timeout=0.4)))
    assert error is TimeoutError
    assert 0.39 <= took <= 0.4 + slack()
    with proxy.connect("tcp.test") as sock:
        sock.sendall(b"hi")
        assert sock.recv(2) == b"hi"
    proxy.call(lambda: proxy.core.board.end())
    proxy.settle()
    with proxy.connect() as sock:
        assert ask(sock) == ANSWER


@wire("stall")
def test_stalled_handshake(proxy: Proxy, slack: Slack) -> None:
    """TCP stands, TLS does not come about; when the fault ends the connection does."""
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    begin = time.perf_counter()
    proxy.put({"fault": "stall", "match": {"host": "api.test"}, "ttl": 1})
    with proxy.connect() as raw:
        assert failure(lambda: context.wrap_socket(raw, server_hostname="api.test")) is not None
    assert 0.999 <= time.perf_counter() - begin <= 1 + slack()


@wire("slow-accept")
def test_slow_accept(proxy: Proxy, slack: Slack) -> None:
    """The first request of a connection waits, the second does not."""
    proxy.put({"fault": "slow-accept", "seconds": 0.3, "match": {"host": "api.test"}})
    begin = time.perf_counter()
    with proxy.connect() as sock:
        assert ask(sock) == ANSWER
        assert 0.299 <= time.perf_counter() - begin <= 0.3 + slack()
        took, _ = timed(lambda: ask(sock))
        assert took <= slack()


@wire("connection-limit")
def test_connection_limit(proxy: Proxy) -> None:
    """So many are served, one more is closed, and served when another has gone."""
    proxy.put({"fault": "connection-limit", "most": 2, "match": {"host": "api.test"}})
    first, second, third = proxy.connect(), proxy.connect(), proxy.connect()
    assert ask(first) == ask(second) == ANSWER
    assert third.recv(10) == b""
    for sock in (first, second, third):
        sock.close()
    deadline = time.monotonic() + 30
    while proxy.call(lambda: proxy.core.open.get("api.test", 0)) and time.monotonic() < deadline:
        pass
    with proxy.connect() as sock:
        assert ask(sock) == ANSWER


@wire("certificate")
@pytest.mark.parametrize(
    ("wrong", "told"),
    [("expired", "expired"), ("wrong-host", "not valid for"), ("unknown-authority", "unable to get local issuer")],
)
def test_wrong_certificates(proxy: Proxy, wrong: str, told: str) -> None:
    """A client that verifies says what is wrong; the right one is back afterwards."""
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    proxy.put({"fault": "certificate", "wrong": wrong, "match": {"host": "api.test"}})
    with proxy.connect() as raw, pytest.raises(ssl.SSLCertVerificationError, match=told):
        context.wrap_socket(raw, server_hostname="api.test")
    proxy.call(lambda: proxy.core.board.end())
    with context.wrap_socket(proxy.connect(), server_hostname="api.test") as sock:
        assert ask(sock) == ANSWER


@wire("hang")
def test_hang_ends_with_its_fault(proxy: Proxy, slack: Slack) -> None:
    """No byte, no upstream, and the connection closes when the time-to-live is over."""
    begin = time.perf_counter()
    proxy.put({"fault": "hang", "ttl": 1})
    with proxy.connect() as sock:
        assert ask(sock) == b""
    assert 0.999 <= time.perf_counter() - begin <= 1 + slack()
    assert proxy.upstream.requests == []


@wire("half-close")
def test_half_close(proxy: Proxy) -> None:
    """A FIN after so many bytes, while the other direction still takes bytes."""
    proxy.put({"fault": "half-close", "after": 20})
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert rest(sock) == ANSWER[:20]
        sock.sendall(b"still here")
        sock.sendall(b"and here")


@wire("truncate")
def test_truncated(proxy: Proxy) -> None:
    """A whole head, a part of the body, a FIN."""
    proxy.put({"fault": "truncate", "after": 100})
    with proxy.connect() as sock:
        assert ask(sock) == HEAD + BODY[:100]


@wire("freeze")
def test_frozen(proxy: Proxy) -> None:
    """So many bytes, then silence on an open connection."""
    proxy.put({"fault": "freeze", "after": 30})
    with proxy.connect(timeout=0.3) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert until_it_ends(sock) == (ANSWER[:30], TimeoutError)


@wire("bandwidth")
def test_bandwidth_within_five_percent(proxy: Proxy) -> None:
    """20,000 bytes at 20,000 a second, and at no moment more than the rate allows.

    Never faster; slower only by what a busy machine adds, so the quickest of a few has to be exact.
    """
    proxy.upstream.say = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + bytes(20_000)
    proxy.put({"fault": "bandwidth", "rate": 20_000})
    times: list[float] = []
    with proxy.connect() as sock:
        while len(times) < 10 and min(times, default=math.inf) > 1.05 * 1.002:
            begin, got = time.perf_counter(), 0
            sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            while got < 20_040:
                got += len(sock.recv(65536))
                assert got <= 20_000 * 1.05 * (time.perf_counter() - begin) + 600
            times.append(time.perf_counter() - begin)
    assert 0.95 * 1.002 <= min(times) <= 1.05 * 1.002


@wire("slice")
def test_sliced(proxy: Proxy, slack: Slack) -> None:
    """Pieces of a size with a gap: as many gaps as there have to be, and the bytes as they were."""
    proxy.put({"fault": "slice", "size": 200, "gap": 0.05})
    gaps = -(-len(HEAD) // 200) + -(-len(BODY) // 200) - 1
    with proxy.connect() as sock:
        took, answer = timed(lambda: ask(sock))
    assert answer == ANSWER
    assert gaps * 0.05 - 0.01 <= took <= gaps * 0.06 + slack()


@wire("corrupt")
def test_corrupted(proxy: Proxy) -> None:
    """About one byte in so many differs, by one bit; the same ones with the same seed, others with another."""
    got = []
    for seed in (1, 1, 2):
        proxy.call(lambda: proxy.core.board.end())
        proxy.put({"fault": "corrupt", "one_in": 16}, seed=seed)
        with proxy.connect() as sock:
            answer = ask(sock)
        assert answer.startswith(HEAD)
        got.append(answer[len(HEAD) :])
    assert got[0] == got[1] != got[2]
    changed = [a ^ b for a, b in zip(got[0], BODY, strict=True) if a != b]
    assert 40 <= len(changed) <= 90
    assert all(bits & (bits - 1) == 0 for bits in changed)


@wire("duplicate-chunk")
def test_a_piece_twice(proxy: Proxy) -> None:
    """The first piece of the body comes twice and the connection ends."""
    proxy.upstream.say = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    proxy.put({"fault": "duplicate-chunk"})
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert rest(sock).endswith(b"\r\n\r\nabcabc")


@wire("wrong-length")
@pytest.mark.parametrize("off", [-10, 10])
def test_wrong_length(proxy: Proxy, off: int) -> None:
    """The head lies, the body is whole, the connection ends."""
    proxy.put({"fault": "wrong-length", "off": off})
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        answer = rest(sock)
    assert b"Content-Length: %d\r\n" % (len(BODY) + off) in answer
    assert answer.endswith(BODY)


@wire("bad-gzip")
def test_bad_gzip(proxy: Proxy) -> None:
    """It says gzip, and gunzip says no."""
    proxy.put({"fault": "bad-gzip"})
    with proxy.connect() as sock:
        head, _, body = ask(sock).partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(body)


@wire("endless")
def test_endless(proxy: Proxy, slack: Slack) -> None:
    """Bytes come at about the rate as long as one reads, and the connection ends with the fault."""
    begin = time.perf_counter()
    proxy.put({"fault": "endless", "rate": 20_000, "ttl": 1})
    with proxy.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        took, got = timed(lambda: rest(sock))
    assert 0.999 <= time.perf_counter() - begin <= 1 + 2 * slack()
    assert 20_000 * (took - slack()) <= len(got) <= 20_000 * took + 2_500
    assert proxy.upstream.requests == []


@wire("status")
def test_a_status_of_our_own(proxy: Proxy) -> None:
    """Status, header and body; the connection goes on, and the upstream heard nothing."""
    proxy.put(
        {"fault": "status", "status": 503, "body": '{"e":1}', "headers": {"Request-Id": "req_1"}, "match": {"nth": 1}}
    )
    with proxy.connect() as sock:
        answer = ask(sock, b"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabc")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRequest-Id: req_1\r\n" in answer
        assert answer.endswith(b'{"e":1}')
        assert proxy.upstream.requests == []
        assert ask(sock) == ANSWER


@wire("rate-limit")
@pytest.mark.parametrize("form", ["none", "seconds", "date", "past", "words"])
def test_rate_limited(proxy: Proxy, form: str) -> None:
    """429, with a Retry-After of each form."""
    proxy.put({"fault": "rate-limit", "retry_after": 30, "form": form})
    with proxy.connect() as sock:
        answer = ask(sock)
    assert answer.startswith(b"HTTP/1.1 429 ")
    told = next((ln[13:].decode() for ln in answer.split(b"\r\n") if ln.lower().startswith(b"retry-after: ")), None)
    assert (told is None) == (form == "none")
    if form in ("date", "past"):
        left = parsedate_to_datetime(told or "").timestamp() - time.time()
        assert 20 <= left <= 30 if form == "date" else -3611 <= left <= -3599
    elif told:
        assert told == {"seconds": "30", "words": "soon"}[form]


@wire("html")
def test_a_page_instead_of_data(proxy: Proxy) -> None:
    """200, text/html, and no JSON."""
    proxy.put({"fault": "html"})
    with proxy.connect() as sock:
        head, _, body = ask(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"content-type: text/html" in head
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(body)


@wire("redirect-loop")
def test_redirected_to_where_one_is(proxy: Proxy) -> None:
    """The Location is what was asked."""
    proxy.put({"fault": "redirect-loop"})
    with proxy.connect() as sock:
        answer = ask(sock, b"GET /a/b?c=d HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert b"location: /a/b?c=d\r\n" in answer


@wire("content-type")
def test_wrong_content_type(proxy: Proxy) -> None:
    """Only that header differs."""
    proxy.put({"fault": "content-type", "value": "text/plain"})
    with proxy.connect() as sock:
        assert ask(sock) == ANSWER.replace(b"application/json", b"text/plain")


@wire("header-flood")
def test_header_flood(proxy: Proxy) -> None:
    """So many headers more, and the body as it was."""
    proxy.put({"fault": "header-flood", "count": 300, "size": 50})
    with proxy.connect() as sock:
        head, _, body = ask(sock).partition(b"\r\n\r\n")
    assert head.count(b"\r\nx-flood-") == 300
    assert len(head) > 300 * 50
    assert body == BODY


@wire("stale")
def test_stale(proxy: Proxy) -> None:
    """The first answer again, with an age; the upstream was asked all the same."""
    proxy.upstream.say = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % len(proxy.upstream.requests)
    proxy.put({"fault": "stale", "age": 60})
    with proxy.connect() as sock:
        answers = [ask(sock) for _ in range(3)]
    assert [a[-1:] for a in answers] == [b"1", b"1", b"1"]
    assert [b"Age: 60" in a for a in answers] == [False, True, True]
    assert len(proxy.upstream.requests) == 3


@wire("mixed-up")
def test_the_answer_of_another(proxy: Proxy) -> None:
    """Each gets the one before; the first its own."""
    proxy.upstream.say = lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + r[4:6]
    proxy.put({"fault": "mixed-up"})
    with proxy.connect() as sock:
        got = [ask(sock, b"GET /%d HTTP/1.1\r\nHost: api.test\r\n\r\n" % n)[-2:] for n in range(4)]
    assert got == [b"/0", b"/0", b"/1", b"/2"]


@wire("in-doubt")
@pytest.mark.parametrize("then", ["reset", "close", "timeout", "502"])
def test_in_doubt(proxy: Proxy, then: str, slack: Slack) -> None:
    """The upstream has the request and has answered; the client sees a failure of each kind."""
    answered = []
    proxy.upstream.say = lambda _: answered.append(1) or ANSWER  # type: ignore[func-returns-value]
    begin = time.perf_counter()
    proxy.put({"fault": "in-doubt", "then": then, "ttl": 1})
    request = b"POST /v1/charges HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabc"
    with proxy.connect() as sock:
        if then == "reset":
            with pytest.raises(ConnectionResetError):
                ask(sock, request)
        else:
            answer = ask(sock, request)
            took = time.perf_counter() - begin
            assert answer.startswith(b"HTTP/1.1 502 ") if then == "502" else answer == b""
            assert 0.999 <= took <= 1 + slack() if then == "timeout" else took <= slack()
    assert answered == [1]
    assert proxy.upstream.requests == [request]
    assert proxy.lines("exchange")[-1]["upstream_status"] == 200


@wire("dns-failure")
def test_dns_failure(proxy: Proxy) -> None:
    """CONNECT is refused with the resolver's words; a client that connects by itself is reset."""
    proxy.put({"fault": "dns-failure", "match": {"host": "api.test"}})
    with proxy.connect("*") as sock:
        sock.sendall(b"CONNECT api.test:443 HTTP/1.1\r\n\r\n")
        answer = rest(sock)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"Name or service not known: api.test" in answer

    def talk() -> None:
        with proxy.connect() as sock:
            rest(sock)

    assert failure(talk) is ConnectionResetError


@wire("quota")
def test_quota_used_up_and_filled_again(proxy: Proxy) -> None:
    """So many in a window for each caller, then 429 with what is left of it, then so many again."""
    proxy.put({"fault": "quota", "most": 2, "window": 0.6, "per": "X-Key"})

    def call(key: bytes) -> bytes:
        return ask(sock, b"GET / HTTP/1.1\r\nHost: api.test\r\nX-Key: %s\r\n\r\n" % key)

    with proxy.clock_by_hand() as clock, proxy.connect() as sock:
        assert [call(b"a")[9:12] for _ in range(3)] == [b"200", b"200", b"429"]
        clock.now += 0.5
        refused = call(b"a")
        assert b"retry-after: 1\r\n" in refused
        assert call(b"b") == ANSWER
        clock.now += 0.099
        assert call(b"a")[9:12] == b"429"
        clock.now += 0.002
        assert [call(b"a")[9:12] for _ in range(3)] == [b"200", b"200", b"429"]
    assert len(proxy.upstream.requests) == 5


@wire("endpoint-disabled")
def test_an_endpoint_is_disabled(proxy: Proxy) -> None:
    """After so many failures in a row, a success between them counting anew; on again when the fault is over."""
    answers = [b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status for status in (500, 200, 500, 404)]
    proxy.upstream.say = lambda _: answers.pop(0) if answers else ANSWER
    proxy.put({"fault": "endpoint-disabled", "after": 2})
    with proxy.connect() as sock:
        assert [ask(sock)[9:12] for _ in range(6)] == [b"500", b"200", b"500", b"404", b"503", b"503"]
        assert len(proxy.upstream.requests) == 4
        assert any("disabled after 2 failures" in str(line) for line in proxy.lines())
        proxy.call(lambda: proxy.core.board.end())
        assert ask(sock) == ANSWER


def test_an_answer_that_says_nothing(proxy: Proxy) -> None:
    """200 and no byte of a body."""
    proxy.put({"fault": "status", "status": 200})
    with proxy.connect() as sock:
        answer = ask(sock)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 0\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def shares(proxy: Proxy, ages: Sequence[float]) -> list[float]:
    """The share of answers with 500 at each age of the fault, of a hundred."""
    (active,) = proxy.core.board.faults.values()
    got = []
    with proxy.clock_by_hand() as clock, proxy.connect() as sock:
        for age in ages:
            clock.now = active.begins + age
            got.append(sum(ask(sock)[9:12] == b"500" for _ in range(100)) / 100)
    return got


@pytest.mark.parametrize(
    ("course", "bounds"),
    [
        ({"kind": "grow", "over": 0.9}, [(0.0, 0.35), (0.3, 0.7), (0.65, 1.0)]),
        ({"kind": "recover", "over": 0.9}, [(0.65, 1.0), (0.3, 0.7), (0.0, 0.35)]),
        ({"kind": "flap", "period": 0.6, "duty": 0.5}, [(1.0, 1.0), (0.0, 0.0), (1.0, 1.0)]),
    ],
)
def test_courses_on_the_wire(proxy: Proxy, course: dict[str, Any], bounds: list[tuple[float, float]]) -> None:
    """A brown-out that grows, a slow recovery, flapping: the share of failures in the middle of each third of 0.9 s."""
    proxy.put({"fault": "status", "status": 500, "course": course}, seed=3)
    got = shares(proxy, (0.15, 0.45, 0.75))
    assert all(least <= share <= most for share, (least, most) in zip(got, bounds, strict=True)), got


def test_a_partial_outage(proxy: Proxy) -> None:
    """One tenant by its body, one region by its header; the others feel nothing, and a quota is used up for good."""
    proxy.put(
        {"fault": "status", "status": 503, "match": {"body": {"tenant": "t_1"}}},
        {"fault": "status", "status": 504, "match": {"header": {"X-Region": "eu-*"}}},
        {"fault": "status", "status": 429, "match": {"path": "/metered", "after": 2}},
    )
    form = b"POST %s HTTP/1.1\r\nHost: api.test\r\nX-Region: %s\r\nContent-Length: %d\r\n\r\n%s"

    def post(path: bytes, region: bytes, body: bytes) -> bytes:
        return ask(sock, form % (path, region, len(body), body))[9:12]

    with proxy.connect() as sock:
        assert post(b"/", b"us-east", b'{"tenant": "t_1"}') == b"503"
        assert post(b"/", b"us-east", b'{"tenant": "t_2"}') == b"200"
        assert post(b"/", b"eu-west", b'{"tenant": "t_2"}') == b"504"
        assert [post(b"/metered", b"us-east", b"{}") for _ in range(4)] == [b"200", b"200", b"429", b"429"]


def test_a_stale_event_is_refused_by_the_receiver(proxy: Proxy) -> None:
    """Delivered after its window, with the signature of then: what Stripe's SDK says of it, and of one in time."""
    import stripe

    secret, payload = "whsec_of_the_tests", b'{"id": "evt_1", "object": "event"}'
    stamp = int(time.time())
    signature = f"t={stamp},v1={stripe.WebhookSignature._compute_signature(f'{stamp}.{payload.decode()}', secret)}"
    head = b"POST /hook HTTP/1.1\r\nHost: api.test\r\nStripe-Signature: %s\r\nContent-Length: %d\r\n\r\n"
    proxy.put({"fault": "late", "seconds": 1.1})
    with proxy.connect() as sock:
        ask(sock, head % (signature.encode(), len(payload)) + payload)
    deliveries(proxy, 1)
    sent = next(ln[18:].decode() for ln in proxy.upstream.requests[0].split(b"\r\n") if ln.startswith(b"Stripe-Sig"))
    assert proxy.upstream.requests[0].endswith(payload)
    assert stripe.Webhook.construct_event(payload, sent, secret, tolerance=300)["id"] == "evt_1"  # type: ignore[no-untyped-call]
    with pytest.raises(stripe.SignatureVerificationError, match="outside the tolerance zone"):
        stripe.Webhook.construct_event(payload, sent, secret, tolerance=1)  # type: ignore[no-untyped-call]


REFUSAL = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
EVENT = b"POST /hook HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%d;\r\n0\r\n\r\n"


def deliveries(proxy: Proxy, number: int, within: float = 30) -> list[bytes]:
    """Wait for so many requests at the upstream, and give all there are."""
    deadline = time.monotonic() + within
    while len(proxy.upstream.requests) < number and time.monotonic() < deadline:
        time.sleep(0.005)
    return [request[-3:] for request in proxy.upstream.requests]


@wire("duplicate")
@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_delivered_twice(proxy: Proxy, gap: float, slack: Slack) -> None:
    """The same body three times, and one answer; with a gap neither earlier nor much later."""
    proxy.put({"fault": "duplicate", "copies": 2, "gap": gap})
    with proxy.connect() as sock:
        begin = time.perf_counter()
        assert ask(sock, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n10;") == ANSWER
        assert deliveries(proxy, 3) == [b"10;"] * 3
        assert 2 * gap - 0.002 <= time.perf_counter() - begin <= 2 * gap + slack()
        assert ask(sock) == ANSWER


@wire("late")
def test_delivered_late_and_retried_by_a_schedule(proxy: Proxy, slack: Slack) -> None:
    """The sender has its 200 at once; attempts follow the compressed schedule until the first 2xx."""
    answers = [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"] * 2 + [ANSWER] * 9
    times: list[float] = []
    proxy.upstream.say = lambda _: times.append(time.perf_counter()) or answers.pop(0)  # type: ignore[func-returns-value]
    proxy.put({"fault": "late", "seconds": 10, "schedule": "retell", "compress": 50})
    with proxy.connect() as sock:
        begin = time.perf_counter()
        assert ask(sock, EVENT % 10).startswith(b"HTTP/1.1 200 ")
        assert time.perf_counter() - begin <= slack()
        assert deliveries(proxy, 3) == [b"10;"] * 3
    for at, wanted in zip(times, (0.2, 0.4, 0.8), strict=True):
        assert wanted - 0.005 <= at - begin <= wanted + slack()
    time.sleep(0.05)
    assert len(times) == 3


@pytest.mark.parametrize("schedule", ["once", "retell", "telnyx", "stripe"])
def test_the_schedules_of_providers(proxy: Proxy, schedule: str, slack: Slack) -> None:
    """All attempts of each schedule, 0.6 s of it in all, at their moments; then the provider gives up."""
    times: list[float] = []
    proxy.upstream.say = lambda _: times.append(time.perf_counter()) or REFUSAL  # type: ignore[func-returns-value]
    waits = SCHEDULES[schedule]
    compress = max(1.0, sum(waits) / 0.6)
    proxy.put({"fault": "late", "schedule": schedule, "compress": compress})
    with proxy.connect() as sock:
        begin = time.perf_counter()
        assert ask(sock, EVENT % 10).startswith(b"HTTP/1.1 200 ")
        deliveries(proxy, len(waits))
    for at, due in zip(times, itertools.accumulate(waits), strict=True):
        assert due / compress - 0.005 <= at - begin <= due / compress + slack()
    time.sleep(0.05)
    assert len(times) == len(waits)


@pytest.mark.parametrize("burst", [True, False])
def test_the_burst_after_an_outage(proxy: Proxy, burst: bool) -> None:
    """What is due when the fault ends comes all at once, or never."""
    proxy.put({"fault": "late", "seconds": 3600, "burst": burst})
    with proxy.connect() as sock:
        for n in range(10, 15):
            assert ask(sock, EVENT % n).startswith(b"HTTP/1.1 200 ")
        assert proxy.upstream.requests == []
        proxy.call(lambda: proxy.core.board.end())
        got = deliveries(proxy, 5, within=30 if burst else 0.2)
    assert sorted(got) == ([b"%d;" % n for n in range(10, 15)] if burst else [])


@wire("reorder")
def test_reordered(proxy: Proxy, slack: Slack) -> None:
    """The second overtakes the first; one that stays alone waits no longer than it must."""
    proxy.put({"fault": "reorder", "wait": 25})
    with proxy.connect() as first, proxy.connect() as second:
        first.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n01;")
        deadline = time.monotonic() + 30
        while (
            not proxy.call(lambda: next(iter(proxy.core.board.faults.values())).acted) and time.monotonic() < deadline
        ):
            pass
        assert ask(second, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n02;") == ANSWER
        assert first.recv(65536)
        assert deliveries(proxy, 2) == [b"02;", b"01;"]
        proxy.call(lambda: proxy.core.board.end())
        proxy.put({"fault": "reorder", "wait": 0.4})
        took, _ = timed(lambda: ask(second))
        assert 0.39 <= took <= 0.4 + slack()


def test_faults_act_together_in_the_order_of_the_plan(proxy: Proxy, slack: Slack) -> None:
    """A wait, an answer of ours, cut off in the middle."""
    proxy.put(
        {"fault": "latency", "seconds": 0.2},
        {"fault": "status", "status": 500, "body": "0123456789"},
        {"fault": "truncate", "after": 4},
    )
    with proxy.connect() as sock:
        took, answer = timed(lambda: ask(sock))
    assert 0.199 <= took <= 0.2 + slack()
    assert answer.endswith(b"\r\n\r\n0123")


@pytest.mark.parametrize("fault", [{"fault": "bandwidth", "rate": 1000}, {"fault": "slice", "size": 1, "gap": 1}])
def test_the_end_of_a_fault_lets_the_rest_through_at_once(proxy: Proxy, fault: dict[str, Any], slack: Slack) -> None:
    """Answers that are under way are whole."""
    proxy.put({**fault, "ttl": 0.2})
    with proxy.connect() as sock:
        took, answer = timed(lambda: ask(sock))
    assert answer == ANSWER
    assert took <= 0.2 + slack()


@pytest.mark.parametrize(
    ("fault", "end"),
    [({"fault": "reset", "after": 3}, ConnectionResetError), ({"fault": "freeze", "after": 3}, TimeoutError)],
)
def test_byte_faults_on_plain_tcp(proxy: Proxy, fault: dict[str, Any], end: type[Exception]) -> None:
    """What the upstream says is cut at a byte."""
    proxy.put({**fault, "match": {"host": "tcp.test"}})
    with proxy.connect("tcp.test", timeout=0.5) as sock:
        sock.sendall(b"SELECT 1")
        assert until_it_ends(sock) == (b"SEL", end)


def test_latency_on_plain_tcp(proxy: Proxy, slack: Slack) -> None:
    """The first bytes wait."""
    proxy.put({"fault": "latency", "seconds": 0.2, "match": {"host": "tcp.test"}})
    with proxy.connect("tcp.test") as sock:
        sock.sendall(b"hi")
        took, got = timed(lambda: sock.recv(2))
    assert got == b"hi"
    assert 0.15 <= took <= 0.2 + slack()


@pytest.mark.parametrize("fault", [{"fault": "in-doubt"}, {"fault": "certificate"}, {"fault": "header-flood"}])
def test_a_fault_of_http_meets_no_plain_tcp(proxy: Proxy, fault: dict[str, Any]) -> None:
    """It stands for all hosts: bytes of TCP pass, and it does not count as one that acted."""
    proxy.put(fault)
    with proxy.connect("tcp.test") as sock:
        sock.sendall(b"SELECT 1")
        assert sock.recv(100) == b"SELECT 1"
    [meant] = proxy.call(lambda: [fault.acted for fault in proxy.core.board.faults.values()])
    assert meant == 0


def test_what_can_act_on_plain_tcp() -> None:
    """Connections and bytes, whose mechanisms say so by what they override; no request, no head, no handshake."""
    assert {name for name, cls in mechanisms().items() if on_tcp(cls) and cls.__module__.startswith("dialtone.")} == {
        *("blackhole", "connection-limit", "dns-failure", "refuse", "slow-accept", "stall"),
        *("bandwidth", "corrupt", "duplicate-chunk", "freeze", "half-close", "latency", "reset", "slice", "truncate"),
    }

    class Shut(Mechanism):
        def listener(self) -> str:
            return "refuse"

    assert on_tcp(Shut)


def test_faults_act_through_tls(proxy: Proxy) -> None:
    """A reset inside of TLS is a RST on the wire."""
    proxy.put({"fault": "reset", "after": 40})
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    sock = context.wrap_socket(proxy.connect(), server_hostname="api.test")
    with sock, socket.socket(fileno=os.dup(sock.fileno())) as raw:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert sock.recv(100) == ANSWER[:40]
        raw.settimeout(30)
        assert until_it_ends(raw) == (b"", ConnectionResetError)  # what TLS makes of it is up to the library


def empty(proxy: Proxy, within: float = 30) -> bool:
    """Whether all connections are gone in time."""
    deadline = time.monotonic() + within
    while proxy.call(lambda: len(proxy.core.connections)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not proxy.call(lambda: len(proxy.core.connections))


def test_no_connection_is_left_behind(proxy: Proxy) -> None:
    """Clients that close right after, before, or in the middle of an answer that a fault works on."""
    proxy.put({"fault": "slice", "size": 500, "gap": 0.0002})
    for number in range(150):
        with proxy.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            if number % 3 == 1:
                sock.recv(number * 20 + 1)
            elif number % 3 == 2:
                read_answer(sock)
    assert empty(proxy)


@pytest.mark.parametrize("host", ["api.test", "tcp.test"])
def test_a_half_closed_connection_ends_with_its_fault(proxy: Proxy, host: str) -> None:
    """The client keeps its half open, the interceptor does not for ever."""
    proxy.put({"fault": "half-close", "after": 1})
    with proxy.connect(host) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert len(rest(sock)) == 1
        proxy.call(lambda: proxy.core.board.end())
        assert empty(proxy)


def test_plain_tcp_ends_when_both_sides_have_said_everything(proxy: Proxy) -> None:
    """In either order."""
    for _ in range(30):
        with proxy.connect("tcp.test") as sock:
            sock.sendall(b"hi")
            sock.shutdown(socket.SHUT_WR)
            assert rest(sock) == b"hi[end]"
    assert empty(proxy)


def test_a_fault_does_not_keep_who_has_left(proxy: Proxy) -> None:
    """A client that closed while it hangs is let go after a while, the fault lasting on."""
    proxy.put({"fault": "hang"})
    proxy.core.patience = 0.2
    try:
        for _ in range(5):
            with proxy.connect() as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
                sock.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    sock.recv(1)
        assert empty(proxy, within=20)
    finally:
        proxy.core.patience = 10.0


def test_a_client_that_gives_up_frees_its_fault(proxy: Proxy) -> None:
    """Nothing is left of a connection whose client went away while it waited."""
    proxy.put({"fault": "latency", "seconds": 20})
    sock = proxy.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
    deadline = time.monotonic() + 30
    while not proxy.upstream.requests and time.monotonic() < deadline:
        pass
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()
    while proxy.call(lambda: len(proxy.core.connections)) and time.monotonic() < deadline:
        pass
    assert proxy.call(lambda: len(proxy.core.connections)) == 0
