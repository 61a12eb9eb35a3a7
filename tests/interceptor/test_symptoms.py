"""What real clients make of each mechanism; answers of providers have their SDKs in test_sdks.py."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fakeredis
import httpx
import psycopg
import pytest
import redis
from tests.interceptor.conftest import Proxy
from tests.standins.conftest import World

from dialtone.interceptor.settings import Origin
from dialtone.standins.mail import smtp

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def base(proxy: Proxy) -> str:
    """The base URL of `api.test`."""
    address, port = proxy.address()
    return f"http://{address}:{port}"


# httpx: the distinct symptoms of connections and bytes

SYMPTOMS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "refused": ({"fault": "refuse"}, httpx.ConnectError),
    "not accepted": ({"fault": "blackhole"}, httpx.ConnectTimeout),
    "silent": ({"fault": "stall"}, httpx.ReadTimeout),
    "hanging": ({"fault": "hang"}, httpx.ReadTimeout),
    "reset before the answer": ({"fault": "reset"}, httpx.ReadError),
    "closed before the answer": ({"fault": "in-doubt", "then": "close"}, httpx.RemoteProtocolError),
    "reset in the body": ({"fault": "reset", "after": 70}, httpx.ReadError),
    "truncated": ({"fault": "truncate", "after": 1}, httpx.RemoteProtocolError),
    "frozen in the body": ({"fault": "freeze", "after": 70}, httpx.ReadTimeout),
    "too long a length": ({"fault": "wrong-length", "off": 10}, httpx.RemoteProtocolError),
    "no gzip": ({"fault": "bad-gzip"}, httpx.DecodingError),
    "redirected for ever": ({"fault": "redirect-loop"}, httpx.TooManyRedirects),
    "half closed in the body": ({"fault": "half-close", "after": 70}, httpx.RemoteProtocolError),
    "too many connections": ({"fault": "connection-limit", "most": 0}, httpx.RemoteProtocolError),
    "slow to accept": ({"fault": "slow-accept", "seconds": 0.8}, httpx.ReadTimeout),
    "slow to answer": ({"fault": "latency", "seconds": 0.8}, httpx.ReadTimeout),
    "a page with 200": ({"fault": "html"}, json.JSONDecodeError),
    "nothing with 200": ({"fault": "status", "status": 200}, json.JSONDecodeError),
    "corrupted": ({"fault": "corrupt", "one_in": 1}, ValueError),
    "refused by a quota": ({"fault": "quota", "most": 0}, httpx.HTTPStatusError),
    "refused by a rate": ({"fault": "rate-limit"}, httpx.HTTPStatusError),
    "502 after the upstream did it": ({"fault": "in-doubt", "then": "502"}, httpx.HTTPStatusError),
    "too many headers": ({"fault": "header-flood", "count": 2000, "size": 100}, httpx.RemoteProtocolError),
}


@pytest.mark.parametrize("name", SYMPTOMS)
def test_httpx(proxy: Proxy, name: str) -> None:
    """Each mechanism is its own exception, and everything is well again when it is gone."""
    proxy.upstream.say = lambda _: JSON
    fault, error = SYMPTOMS[name]
    listener = fault["fault"] in ("refuse", "blackhole", "stall", "slow-accept", "connection-limit")
    proxy.put({**fault, "match": {"host": "api.test"}} if listener else fault)
    silent = isinstance(error, type) and issubclass(error, httpx.TimeoutException)
    with httpx.Client(timeout=0.5 if silent else 30, follow_redirects=True, trust_env=False) as client:
        with pytest.raises(error):
            client.get(base(proxy)).raise_for_status().json()
        proxy.call(lambda: proxy.core.board.end())
        proxy.settle()
        client.timeout = httpx.Timeout(30)
        assert client.get(base(proxy)).json() == {}


@pytest.mark.parametrize("wrong", ["expired", "wrong-host", "unknown-authority"])
def test_httpx_and_certificates(proxy: Proxy, wrong: str) -> None:
    """CERTIFICATE_VERIFY_FAILED through a proxy variable's way, CONNECT."""
    proxy.put({"fault": "certificate", "wrong": wrong, "match": {"host": "api.test"}})
    address, port = proxy.address("*")
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    with httpx.Client(proxy=f"http://{address}:{port}", verify=context, timeout=30) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get("https://api.test/")
        proxy.call(lambda: proxy.core.board.end())
        proxy.upstream.say = lambda _: JSON
        assert client.get("https://api.test/").json() == {}


def test_httpx_and_a_name_that_does_not_resolve(proxy: Proxy) -> None:
    """Through a proxy variable's way the proxy says so: 502 to CONNECT, with a resolver's words."""
    proxy.put({"fault": "dns-failure", "match": {"host": "api.test"}})
    address, port = proxy.address("*")
    with (
        httpx.Client(proxy=f"http://{address}:{port}", timeout=30) as client,
        pytest.raises(httpx.ProxyError, match="502"),
    ):
        client.get("https://api.test/")


# Stripe


@pytest.fixture
def stripe(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Any:
    """stripe-python with its retries made quick."""
    import stripe

    monkeypatch.setattr("stripe._http_client.HTTPClient.INITIAL_DELAY", 0.001)
    return stripe.StripeClient("sk_test_x", base_addresses={"api": base(proxy)}, max_network_retries=2)


def test_stripe_in_doubt_charges_once_with_a_key(proxy: Proxy, stripe: Any) -> None:
    """The answer is lost, the SDK tries again with the same Idempotency-Key: the upstream can tell."""
    proxy.upstream.say = lambda _: JSON
    proxy.put({"fault": "in-doubt", "then": "reset", "match": {"nth": 1}})
    stripe.v1.customers.create({"email": "a@example.com"})
    keys = [
        line
        for r in proxy.upstream.requests
        for line in r.split(b"\r\n")
        if line.lower().startswith(b"idempotency-key")
    ]
    assert len(proxy.upstream.requests) == 2
    assert len(set(keys)) == 1


# Plain TCP: a real Postgres, a Redis, the mail stand-in, each behind `tcp.test`


@pytest.fixture
def lead(proxy: Proxy) -> Iterator[Callable[[int], tuple[str, int]]]:
    """Puts a server behind the plain TCP host; gives the host's address."""
    told = proxy.core.hosts["tcp.test"]

    def lead(port: int) -> tuple[str, int]:
        behind = dataclasses.replace(told, upstream=Origin.parse(f"tcp://127.0.0.1:{port}"))
        proxy.call(lambda: proxy.core.hosts.update({"tcp.test": behind}))
        return proxy.address("tcp.test")

    yield lead
    proxy.call(lambda: proxy.core.hosts.update({"tcp.test": told}))


def broken(proxy: Proxy, fault: dict[str, Any], work: Callable[[], Any]) -> str:
    """The class and words of the error that something meets under a fault, which is gone afterwards."""
    proxy.put({**fault, "match": {"host": "tcp.test"}})
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the symptom is the point, whatever its class
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    finally:
        proxy.call(lambda: proxy.core.board.end())
        proxy.settle()
    return "no error"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"fault": "refuse"}, "OperationalError: .*Connection refused"),
        ({"fault": "blackhole"}, "ConnectionTimeout: connection timeout expired"),
        ({"fault": "stall"}, "ConnectionTimeout: connection timeout expired"),
        ({"fault": "reset"}, "OperationalError: .*(Connection reset by peer|server closed the connection)"),
        ({"fault": "half-close", "after": 10}, "OperationalError: .*server closed the connection unexpectedly"),
    ],
)
def test_psycopg_connecting(
    proxy: Proxy, lead: Callable[[int], tuple[str, int]], postgres: str, fault: dict[str, Any], words: str
) -> None:
    """Each its own words, and a session when it is over."""
    parts = urlsplit(postgres)
    address, port = lead(parts.port or 0)
    made = {"host": address, "port": port, "user": parts.username, "password": parts.password, "dbname": "postgres"}

    def connect(within: int = 30) -> Any:
        with psycopg.connect(**made, connect_timeout=within, sslmode="disable") as session:
            return session.execute("SELECT 7").fetchone()

    silent = "Timeout" in words
    assert re.match(words, broken(proxy, fault, lambda: connect(2 if silent else 30)))
    assert connect() == (7,)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"fault": "reset", "after": 2000}, "OperationalError: .*(Connection reset by peer|server closed)"),
        ({"fault": "half-close", "after": 2000}, "OperationalError: .*server closed the connection unexpectedly"),
    ],
)
def test_psycopg_in_a_session(
    proxy: Proxy, lead: Callable[[int], tuple[str, int]], postgres: str, fault: dict[str, Any], words: str
) -> None:
    """A session that stood breaks in the middle of an answer: in doubt, and it is closed for good."""
    parts = urlsplit(postgres)
    address, port = lead(parts.port or 0)
    made = {"host": address, "port": port, "user": parts.username, "password": parts.password, "dbname": "postgres"}
    proxy.put({**fault, "match": {"host": "tcp.test"}})
    session = psycopg.connect(**made, connect_timeout=30, sslmode="disable", autocommit=True)
    assert session.execute("SELECT 7").fetchone() == (7,)
    with pytest.raises(psycopg.OperationalError) as caught:
        session.execute("SELECT repeat('x', 4000)")
    assert re.match(words, f"OperationalError: {' '.join(str(caught.value).split())}")
    assert session.closed


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"fault": "refuse"}, "ConnectionError: Error 111 connecting to .*Connection refused"),
        ({"fault": "reset"}, "ConnectionError: .*(Connection reset by peer|Connection closed by server)"),
        ({"fault": "half-close"}, "ConnectionError: Connection closed by server"),
        ({"fault": "freeze"}, "TimeoutError: Timeout reading from"),
        ({"fault": "latency", "seconds": 0.6}, "TimeoutError: Timeout reading from"),
    ],
)
def test_redis(
    proxy: Proxy, lead: Callable[[int], tuple[str, int]], redis_port: int, fault: dict[str, Any], words: str
) -> None:
    """redis-py tells a refusal, a closed connection and silence apart."""
    address, port = lead(redis_port)

    def ping(within: float = 30) -> Any:
        with redis.Redis(address, port, socket_timeout=within, retry=None, protocol=2) as client:
            return client.ping()

    assert re.match(words, broken(proxy, fault, lambda: ping(0.3 if "Timeout" in words else 30)))
    assert ping() is True


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    """fakeredis on a socket."""
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"fault": "refuse"}, "ConnectionRefusedError: "),
        ({"fault": "blackhole"}, "TimeoutError: timed out"),
        ({"fault": "stall"}, "SMTPServerDisconnected: Connection unexpectedly closed: timed out"),
        ({"fault": "reset"}, "ConnectionResetError|SMTPServerDisconnected"),
        ({"fault": "half-close", "after": 20}, "SMTPServerDisconnected: Connection unexpectedly closed"),
        ({"fault": "truncate"}, r"SMTPConnectError: \(2, "),
        ({"fault": "corrupt", "one_in": 1}, "SMTPConnectError|SMTPServerDisconnected"),
    ],
)
def test_smtp(
    proxy: Proxy, lead: Callable[[int], tuple[str, int]], mail_port: int, fault: dict[str, Any], words: str
) -> None:
    """smtplib: no mail goes out, and the one after it does."""
    address, port = lead(mail_port)

    def send(within: float = 30) -> Any:
        with smtplib.SMTP(address, port, timeout=within) as client:
            return client.sendmail("a@example.com", ["b@example.com"], "Subject: s\r\n\r\nt")

    silent = "timed out" in words or fault["fault"] == "corrupt"
    assert re.match(words, broken(proxy, fault, lambda: send(0.5 if silent else 30)))
    assert send() == {}


@pytest.fixture
def mail_port(proxy: Proxy, tmp_path: Path) -> Iterator[int]:
    """The mail stand-in."""
    world = World(tmp_path / "defects.json")

    async def start() -> asyncio.Server:
        return await proxy.loop.create_server(lambda: smtp(world.exchange, proxy.loop), "127.0.0.1", 0)

    server = proxy.await_(start())
    yield int(server.sockets[0].getsockname()[1])
    proxy.call(server.close)
