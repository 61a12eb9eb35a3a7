"""The application: its routes, and what its errors look like."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dialtone_receptionist.defects import on
from dialtone_receptionist.middleware import Gate
from dialtone_receptionist.routes import accounts, appointments, health, jobs, pages
from dialtone_receptionist.routes.answers import BadRequest, received, refusal
from dialtone_receptionist.routes.retell_webhook import retell_webhook
from dialtone_receptionist.routes.sms import sms_webhook
from dialtone_receptionist.routes.stripe_webhook import stripe_webhook
from dialtone_receptionist.routes.telnyx_voice import voice_webhook
from dialtone_receptionist.services import Services
from dialtone_receptionist.settings import Settings

ROUTES = [
    Route("/", pages.root),
    Route("/landing", pages.landing),
    Route("/pricing", pages.pricing),
    Route("/login", pages.login),
    Route("/_next/static/app.css", pages.stylesheet),
    Route("/api/health", health.health),
    Route("/api/health/env", health.environment),
    Route("/api/auth/login-simple", accounts.login, methods=["POST"]),
    Route("/api/auth/register-simple", accounts.register, methods=["POST"]),
    Route("/api/appointments/create", appointments.create, methods=["POST"]),
    Route("/api/appointments/{id}", appointments.one, methods=["GET", "PATCH", "DELETE"]),
    Route("/api/stripe/webhook", stripe_webhook, methods=["POST"]),
    Route("/api/stripe/webhook/", stripe_webhook, methods=["POST"]),
    Route("/api/retell/voice-webhook", retell_webhook, methods=["POST"]),
    Route("/api/telnyx/voice-webhook", voice_webhook, methods=["POST"]),
    Route("/api/sms/webhook", sms_webhook, methods=["POST"]),
    Route("/api/onboarding/calendar/google", jobs.connect_calendar),
    Route("/api/calendar/callback", jobs.calendar_callback),
    Route("/api/cron/process-jobs", jobs.process_jobs),
    Route("/api/cron/health-check", health.own_monitor),
    Route("/api/monitoring/error", jobs.client_error, methods=["POST"]),
]


async def _bad_request(_: Request, error: Exception) -> Response:
    return refusal(400, str(error))


async def _unstorable(_request: Request, _error: Exception) -> Response:
    return refusal(400, "invalid_data")


async def _away(request: Request, error: Exception) -> Response:
    """Whoever asked may ask again: a provider delivers its webhook once more."""
    services: Services = request.app.state.services
    services.alerts.error(error)
    if on("webhook-swallows-errors") and request.method == "POST":
        return received()
    return refusal(503, "temporarily_unavailable", **{"retry-after": "1"})


async def _broken(_request: Request, _error: Exception) -> Response:
    return refusal(500, "internal_error")  # the error itself goes on to the outermost layer, which tells Sentry


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and not request.url.path.startswith("/api/"):
        return pages.not_found_page()
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    return refusal(error.status_code, code, **(error.headers or {}))


def build(settings: Settings, context: ssl.SSLContext) -> ASGIApp:
    """The application of one process."""
    services = Services.build(settings, context)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await services.open()
        try:
            yield
        finally:
            await services.close()

    app = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _http_error,
            BadRequest: _bad_request,
            psycopg.DataError: _unstorable,
            psycopg.OperationalError: _away,
            Exception: _broken,
        },
    )
    app.router.redirect_slashes = False
    app.state.services = services
    return Gate(app, services)
