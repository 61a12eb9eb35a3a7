"""The client with peers that misbehave: each a failure with its kind and a clear reason, in bounded time and memory."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
import threading
import time
import tracemalloc
from typing import Any

import pytest
from tests.authority import Authority
from tests.hostile import Hostile, closed_port, stalled
from tests.http.conftest import PATIENT, SHORT

from dialtone.http import BadBody, Client, Failure, FailureKind, network, shared_context
from dialtone.http.body import Body
from dialtone.http.exchange import Interrupted

_SECONDS = r"\d\.\d s"


@pytest.mark.parametrize(
    ("where", "kind", "reason"),
    [
        ("/nothing", "reset", "connection closed before any answer"),
        ("/silence", "timeout", f"no answer within {_SECONDS}"),
        ("/half", "timeout", f"the answer stopped after 45 bytes: nothing more for {_SECONDS}"),
        ("/reset-before", "reset", "connection reset before any answer"),
        ("/reset-mid-body", "reset", "connection reset after 512 of 10,000 bytes of the body"),
        ("/short", "reset", "connection closed after 5 of 100 bytes of the body"),
        ("/drip-body", "never-ends", rf"the answer never ended: \d+ bytes in {_SECONDS}"),
        ("/drip-headers", "never-ends", rf"the answer never ended: \d+ bytes in {_SECONDS}"),
        ("/drip-informational", "never-ends", rf"the answer never ended: [\d,]+ bytes in {_SECONDS}"),
        ("/huge", "too-large", "the body is larger than 200,000 bytes"),
        ("/huge-headers", "too-large", "the headers of the answer are larger than 100 kB"),
        ("/gzip-bomb", "too-large", "the body is larger than 200,000 bytes"),
        ("/gzip-empty-members", "too-large", "the body is larger than 200,000 bytes"),
        ("/gzip-damaged", "bad-encoding", r"the gzip body is damaged within its first \d+ bytes"),
        ("/gzip-truncated", "bad-encoding", "the gzip body ends too early"),
        ("/brotli", "bad-encoding", "the body has an encoding that was not offered: br"),
        ("/garbage", "protocol", "the answer is not HTTP"),
        ("/nowhere", "protocol", "the redirect leads to no valid URL"),
    ],
    ids=lambda value: value if value.startswith("/") else "",
)
def test_misbehaviour(server: Hostile, where: str, kind: str, reason: str) -> None:
    """Each way to misbehave has a kind and a reason; what has no end of its own is over with the total limit."""
    limits = SHORT if kind in ("timeout", "never-ends") else PATIENT
    began = time.monotonic()
    with Client(server.url(""), limits=limits) as client:
        answer = client.get(where, follow=1)
    assert time.monotonic() - began < limits.total + 20
    assert answer.failure is not None
    assert answer.failure.kind == kind
    assert re.fullmatch(reason, answer.failure.reason)
    assert not answer.ok


@pytest.mark.parametrize("where", ["/huge", "/gzip-bomb", "/gzip-empty-members", "/huge-headers"])
def test_memory_is_bounded(client: Client, server: Hostile, where: str) -> None:
    """100 MB, packed or not, cost no more memory than the limit allows."""
    client.get("/gzip-bomb")  # the server makes its bomb
    client.get("/ok")
    tracemalloc.start()
    try:
        answer = client.get(where)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(answer.body) <= SHORT.max_body
    assert peak < 6_000_000  # the server's own megabytes included


def test_body_of_just_the_limit() -> None:
    """The limit itself is allowed, a byte more is not."""
    body = Body([], 10)
    body.feed(b"1234567890")
    body.finish()
    with pytest.raises(Interrupted):
        body.feed(b"1")
    assert body.content() == b"1234567890"


@pytest.mark.parametrize(("where", "text"), [("/gzip", '{"packed":true}'), ("/deflate", "deflated"),
                                             ("/deflate-bare", "bare deflate " * 20)])  # fmt: skip
def test_unpacking(client: Client, where: str, text: str) -> None:
    """What was offered is unpacked: gzip of several members, deflate with and without its frame."""
    answer = client.get(where)
    assert answer.failure is None
    assert answer.text() == text


def test_head_of_a_packed_answer(client: Client) -> None:
    """No body needs no unpacking."""
    body = Body(["gzip"], 10)
    body.finish()
    assert body.content() == b""
    assert client.get("/ok").ok


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("/not-json", "not JSON: text/html, 30 bytes"),
        ("/wrong-charset", "not utf-8 as it says: text/plain, 13 bytes, wrong at byte 3"),
        ("/unknown-charset", "its charset 'klingon-1' is none: text/plain, 4 bytes"),
        ("/short", "no whole answer: connection closed after 5 of 100 bytes of the body"),
    ],
)
def test_bodies_that_are_not_json(client: Client, where: str, message: str) -> None:
    """What is wrong is said without quoting the body."""
    with pytest.raises(BadBody) as raised:
        client.get(where).json()
    assert str(raised.value) == message


def test_challenge_page(client: Client) -> None:
    """A challenge is an answer: its status and header are there to be judged."""
    answer = client.get("/challenge")
    assert (answer.status, answer.header("cf-mitigated"), answer.is_html) == (403, "challenge", True)
    assert answer.failure is None


def test_after_a_failure_the_next_request_works(client: Client) -> None:
    """A broken connection is never used again."""
    for where in ("/huge", "/half", "/garbage"):
        assert client.get(where).failure
        assert client.get("/ok").ok


def _failure(url: str, **options: Any) -> Failure:
    with Client(url, limits=SHORT, **options) as client:
        failure = client.get("").failure
        assert failure is not None
    return failure


def test_refused() -> None:
    """Nobody listens."""
    port = closed_port()
    assert _failure(f"http://127.0.0.1:{port}") == Failure(FailureKind.REFUSED, f"connection refused at port {port}")


def test_connecting_fails_in_the_same_words() -> None:
    """`connect` tells what a request would."""
    port = closed_port()
    with Client(f"http://127.0.0.1:{port}") as client:
        assert client.connect().failure == client.get("/").failure
        assert client.connect("ftp://h").failure == client.get("ftp://h").failure


def test_connect_timeout() -> None:
    """The connection is neither taken nor refused."""
    with stalled(full=True) as port:
        failure = _failure(f"http://127.0.0.1:{port}")
    assert failure.kind is FailureKind.CONNECT_TIMEOUT
    assert re.fullmatch(f"no connection within {_SECONDS}", failure.reason)


def test_connection_without_a_word() -> None:
    """The connection is taken and nothing said."""
    with stalled() as port:
        failure = _failure(f"http://127.0.0.1:{port}")
    assert failure.kind is FailureKind.TIMEOUT
    assert re.fullmatch(f"no answer within {_SECONDS}", failure.reason)


def test_handshake_that_does_not_go_on() -> None:
    """TLS begins and nothing is said."""
    with stalled() as port:
        failure = _failure(f"https://127.0.0.1:{port}")
    assert failure.kind is FailureKind.TLS
    assert re.fullmatch(f"TLS handshake failed: it did not finish within {_SECONDS}", failure.reason)


def test_request_that_nobody_reads() -> None:
    """A peer that does not take a large request does not hold the prober."""
    with stalled() as port, Client(f"http://127.0.0.1:{port}", limits=SHORT) as client:
        failure = client.post("/", content=bytes(20_000_000)).failure
    assert failure == Failure(FailureKind.TIMEOUT, "the peer did not take the request in time")


def test_plain_http_where_tls_is_asked_for() -> None:
    """The peer speaks plain HTTP."""
    with Hostile() as server:
        failure = _failure(f"https://127.0.0.1:{server.port}")
    assert failure == Failure(FailureKind.TLS, "TLS handshake failed: the peer does not speak TLS")


@pytest.mark.parametrize(
    ("make", "trusted", "reason"),
    [
        (lambda a: a.expired(), True, "certificate expired on 2026-01-02"),
        (lambda a: a.future(), True, "certificate is not valid yet, but from 2120-01-02"),
        (lambda a: a.self_signed(), False, "the certificate is self-signed"),
        (lambda a: a.good("other.example"), True, "the certificate is not for 127.0.0.1"),
        (lambda a: a.good(), False, "the certificate is of an unknown authority, or an intermediate one is missing"),
    ],
    ids=["expired", "future", "self-signed", "wrong-host", "unknown"],
)
def test_certificates(authority: Authority, make: Any, trusted: bool, reason: str) -> None:
    """What is wrong with a certificate is said in words, with the date where there is one."""
    with Hostile(make(authority)) as server:
        failure = _failure(server.url(""), verify=authority.trusting() if trusted else shared_context())
    assert failure == Failure(FailureKind.TLS, f"TLS handshake failed: {reason}")


def test_good_certificate(authority: Authority) -> None:
    """Host names and addresses alike."""
    with Hostile(authority.good()) as server:
        for host in ("127.0.0.1", "localhost"):
            with Client(server.url("", host), verify=authority.trusting()) as client:
                assert client.get("/ok").ok
                assert client.get("/ok").reused


def test_protocol_version_that_is_refused(authority: Authority) -> None:
    """A peer that refuses the handshake is quoted by OpenSSL's fixed words only."""
    context = authority.good()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    old = authority.trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with Hostile(context) as server:
        failure = _failure(server.url(""), verify=old)
    assert failure == Failure(FailureKind.TLS, "TLS handshake failed: the peer refused: protocol version")


def test_context_is_shared(authority: Authority, tmp_path: Any) -> None:
    """One context for each file in a process: making one is expensive."""
    file = tmp_path / "ca.pem"
    authority.ca.cert_pem.write_to_path(file)
    assert shared_context(str(file)) is shared_context(str(file))
    assert shared_context() is not shared_context(str(file))


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is in the reason; a silent name server is another one."""
    codes = iter([socket.EAI_NONAME, socket.EAI_AGAIN])

    def look(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(next(codes), "x")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    assert _failure("http://api.x.y") == Failure(FailureKind.DNS, "name api.x.y does not resolve")
    again = Failure(FailureKind.DNS, "name api.x.y does not resolve: no name server answers")
    assert _failure("http://api.x.y") == again


def test_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking a name up is bounded as everything else."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(5))
    try:
        assert _failure("http://api.x.y") == Failure(FailureKind.DNS, "name api.x.y did not resolve within 0.3 s")
    finally:
        over.set()


@pytest.mark.parametrize(
    ("number", "family", "kind"),
    [
        (errno.ENETUNREACH, socket.AF_INET6, FailureKind.NO_ADDRESS_FAMILY),
        (errno.EADDRNOTAVAIL, socket.AF_INET6, FailureKind.NO_ADDRESS_FAMILY),
        (errno.ENETUNREACH, socket.AF_INET, FailureKind.REFUSED),
        (errno.ECONNREFUSED, socket.AF_INET6, FailureKind.REFUSED),
        (errno.EPERM, socket.AF_INET, FailureKind.REFUSED),
    ],
)
def test_no_way_there(monkeypatch: pytest.MonkeyPatch, number: int, family: int, kind: FailureKind) -> None:
    """A target with IPv6 addresses only, seen from a network without IPv6, is not down."""
    address = ("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 80)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, socket.SOCK_STREAM, 6, "", address)])

    def refuse(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(network, "_connect_one", refuse)
    assert _failure("http://api.x.y").kind is kind


@pytest.mark.parametrize("url", ["ftp://h/", "http:///a", "http://127.0.0.1:99999/", "http://\x00/", "//h", "nonsense"])
def test_no_url(url: str) -> None:
    """What is no URL (a page may hold anything) is a failure and no crash."""
    assert _failure(url).kind is FailureKind.PROTOCOL


def test_labels_that_no_name_may_have() -> None:
    """A host name that DNS cannot hold does not resolve."""
    assert _failure(f"http://{'a' * 80}.x/").kind in (FailureKind.DNS, FailureKind.PROTOCOL)
    assert _failure("http://a..b/").kind in (FailureKind.DNS, FailureKind.PROTOCOL)


def test_failures_are_words() -> None:
    """A failure reads as its reason, and is plain data."""
    failure = Failure(FailureKind.DNS, "name x does not resolve")
    assert f"{failure}" == "name x does not resolve"
    assert json.dumps({"kind": failure.kind}) == '{"kind": "dns"}'
