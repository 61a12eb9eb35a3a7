"""What real clients make of each mechanism; answers of providers have their SDKs in test_sdks.py."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import pytest
from tests.interceptor.conftest import Proxy

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
    "too many headers": ({"fault": "header-flood", "count": 2000, "size": 100}, httpx.RemoteProtocolError),
}


@pytest.mark.parametrize("name", SYMPTOMS)
def test_httpx(proxy: Proxy, name: str) -> None:
    """Each mechanism is its own exception, and everything is well again when it is gone."""
    proxy.upstream.say = lambda _: JSON
    fault, error = SYMPTOMS[name]
    listener = fault["fault"] in ("refuse", "blackhole", "stall")
    proxy.put({**fault, "match": {"host": "api.test"}} if listener else fault)
    with httpx.Client(timeout=0.5, follow_redirects=True, trust_env=False) as client:
        with pytest.raises(error):
            client.get(base(proxy))
        proxy.call(lambda: proxy.core.board.end())
        proxy.settle()
        assert client.get(base(proxy)).json() == {}


@pytest.mark.parametrize("wrong", ["expired", "wrong-host", "unknown-authority"])
def test_httpx_and_certificates(proxy: Proxy, wrong: str) -> None:
    """CERTIFICATE_VERIFY_FAILED through a proxy variable's way, CONNECT."""
    proxy.put({"fault": "certificate", "wrong": wrong, "match": {"host": "api.test"}})
    address, port = proxy.address("*")
    context = ssl.create_default_context(cadata=proxy.core.authority.pem.decode())
    with httpx.Client(proxy=f"http://{address}:{port}", verify=context, timeout=5) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get("https://api.test/")
        proxy.call(lambda: proxy.core.board.end())
        proxy.upstream.say = lambda _: JSON
        assert client.get("https://api.test/").json() == {}


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


# Plain TCP: Postgres and Redis


@pytest.fixture
def tcp(proxy: Proxy) -> tuple[str, int]:
    """The address of the plain TCP host."""
    return proxy.address("tcp.test")


@pytest.mark.parametrize(("fault", "words"), [({"fault": "reset"}, "reset|closed"), ({"fault": "stall"}, "timeout")])
def test_psycopg(proxy: Proxy, tcp: tuple[str, int], fault: dict[str, Any], words: str) -> None:
    """An OperationalError, by its words."""
    import psycopg

    proxy.put({**fault, "match": {"host": "tcp.test"}})
    with pytest.raises(psycopg.OperationalError, match=words):
        psycopg.connect(host=tcp[0], port=tcp[1], user="u", dbname="d", connect_timeout=2, sslmode="disable")


@pytest.mark.parametrize(
    ("fault", "error"), [({"fault": "reset"}, "ConnectionError"), ({"fault": "freeze"}, "TimeoutError")]
)
def test_redis(proxy: Proxy, tcp: tuple[str, int], fault: dict[str, Any], error: str) -> None:
    """redis-py tells a reset from silence."""
    redis = pytest.importorskip("redis")
    proxy.put({**fault, "match": {"host": "tcp.test"}})
    client = redis.Redis(*tcp, socket_timeout=0.3, retry=None, protocol=2)
    with pytest.raises(redis.RedisError) as caught:
        client.ping()
    assert type(caught.value).__name__ == error
