"""The client with a peer that behaves: what is sent, what comes back, which connection it uses, where the time goes."""

from __future__ import annotations

import itertools
import socket
from typing import Any

import httpx
import pytest
from tests.authority import Authority
from tests.hostile import Hostile

from dialtone.http import Answer, BadBody, Client, FailureKind, Headers, Limits, Url


def test_small_answer(client: Client, server: Hostile) -> None:
    """Status, headers, body and time are there."""
    answer = client.get("/ok")
    assert answer.ok
    assert (answer.status, answer.json(), answer.failure) == (200, {"status": "ok"}, None)
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("x-absent") is None
    assert (answer.path, answer.origin) == ("/ok", server.url(""))
    assert answer.phases.first_byte is not None
    assert answer.phases.total is not None
    assert 0 < answer.phases.first_byte < answer.phases.total


def test_headers_of_one_name(client: Client) -> None:
    """All values of a header are kept, in order; its name is found in any case."""
    assert client.get("/two-cookies").headers_all("SET-COOKIE") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("options", "kind", "body"),
    [
        ({"json": {"a": "é"}}, "application/json", '{"a":"é"}'),
        ({"content": b"raw"}, None, "raw"),
        ({"data": {"a": "1 2", "b": "ü"}}, "application/x-www-form-urlencoded", "a=1+2&b=%C3%BC"),
        ({"content": "text", "headers": {"Content-Type": "x/y"}}, "x/y", "text"),
    ],
    ids=["json", "content", "form", "typed"],
)
def test_bodies(client: Client, options: dict[str, Any], kind: str | None, body: str) -> None:
    """A body is sent as JSON, as it is, or as a form."""
    seen = client.post("/echo", **options).json()
    assert seen["headers"].get("content-type") == kind
    assert seen["body"].encode("latin-1").decode() == body


@pytest.mark.parametrize("method", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_methods(client: Client, server: Hostile, method: str) -> None:
    """Each method has its function."""
    server_side = client.send(method, "/ok") if method == "head" else getattr(client, method)("/ok")
    assert server.requests[0].method == method.upper()
    assert server_side.method == method.upper()


def test_headers_that_are_sent(server: Hostile) -> None:
    """A request's headers override the client's, and those the defaults, in any case; we offer what we unpack."""
    with Client(server.url(""), headers={"User-Agent": "mine", "X-One": "1", "X-Two": "2"}) as client:
        client.get("/ok", headers={"x-two": "3"})
    sent = server.requests[0].headers
    assert {k: sent[k] for k in ("user-agent", "x-one", "x-two")} == {"user-agent": "mine", "x-one": "1", "x-two": "3"}
    assert sent["accept-encoding"] == "gzip, deflate"


def test_cookies_are_not_kept(client: Client, server: Hostile) -> None:
    """A prober that keeps cookies would be measured as the visitor that it once was."""
    client.get("/two-cookies")
    client.get("/ok")
    assert "cookie" not in server.requests[1].headers


def test_proxies_of_the_environment_are_not_used(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe goes where its profile says."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Client(server.url("")) as client:
        assert client.get("/ok").ok


@pytest.mark.parametrize(
    ("base", "where", "url"),
    [
        ("http://h", "/a", "http://h/a"),
        ("http://h/", "a", "http://h/a"),
        ("http://h/v1/", "/a?b=/c", "http://h/v1/a?b=/c"),
        ("http://h/v1", "?a", "http://h/v1?a"),
        ("http://h", "", "http://h"),
        ("http://h", "https://other/x", "https://other/x"),
        ("http://h", "/to?next=https://other/x", "http://h/to?next=https://other/x"),
    ],
)
def test_urls(base: str, where: str, url: str) -> None:
    """Paths are below the base URL, whole URLs are what they are."""
    seen: list[str] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200)

    transport = httpx.MockTransport(take)
    Client(base, transport=transport).get(where)
    assert seen == [str(httpx.URL(url))]


def test_connection_is_kept(client: Client, server: Hostile) -> None:
    """The second request goes over the connection of the first, and has no phases of connecting."""
    first, second = client.get("/ok"), client.put("/echo", content="x")
    assert (first.reused, second.reused) == (False, True)
    assert first.phases.connect is not None
    assert second.phases.connect is None
    assert [r.connection for r in server.requests] == [1, 1]


def test_fresh_connection(client: Client, server: Hostile) -> None:
    """A fresh request has a connection of its own; the kept one stays."""
    answers = [client.get("/ok"), client.get("/ok", fresh=True), client.get("/ok")]
    assert [a.reused for a in answers] == [False, False, True]
    assert [r.connection for r in server.requests] == [1, 2, 1]


def test_connection_closed_meanwhile(client: Client) -> None:
    """A kept connection that the peer has closed is replaced without anybody noticing."""
    for _ in range(5):
        assert client.get("/once").ok


def test_what_cannot_be_repeated_goes_over_a_new_connection(client: Client, server: Hostile) -> None:
    """A POST over a connection that dies just then would be lost or sent twice, and nobody would know which."""
    for _ in range(5):
        assert client.post("/once").ok
    assert [r.connection for r in server.requests] == [1, 2, 3, 4, 5]


def test_kept_connection_dies_under_a_request(client: Client, server: Hostile) -> None:
    """The request is sent again on a new connection, whose outcome counts."""
    client.get("/ok")
    answer = client.get("/nothing")
    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.reason) == (FailureKind.RESET, "connection closed before any answer")
    assert [(r.path, r.connection) for r in server.requests] == [("/ok", 1), ("/nothing", 1), ("/nothing", 2)]


def test_name_is_looked_up_once_in_a_client(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first connection, and each fresh one, has a DNS phase; an address has none."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look(host: str, *args: Any, **options: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    with Client(server.url("", "target.example")) as client:
        answers = [client.get("/once"), client.get("/once"), client.get("/ok", fresh=True)]
        assert [a.phases.dns is not None for a in answers] == [True, False, True]
        assert client.get(server.url("/ok")).phases.dns is None
    assert asked == ["target.example"] * 2


def test_second_address_is_tried(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a dead and a living address is alive."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, server.port)) for host in ("127.0.0.9", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with Client(server.url("", "target.example")) as client:
        assert client.get("/ok").ok


def test_source_address(server: Hostile) -> None:
    """Requests come from the local address that was given, if the prober owns it."""
    with Client(server.url(""), local_address="127.0.0.7") as client:
        assert client.get("/ok").ok
    with Client(server.url(""), local_address="192.0.2.1") as client:
        failure = client.get("/ok").failure
    assert failure is not None
    assert failure.kind is FailureKind.NO_ADDRESS_FAMILY
    assert "does not own the address 192.0.2.1" in failure.reason


def test_connect_measures_and_closes(authority: Authority) -> None:
    """The phases of a new connection, TLS included, without a request."""
    with Hostile(authority.good()) as server, Client(server.url(""), verify=authority.trusting()) as client:
        answer = client.connect()
        assert answer.failure is None
        assert answer.status == 0
        assert answer.phases.connect is not None
        assert answer.phases.tls is not None
        assert not server.requests
        assert client.get("/ok").ok


def test_phases_add_up() -> None:
    """Phases follow the clock that was given, and none is longer than the whole."""
    ticks = itertools.count()
    with Hostile() as server, Client(server.url(""), clock=lambda: next(ticks) / 1000) as client:
        phases = client.get("/ok").phases
    assert phases.total is not None
    assert (phases.connect or 0) + (phases.first_byte or 0) < phases.total


def test_redirects_are_answers(client: Client) -> None:
    """Nobody follows a redirect unless told to."""
    assert client.get("/moved").status == 303


def test_following(client: Client, server: Hostile) -> None:
    """303 makes a POST a GET without its body; 307 keeps both when the body is still at hand."""
    moved = client.post("/moved", content="x", headers={"x-mine": "1"}, follow=1)
    assert (moved.method, moved.json()["body"], moved.hops) == ("GET", "", 1)
    assert moved.json()["headers"]["x-mine"] == "1"
    same = client.post("/moved-same", content="x", follow=1)
    assert (same.method, same.json()["body"]) == ("POST", "x")
    left = client.follow(client.post("/moved-same", content="x"))
    assert left.status == 307
    assert client.follow(client.get("/moved-same")).path == "/echo"


@pytest.mark.parametrize(
    ("where", "reason"), [("/loop", "the redirects lead in a circle of 2"), ("/down", "more than 5 redirects")]
)
def test_redirects_without_end(client: Client, where: str, reason: str) -> None:
    """A circle, and redirects that go on and on, are failures."""
    answer = client.follow(client.get(where))
    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.reason) == (FailureKind.REDIRECT_LOOP, reason)


def test_redirect_to_another_host(client: Client, server: Hostile) -> None:
    """The prober's headers stay with the host they are for."""
    answer = client.get("/away", follow=5)
    assert answer.redirected_off_host
    assert (answer.status, answer.failure, len(server.requests)) == (302, None, 1)


@pytest.mark.parametrize(
    ("here", "there", "followed"),
    [
        ("http://h/", "https://h/", True),
        ("http://h:1/", "https://h:2/", True),
        ("https://h/", "http://h/", False),
        ("http://h:1/", "http://h:2/", False),
        ("https://h/", "https://h:443/x", True),
        ("https://h/", "//h/x", True),
    ],
)
def test_where_redirects_may_lead(here: str, there: str, followed: bool) -> None:
    """To the same origin, or the same host with TLS; never back to plain text or to another port."""
    answers = iter([httpx.Response(302, headers={"location": there}), httpx.Response(200)])
    answer = Client(here, transport=httpx.MockTransport(lambda _: next(answers))).get("", follow=1)
    assert (answer.status == 200, answer.redirected_off_host) == (followed, not followed)


def test_other_transports_fit_in() -> None:
    """Whatever speaks httpx's transport interface can stand for the network, with its errors."""
    kinds = {
        httpx.ConnectTimeout: FailureKind.CONNECT_TIMEOUT,
        httpx.ReadTimeout: FailureKind.TIMEOUT,
        httpx.ConnectError: FailureKind.REFUSED,
        httpx.ReadError: FailureKind.RESET,
        httpx.RemoteProtocolError: FailureKind.PROTOCOL,
    }
    for error, kind in kinds.items():

        def fail(request: httpx.Request, error: type[httpx.TransportError] = error) -> httpx.Response:
            raise error("sk_live_secret")

        failure = Client("http://h", transport=httpx.MockTransport(fail)).get("/").failure
        assert failure is not None
        assert failure.kind is kind
        assert "secret" not in failure.reason


@pytest.mark.parametrize("value", ["line\nbreak", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_wrong_request_header(client: Client, value: str) -> None:
    """A header that HTTP forbids is our own mistake and is raised, without its value."""
    with pytest.raises(ValueError, match="a header of the request holds characters") as raised:
        client.get("/ok", headers={"authorization": value})
    assert value not in str(raised.value)


def _answer(body: bytes, kind: str | None) -> Answer:
    raw = [(b"Content-Type", kind.encode())] if kind else []
    return Answer("GET", Url("http://h/a?token=hidden"), 200, Headers(raw), body)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("é".encode(), None, "é"),
        ("é".encode("latin-1"), "text/html; charset=ISO-8859-1", "é"),
        ("é".encode("utf-8-sig"), "text/html; charset=latin-1", "é"),
        ("é".encode("utf-16"), "text/html", "é"),
        ("é".encode("utf-32"), "text/html", "é"),
        (b"x", 'text/html; charset="utf-8"', "x"),
        (b"<meta charset='latin-1'>\xe9", "text/html", "<meta charset='latin-1'>é"),
        ("<meta charset=latin-1>é".encode(), "text/html; charset=utf-8", "<meta charset=latin-1>é"),
        (b"caf\xe9 <p>", "text/html", "caf\ufffd <p>"),
        (b"caf\xe9 <p>", "text/html; charset=utf-8", "caf\ufffd <p>"),
        ("é".encode(), "text/html; charset=zlib", "é"),
    ],
)
def test_text(body: bytes, kind: str | None, text: str) -> None:
    """A byte order mark says what the text is, else its header, else it is UTF-8; a page with a stray byte is one."""
    assert _answer(body, kind).text() == text


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"Jane", "text/html; charset=utf-8", "not JSON: text/html, 4 bytes"),
        (b"", None, "not JSON: no content type, 0 bytes"),
        (b"[" * 100_000, "application/json", "not JSON: application/json, 100,000 bytes"),
        (b"\xff", "application/json", "not utf-8: application/json, 1 bytes, wrong at byte 0"),
        (b"Jane", "text/plain; charset=punycode", "its charset 'punycode' is none: text/plain, 4 bytes"),
        (b"Jane", "text/plain; charset=zlib", "its charset 'zlib' is none: text/plain, 4 bytes"),
        (b"Jane", "Jane Roe's type", "not JSON: no content type, 4 bytes"),
    ],
    ids=["html", "empty", "deep", "not-utf8", "punycode", "zlib", "odd-type"],
)
def test_bad_bodies(body: bytes, kind: str | None, message: str) -> None:
    """What is wrong with a body is said by its type and size; nothing of it is quoted, not even by the cause."""
    with pytest.raises(BadBody) as raised:
        _answer(body, kind).json()
    assert str(raised.value) == message
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_nothing_is_shown() -> None:
    """No representation of an answer holds its body, a header's value, a query or a password."""
    answer = Answer("GET", Url("http://me:pw@h/a?token=hidden"), 200, Headers([(b"X-Key", b"hidden")]), b"hidden")
    shown = f"{answer} {answer!r} {answer.headers!r} {answer.url} {answer.url!r} {answer.origin} {answer.path}"
    assert "hidden" not in shown
    assert "pw" not in shown
    assert str(answer.url) == "http://h/a?…"
    assert answer.url[:] == "http://me:pw@h/a?token=hidden"
    assert list(answer.headers) == [("X-Key", "hidden")]
    assert len(answer.headers) == 1


def test_html() -> None:
    """A page says so by its type."""
    assert _answer(b"", "text/HTML; charset=x").is_html
    assert not _answer(b"<html>", None).is_html


def test_limits_by_position() -> None:
    """Seconds, seconds, seconds, bytes, count."""
    assert Limits(1, 2, 3, 4, 5) == Limits(connect=1, read=2, total=3, max_body=4, max_redirects=5)
