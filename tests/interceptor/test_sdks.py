"""Every authentic answer as the provider's own unmodified SDK takes it: the symptom that the provider's page claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import nodejs
from tests.interceptor.conftest import Proxy
from tests.interceptor.sdks import CLIENTS

from dialtone.interceptor.answers import Answers, providers
from dialtone.interceptor.client import Controller
from dialtone.interceptor.plan import parse
from dialtone.interceptor.redirect import environment

TOKEN = b'{"access_token": "ya29.new", "expires_in": 3599, "token_type": "Bearer"}'
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

SEEN: dict[str, dict[str, tuple[str, int]]] = {
    "google": {
        "token.invalid_grant": ("RefreshError final", 1),
        "token.invalid_client": ("RefreshError final", 1),
        "token.admin_policy": ("RefreshError final", 1),
        "token.unavailable": ("RefreshError retryable", 3),
        "token.edge_502": ("RefreshError final", 1),
        "token.page_with_200": ("TypeError", 1),
        "token.rotated": ("ya29.rotated 1//rotated", 1),
        "token.scope_missing": ("ya29.narrow 1//r", 1),
        "calendar.rate_limited": ("403 rateLimitExceeded", 1),
        "calendar.user_rate_limited": ("403 userRateLimitExceeded", 1),
        "calendar.too_many": ("429 rateLimitExceeded", 1),
        "calendar.unauthorized": ("401 authError", 3),
        "calendar.backend": ("503 backendError", 1),
        "insert.duplicate": ("409 duplicate", 1),
        "events.sync_token_gone": ("410 fullSyncRequired", 1),
        "events.not_found": ("404 notFound", 1),
    },
    "pagerduty": {
        "enqueue.pages_nobody": ("202 success", 1),
        "enqueue.invalid": ("400 invalid event", 1),
        "enqueue.bad_json": ("400 invalid event", 1),
        "enqueue.throttled": ("429 throttle exceeded", 1),
        "enqueue.bad_gateway": ("502 no JSON", 1),
        "enqueue.server_error": ("500 error", 1),
        "enqueue.unavailable": ("503 no JSON", 1),
        "change.accepted": ("202 success", 1),
        "change.invalid": ("400 invalid event", 1),
    },
    "postgrest": {
        "any.pool_timeout": ("APIError PGRST003", 1),
        "any.no_database": ("APIError PGRST000", 4),
        "any.schema_cache": ("APIError PGRST002", 4),
        "any.jwt_expired": ("APIError PGRST303", 1),
        "any.gateway": ("APIError 556", 1),
        "any.statement_timeout": ("APIError 57014", 1),
        "reads.stale_schema": ("APIError PGRST205", 1),
        "reads.not_one": ("APIError PGRST116", 1),
        "reads.empty": ("data []", 1),
        "writes.unique": ("APIError 23505", 1),
        "writes.read_only": ("APIError 25006", 1),
        "writes.forbidden": ("APIError 42501", 1),
    },
    "resend": {
        "any.rate_limited": ("RateLimitError 429 rate_limit_exceeded", 1),
        "any.daily_quota": ("RateLimitError 429 daily_quota_exceeded", 1),
        "any.monthly_quota": ("RateLimitError 429 monthly_quota_exceeded", 1),
        "any.missing_key": ("MissingApiKeyError 401 missing_api_key", 1),
        "any.invalid_key": ("InvalidApiKeyError 403 invalid_api_key", 1),
        "any.server_error": ("ApplicationError 500 application_error", 1),
        "send.missing_field": ("MissingRequiredFieldsError 422 missing_required_field", 1),
        "send.unverified_domain": ("ResendError 403 validation_error", 1),
        "send.invalid": ("ValidationError 422 validation_error", 1),
        "domains.restricted_key": ("ResendError 401 restricted_api_key", 1),
    },
    "retell": {
        "any.rate_limited": ("RateLimitError", 3),
        "any.unauthorized": ("AuthenticationError", 1),
        "any.server_error": ("InternalServerError", 3),
        "any.unavailable": ("InternalServerError", 3),
        "calls.payment_required": ("APIStatusError", 1),
        "calls.bad_number": ("BadRequestError", 1),
        "calls.unprocessable": ("UnprocessableEntityError", 1),
        "calls.concurrency_full": ("RateLimitError", 1),
        "call.unknown": ("NotFoundError", 1),
        "call.ended_without_payment": ("no_valid_payment", 1),
        "call.ended_by_telephony": ("telephony_provider_unavailable", 1),
        "call.ended_by_error": ("error_retell", 1),
        "agents.removed_endpoint": ("NotFoundError", 1),
    },
    "sentry": {
        "envelope.quota": ("nothing raised", 1),
        "envelope.rate_limited": ("nothing raised", 1),
        "envelope.limited_with_200": ("nothing raised", 1),
        "envelope.disabled_key": ("nothing raised", 3),
        "envelope.unknown_project": ("nothing raised", 3),
        "envelope.too_large": ("nothing raised", 3),
        "envelope.unavailable": ("nothing raised", 3),
        "envelope.malformed": ("nothing raised", 3),
        "cron.unknown_monitor": ("404", 1),
        "cron.rate_limited": ("429", 1),
    },
    "slack": {
        "webhook.rate_limited": ("429 rate_limited", 1),
        "webhook.no_service": ("404 no_service", 1),
        "webhook.channel_is_archived": ("410 channel_is_archived", 1),
        "webhook.action_prohibited": ("403 action_prohibited", 1),
        "webhook.invalid_payload": ("400 invalid_payload", 1),
        "webhook.unavailable": ("503 <html><body>Slack is having some trouble</body></html>", 1),
        "webhook.accepted": ("200 ok", 1),
        "api.token_revoked": ("SlackApiError 200 token_revoked", 1),
        "api.not_in_channel": ("SlackApiError 200 not_in_channel", 1),
        "api.rate_limited": ("SlackApiError 429 ratelimited 30", 1),
    },
    "stripe": {
        "any.rate_limited": ("RateLimitError", 1),
        "any.lock_timeout": ("RateLimitError", 1),
        "any.lock_timeout_retry": ("RateLimitError", 3),
        "any.sticky_500": ("APIError", 1),
        "any.unavailable": ("APIError", 3),
        "any.key_expired": ("AuthenticationError", 1),
        "any.key_revoked": ("AuthenticationError", 1),
        "any.permission_missing": ("PermissionError", 1),
        "charges.card_declined": ("CardError card_declined", 1),
        "charges.idempotency_mismatch": ("IdempotencyError", 1),
        "charges.idempotency_busy": ("APIError", 3),
        "reads.missing": ("InvalidRequestError resource_missing", 1),
    },
    "telnyx": {
        "any.rate_limited": ("RateLimitError", 3),
        "any.unauthorized": ("AuthenticationError", 1),
        "any.forbidden": ("PermissionDeniedError", 1),
        "any.unexpected": ("InternalServerError", 3),
        "any.timeout": ("InternalServerError", 3),
        "any.edge_502": ("InternalServerError", 3),
        "messages.blocked_by_stop": ("BadRequestError", 1),
        "messages.not_e164": ("BadRequestError", 1),
        "messages.unknown_profile": ("NotFoundError", 1),
        "calls.bad_request": ("BadRequestError", 1),
        "balance.empty": ("0.00", 1),
    },
    "upstash": {
        "any.wrong_token": ("UpstashError", 1),
        "any.daily_quota": ("UpstashError", 1),
        "any.capacity": ("UpstashError", 1),
        "any.syntax": ("UpstashError", 1),
        "any.method": ("UpstashError", 1),
        "any.edge_502": ("JSONDecodeError", 2),
        "any.aborted": ("Aborted", 1),
        "pipeline.element_error": ("UpstashError", 1),
        "pipeline.noscript": ("UpstashError", 1),
        "multi.discarded": ("AttributeError", 1),
    },
}
"""By provider and row: what the SDK says, and after how many calls."""


@pytest.mark.parametrize("provider", providers())
def test_symptoms(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    """What the SDK makes of each row, and after how many calls: what it tries again and what not."""
    proxy.upstream.say = lambda _: JSON % (len(TOKEN), TOKEN)
    address, port = proxy.address()
    answers = Answers.of(provider)
    seen = {}
    with CLIENTS[provider](f"http://{address}:{port}", monkeypatch) as call:
        for name in answers.rows:
            endpoint = name.partition(".")[0]
            match = {**answers.match(endpoint), "host": "api.test"}
            fault = {"fault": "answer", "provider": provider, "row": name, "match": match, "ttl": 30}
            [spec] = parse({"faults": [fault]})
            [made] = proxy.call(lambda spec=spec: proxy.core.board.put([spec]))
            seen[name] = (call(endpoint), made.acted)
            proxy.call(lambda: proxy.core.board.end())
    assert seen == SEEN[provider]


@pytest.fixture
def controller(proxy: Proxy) -> Iterator[Controller]:
    """A client of the control API."""
    with Controller.attached(proxy.folder) as made:
        yield made


NODE = {
    "stripe": {
        "any.rate_limited": ("StripeRateLimitError rate_limit", 1),
        "any.lock_timeout": ("StripeRateLimitError lock_timeout", 1),
        "any.lock_timeout_retry": ("StripeRateLimitError lock_timeout", 3),
        "any.sticky_500": ("StripeAPIError", 1),
        "any.unavailable": ("StripeAPIError", 3),
        "any.key_expired": ("StripeAuthenticationError api_key_expired", 1),
        "any.key_revoked": ("StripeAuthenticationError", 1),
        "any.permission_missing": ("StripePermissionError", 1),
        "charges.card_declined": ("StripeCardError card_declined", 1),
        "charges.idempotency_mismatch": ("StripeIdempotencyError", 1),
        "charges.idempotency_busy": ("StripeAPIError", 3),
        "reads.missing": ("StripeInvalidRequestError resource_missing", 1),
    },
    "retell": {
        "any.rate_limited": ("RateLimitError", 3),
        "any.unauthorized": ("AuthenticationError", 1),
        "any.server_error": ("InternalServerError", 3),
        "any.unavailable": ("InternalServerError", 3),
        "calls.payment_required": ("APIError", 1),
        "calls.bad_number": ("BadRequestError", 1),
        "calls.unprocessable": ("UnprocessableEntityError", 1),
        "calls.concurrency_full": ("RateLimitError", 3),
        "call.unknown": ("NotFoundError", 1),
        "call.ended_without_payment": ("no_valid_payment", 1),
        "call.ended_by_telephony": ("telephony_provider_unavailable", 1),
        "call.ended_by_error": ("error_retell", 1),
        "agents.removed_endpoint": ("NotFoundError", 1),
    },
    "postgrest": {
        "any.pool_timeout": ("504 PGRST003", 1),
        "any.no_database": ("503 PGRST000", 4),
        "any.schema_cache": ("503 PGRST002", 4),
        "any.jwt_expired": ("401 PGRST303", 1),
        "any.gateway": ("556 no code", 1),
        "any.statement_timeout": ("500 57014", 1),
        "reads.stale_schema": ("404 PGRST205", 1),
        "reads.not_one": ("406 PGRST116", 1),
        "reads.empty": ("200 []", 1),
        "writes.unique": ("409 23505", 1),
        "writes.read_only": ("405 25006", 1),
        "writes.forbidden": ("403 42501", 1),
    },
}


def test_symptoms_in_node(controller: Controller, tmp_path: Path) -> None:
    """SDKs for Node, led by the preload; what creates a call is tried again there, reads of Supabase three times."""
    nodejs.need("stripe", "retell-sdk", "@supabase/supabase-js")
    faults = []
    for provider in NODE:
        for name in Answers.of(provider).rows:
            own: dict[str, Any] = {"path": f"*/{name}"}
            if provider == "stripe" and not name.startswith("reads."):
                own = {"header": {"Idempotency-Key": name}}
            elif provider == "retell" and name.startswith(("calls.", "any.")):
                own = {"body": {"metadata.row": name}}
            match = {"host": "api.test", **own}
            faults.append({"fault": "answer", "provider": provider, "row": name, "match": match, "ttl": 60})
    put = {(f["provider"], f["row"]): made for f, made in zip(faults, controller.plan({"faults": faults}), strict=True)}
    env = environment(controller.state(), tmp_path, "preload", {})
    rows = {provider: list(Answers.of(provider).rows) for provider in NODE}
    told = nodejs.run("sdks.cjs", {**env, "ROWS": json.dumps(rows)})
    seen = {p: {n: (told[f"{p} {n}"], put[p, n].acted()) for n in rows[p]} for p in NODE}
    assert seen == NODE
