"""GET /api/cron/process-jobs, POST /api/monitoring/error, and the connection of a Google calendar."""

from __future__ import annotations

import asyncio
import time
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dialtone_receptionist.booking import finish_jobs
from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.google import GoogleUnavailable, InvalidGrant
from dialtone_receptionist.routes.accounts import bearer
from dialtone_receptionist.routes.answers import read_object, refusal, text
from dialtone_receptionist.routes.health import lacks_cron_secret
from dialtone_receptionist.scheduler import SCHEDULER
from dialtone_receptionist.services import Services, services

_SEVERITIES = ("low", "medium", "high", "critical")
_STATE_LIFE = 600  # seconds that an owner has for the consent page
_STAYS_WARM = 0.3  # seconds


async def process_jobs(request: Request) -> Response:
    """Finish what bookings have left undone."""
    found = services(request)
    if (refused := lacks_cron_secret(request, found)) is not None:
        return refused
    processed = await finish_jobs(found)
    await found.traffic.forget()
    if request.headers.get("user-agent", "").startswith(SCHEDULER):  # a run by hand says nothing about the scheduler
        await found.db.execute(
            "INSERT INTO cron_runs (name, finished_at) VALUES ('process-jobs', now())"
            " ON CONFLICT (name) DO UPDATE SET finished_at = excluded.finished_at"
        )
    return JSONResponse({"success": True, "processed": processed})


async def client_error(request: Request) -> Response:
    """Pass an error that a browser reports on: to Sentry, and to everybody when it is critical."""
    found = services(request)
    body = await read_object(request)
    severity = body.get("severity")
    severity = severity if severity in _SEVERITIES else "medium"
    message = _message(body.get("error")) or text(body, "error", most=4000) or ""
    if not on("sentry-silent"):
        found.alerts.message(message, severity, source="browser")
    if severity == "critical":
        found.alerts.everyone(f"Critical error reported by a browser: {message}")
    return JSONResponse({"success": True})


def _message(error: Any) -> str | None:
    """The message of an error that was sent as an object (`{"message": …}`) instead of as text."""
    message = error.get("message") if isinstance(error, dict) else None
    return message[:4000] if isinstance(message, str) else None


class Warmth:
    """When this process last served the route that the defect cold-start-slow is about."""

    last = 0.0


async def connect_calendar(request: Request) -> Response:
    """Lead to Google's consent page; `state` says who asked, if they are logged in."""
    found = services(request)
    if on("cold-start-slow") and time.monotonic() - Warmth.last > _STAYS_WARM:
        await asyncio.sleep(0.9)
    Warmth.last = time.monotonic()
    who = bearer(request, found)
    claims = {
        "nonce": token_urlsafe(9),
        "business_id": str(who.business_id) if who is not None else None,
        "exp": int(time.time()) + _STATE_LIFE,
        "aud": "calendar",
    }
    state = jwt.encode(claims, found.settings.jwt_secret, "HS256")
    return RedirectResponse(found.google.consent_url(_redirect_uri(found), state), 307)


async def calendar_callback(request: Request) -> Response:
    """Where Google leads back to: exchange the code and keep the tokens for the business in `state`."""
    found = services(request)
    code, state = request.query_params.get("code"), request.query_params.get("state")
    if not code or not state:
        return refusal(400, "missing_code_or_state")
    try:
        claims = jwt.decode(state, found.settings.jwt_secret, ["HS256"], audience="calendar")
        business_id = UUID(claims["business_id"])
    except (jwt.InvalidTokenError, KeyError, ValueError, AttributeError, TypeError):
        return refusal(400, "invalid_state")
    try:
        tokens = await found.google.exchange(code, _redirect_uri(found))
    except InvalidGrant:
        return refusal(400, "invalid_code")
    except GoogleUnavailable as error:
        found.alerts.error(error)
        return refusal(502, "google_unavailable")
    await found.calendar.grants.store(business_id, tokens)
    return RedirectResponse("/landing?calendar=connected", 307)


def _redirect_uri(found: Services) -> str:
    return f"{found.settings.next_public_app_url.rstrip('/')}/api/calendar/callback"
