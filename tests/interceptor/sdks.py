"""The providers' own SDKs, each calling what an endpoint of the answers is about, and what came of it in few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest

Client = Callable[[str], str]
"""Calls an endpoint of the answers and tells what came of it."""


def told(work: Callable[[], Any], show: Callable[[Any], str] = str) -> str:
    """What a call gives, or the class of its error with what it knows of the cause."""
    try:
        return show(work())
    except Exception as error:  # noqa: BLE001 - each SDK has classes of its own, and their names are the point
        known = [getattr(error, name, None) for name in ("code", "error_type", "reason")]
        return " ".join([type(error).__name__, *(str(k) for k in known if isinstance(k, str | int) and k)])


@contextmanager
def stripe(base: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """stripe-python, with its waits made short."""
    import stripe as sdk

    patch.setattr("stripe._http_client.HTTPClient.INITIAL_DELAY", 0.001)
    client = sdk.StripeClient("sk_test_x", base_addresses={"api": base}, max_network_retries=2)
    calls = {"reads": lambda: client.v1.customers.retrieve("cus_x")}
    yield lambda endpoint: told(calls.get(endpoint, lambda: client.v1.customers.create({"email": "a@example.com"})))


@contextmanager
def retell(base: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """retell-sdk, with its waits made short."""
    import retell as sdk

    for name in ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY"):
        patch.setattr(f"retell._base_client.{name}", 0.001)
    with sdk.Retell(api_key="key_x", base_url=base) as client:
        calls: dict[str, Callable[[], Any]] = {
            "calls": lambda: client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101"),
            "agents": lambda: client.agent.retrieve("agent_x"),
        }
        yield lambda endpoint: told(
            calls.get(endpoint, lambda: client.call.retrieve("call_x")), lambda call: str(call.disconnection_reason)
        )


@contextmanager
def telnyx(base: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """telnyx, with its waits made short."""
    import telnyx as sdk

    for name in ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY"):
        patch.setattr(f"telnyx._base_client.{name}", 0.001)
    with sdk.Telnyx(api_key="KEY0", base_url=base + "/v2") as client:
        calls: dict[str, Callable[[], Any]] = {
            "calls": lambda: client.calls.dial(connection_id="1", from_="+14155550100", to="+14155550101"),
            "balance": lambda: client.balance.retrieve().data.available_credit,  # type: ignore[union-attr]
        }
        send = lambda: client.messages.send(to="+14155550101", from_="+14155550100", text="hi")  # noqa: E731
        yield lambda endpoint: told(calls.get(endpoint, send))


@contextmanager
def google(base: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """google-auth: its credentials, and its session for the calendar."""
    import google.auth.transport.requests as transport
    from google.auth.exceptions import RefreshError
    from google.oauth2.credentials import Credentials

    patch.setattr("google.auth._exponential_backoff.time.sleep", lambda _: None)
    events = base + "/calendar/v3/calendars/primary/events"

    def refreshed() -> str:
        made = Credentials(None, refresh_token="1//r", token_uri=base + "/token", client_id="c", client_secret="s")  # type: ignore[no-untyped-call]
        try:
            made.refresh(transport.Request())
        except RefreshError as error:
            return f"RefreshError {'retryable' if error.retryable else 'final'}"
        return f"{made.token} {made.refresh_token}"

    def asked(method: str) -> str:
        grant = {"token_uri": base + "/token", "client_id": "c", "client_secret": "s", "refresh_token": "1//r"}
        with transport.AuthorizedSession(Credentials("ya29.x", **grant)) as session:  # type: ignore[no-untyped-call]
            answer = session.request(method, events, json={} if method == "POST" else None)
        return f"{answer.status_code} {answer.json()['error']['errors'][0]['reason']}"

    calls = {"token": refreshed, "insert": lambda: asked("POST")}
    yield lambda endpoint: told(calls.get(endpoint, lambda: asked("GET")))


@contextmanager
def upstash(base: str, _patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """upstash-redis: one command, a pipeline, a transaction."""
    import upstash_redis as sdk

    options = {"rest_encoding": None, "rest_retries": 1, "rest_retry_interval": 0, "allow_telemetry": False}
    with sdk.Redis(base, "token", **options) as client:

        def many(work: Any) -> Any:
            work.set("a", "1")
            work.get("a")
            return work.exec()

        calls = {"pipeline": lambda: many(client.pipeline()), "multi": lambda: many(client.multi())}
        yield lambda endpoint: told(calls.get(endpoint, lambda: client.get("a")))


@contextmanager
def postgrest(base: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """supabase-py's client of PostgREST."""
    import postgrest as sdk

    patch.setattr("postgrest._sync.request_builder.get_retry_delay", lambda _: 0)
    with sdk.SyncPostgrestClient(base + "/rest/v1", headers={"apikey": "k"}) as client:
        table = client.from_("appointments")
        calls = {"reads": lambda: table.select("*").execute(), "any": lambda: table.select("*").execute()}
        yield lambda endpoint: told(
            calls.get(endpoint, lambda: table.insert({"a": 1}).execute()), lambda answer: f"data {answer.data}"
        )


@contextmanager
def slack(base: str, _patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """slack_sdk: an incoming webhook, and the Web API."""
    import slack_sdk as sdk
    from slack_sdk.webhook import WebhookClient

    def posted() -> str:
        answer = WebhookClient(base + "/services/T/B/x", timeout=30).send(text="hi")
        return f"{answer.status_code} {answer.body}"

    def called() -> Any:
        try:
            return sdk.WebClient("xoxb-x", base_url=base + "/api/", timeout=30).chat_postMessage(channel="C", text="hi")
        except sdk.errors.SlackApiError as error:
            kept = error.response
            wait = kept.headers.get("retry-after", "")
            return f"SlackApiError {kept.status_code} {kept['error']} {wait}".strip()

    yield lambda endpoint: told(called if endpoint == "api" else posted)


@contextmanager
def sentry(base: str, _patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """sentry-sdk: three errors, and how many of them were sent at all; a check-in of the cron by HTTP."""
    import sentry_sdk as sdk

    def captured() -> str:
        client = sdk.Client(
            base.replace("http://", "http://key@") + "/1", default_integrations=False, send_client_reports=False
        )
        try:
            for _ in range(3):
                client.capture_event({"message": "x", "level": "error"})
                client.flush(30)
        finally:
            client.close(timeout=10)
        return "nothing raised"

    checked_in = lambda: str(httpx.get(base + "/api/1/cron/nightly/key/?status=ok", trust_env=False).status_code)  # noqa: E731
    yield lambda endpoint: told(checked_in if endpoint == "cron" else captured)


@contextmanager
def resend(base: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """resend: a mail, the domains."""
    import resend as sdk

    patch.setattr(sdk, "api_url", base)
    patch.setattr(sdk, "api_key", "re_x")
    mail: Any = {"from": "a@example.com", "to": ["b@example.com"], "subject": "s", "text": "t"}
    yield lambda endpoint: told(sdk.Domains.list if endpoint == "domains" else lambda: sdk.Emails.send(mail))


@contextmanager
def pagerduty(base: str, _patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The Events API has no SDK among what this project trusts: httpx, and what is read of an answer."""

    def sent(path: str) -> str:
        answer = httpx.post(base + path, json={"routing_key": "k", "event_action": "trigger"}, trust_env=False)
        try:
            return f"{answer.status_code} {answer.json()['status']}"
        except json.JSONDecodeError:
            return f"{answer.status_code} no JSON"

    yield lambda endpoint: told(lambda: sent("/v2/change/enqueue" if endpoint == "change" else "/v2/enqueue"))


CLIENTS: dict[str, Callable[[str, pytest.MonkeyPatch], AbstractContextManager[Client]]] = {
    **{"stripe": stripe, "retell": retell, "telnyx": telnyx, "google": google, "upstash": upstash},
    **{"postgrest": postgrest, "slack": slack, "sentry": sentry, "resend": resend, "pagerduty": pagerduty},
}
