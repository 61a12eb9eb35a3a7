"""What real clients make of it: each symptom that a page claims, seen with the unmodified SDK."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.interceptor.conftest import Proxy

from dialtone.interceptor.plan import parse

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def put(proxy: Proxy) -> Callable[..., Any]:
    """Puts an authentic answer, or any other fault, for whatever comes to `api.test`."""
    proxy.upstream.say = lambda _: JSON

    def put(provider: str, row: str, **match: Any) -> Any:
        fault = {"fault": "answer", "provider": provider, "row": row, "match": {"host": "api.test", **match}, "ttl": 30}
        [spec] = parse({"faults": [fault]})
        [made] = proxy.call(lambda: proxy.core.board.put([spec]))
        return made

    return put


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


@pytest.mark.parametrize(
    ("row", "error", "calls"),
    [
        ("any.rate_limited", "RateLimitError", 1),
        ("any.lock_timeout", "RateLimitError", 1),
        ("any.lock_timeout_retry", "RateLimitError", 3),
        ("any.sticky_500", "APIError", 1),
        ("any.unavailable", "APIError", 3),
        ("any.key_expired", "AuthenticationError", 1),
        ("any.permission_missing", "PermissionError", 1),
        ("charges.card_declined", "CardError", 1),
        ("charges.idempotency_mismatch", "IdempotencyError", 1),
        ("charges.idempotency_busy", "APIError", 3),
        ("reads.missing", "InvalidRequestError", 1),
    ],
)
def test_stripe(put: Callable[..., Any], stripe: Any, row: str, error: str, calls: int) -> None:
    """The class that the SDK raises, and how often it called: what retries and what does not."""
    fault = put("stripe", row)
    with pytest.raises(Exception, match=r".") as caught:
        stripe.v1.customers.create({"email": "a@example.com"})
    assert type(caught.value).__name__ == error
    assert fault.acted == calls


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


# google-auth


@pytest.fixture
def credentials(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Google's own credentials, to be refreshed at `api.test`."""
    pytest.importorskip("google.auth")
    from google.oauth2.credentials import Credentials

    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda _: None)
    return Credentials(None, refresh_token="r", token_uri=base(proxy) + "/token", client_id="c", client_secret="s")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("row", "error", "retryable", "calls"),
    [
        ("token.invalid_grant", "RefreshError", False, 1),
        ("token.invalid_client", "RefreshError", False, 1),
        ("token.unavailable", "RefreshError", True, 3),
        ("token.edge_502", "RefreshError", False, 1),
        ("token.page_with_200", "TypeError", None, 1),
    ],
)
def test_google_auth(
    put: Callable[..., Any], credentials: Any, row: str, error: str, retryable: bool | None, calls: int
) -> None:
    """What has to be told apart: reconnect, try later, and an answer that is none."""
    import google.auth.transport.requests

    fault = put("google", row)
    with pytest.raises(Exception, match=r".") as caught:
        credentials.refresh(google.auth.transport.requests.Request())
    assert type(caught.value).__name__ == error
    assert getattr(caught.value, "retryable", None) == retryable
    assert fault.acted == calls


def test_google_auth_adopts_a_rotated_token(put: Callable[..., Any], credentials: Any) -> None:
    """Who does not store it is disconnected next time."""
    import google.auth.transport.requests

    put("google", "token.rotated")
    credentials.refresh(google.auth.transport.requests.Request())
    assert credentials.refresh_token == "1//rotated"


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
