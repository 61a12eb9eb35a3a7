"""GET /api/health and /api/health/env, and the application's own monitor behind the cron secret."""

from __future__ import annotations

import hmac
import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dialtone_receptionist import VERSION
from dialtone_receptionist.defects import on
from dialtone_receptionist.routes.answers import refusal
from dialtone_receptionist.services import Services, services
from dialtone_receptionist.settings import CRITICAL, REQUIRED

_PATIENCE = 2.0  # seconds for SELECT 1
_AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


async def _database_answers(found: Services) -> bool:
    try:
        return await found.db.one("SELECT 1 AS one", within=_PATIENCE) is not None
    except psycopg.Error:
        return False


async def state(found: Services) -> tuple[int, dict[str, Any]]:
    """Status and body of the health answer."""
    started = time.perf_counter()
    is_ok = await _database_answers(found) and not on("health-503")
    when = _AN_HOUR_AGO if on("health-stale") else datetime.now(UTC)
    body: dict[str, Any] = {
        "status": "ok" if is_ok else "degraded",
        "timestamp": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "responseTime": f"{(time.perf_counter() - started) * 1000:.0f}ms",
        "version": VERSION,
    }
    if on("health-leaks"):
        body["checks"] = {
            "environment": {name: _is_set(name) for name in CRITICAL},
            "database": {
                "connected": is_ok,
                "error": 'connection to server at "db.internal", port 5432 failed: FATAL: password authentication '
                'failed for user "postgres"',
            },
        }
    return 200 if is_ok else 503, body


async def health(request: Request) -> Response:
    """GET /api/health"""
    status, body = await state(services(request))
    headers = {"cache-control": "no-cache, no-store, must-revalidate", "x-response-time": body["responseTime"]}
    if on("health-cached"):
        headers |= {"cache-control": "public, max-age=300", "x-vercel-cache": "HIT"}
    return JSONResponse(body, status, headers=headers)


def _is_set(name: str) -> bool:
    if name == "STRIPE_SECRET_KEY" and on("env-missing"):
        return False
    return bool(os.environ.get(name, "").strip())


async def environment(_: Request) -> Response:
    """GET /api/health/env: which variables are set, never what to."""
    critical = {name: _is_set(name) for name in CRITICAL}
    required = {name: _is_set(name) for name in REQUIRED}
    status = "ok" if all(critical.values()) else "degraded"
    return JSONResponse(
        {"status": status, "critical": critical, "required": required}, headers={"cache-control": "no-store"}
    )


def lacks_cron_secret(request: Request, found: Services) -> Response | None:
    """The refusal for a request without the cron secret, else None. Without a secret configured nobody gets in."""
    if on("cron-open"):
        return None
    expected = f"Bearer {found.settings.cron_secret}".encode()
    given = request.headers.get("authorization", "").encode()
    if found.settings.cron_secret and hmac.compare_digest(given, expected):
        return None
    return refusal(401, "unauthorized")


async def own_monitor(request: Request) -> Response:
    """GET /api/cron/health-check: what the application itself thinks of its health, with the day's numbers."""
    found = services(request)
    if (refused := lacks_cron_secret(request, found)) is not None:
        return refused
    _, body = await state(found)
    is_healthy = body["status"] == "ok"
    if on("monitor-missing-field"):
        is_healthy = is_healthy and "checks" in body
    checks = {"database": await _database_answers(found), "health": is_healthy}
    return JSONResponse(
        {"healthy": all(checks.values()), "checks": checks, "metrics": await _metrics(found)},
        headers={"cache-control": "no-store"},
    )


async def _metrics(found: Services) -> dict[str, int | None]:
    names = ("calls_24h", "appointments_24h", "payments_24h")
    if on("metrics-random"):
        return {name: random.randint(1000, 9000) for name in names}  # noqa: S311  # the defect is that it is random
    try:
        row = await found.db.one(
            "WITH ours AS (SELECT id FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%%')"
            " SELECT (SELECT count(*) FROM calls JOIN ours ON ours.id = business_id"
            "  WHERE calls.created_at > now() - interval '24 hours') AS calls_24h,"
            " (SELECT count(*) FROM appointments JOIN ours ON ours.id = business_id"
            "  WHERE appointments.created_at > now() - interval '24 hours') AS appointments_24h,"
            " (SELECT count(*) FROM billing_history JOIN ours ON ours.id = business_id"
            "  WHERE billing_history.created_at > now() - interval '24 hours') AS payments_24h"
        )
    except psycopg.Error:
        row = None
    return dict(row) if row is not None else dict.fromkeys(names)
