"""What happens to every request before its route is looked for (origin, limit), and to every answer (headers).

Plain ASGI: the layer that every request passes twice is worth the few lines more.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialtone_receptionist.defects import on
from dialtone_receptionist.services import Services

MOST_REQUESTS = 100
"""Requests of one client address within a window, over all pages and API routes."""

# Providers deliver from a handful of addresses: under the limit, a busy hour would lose calls. A signature protects
# these routes better than a count. Static files never reach the function of a deployed application.
_UNLIMITED = (
    "/api/stripe/webhook",
    "/api/retell/voice-webhook",
    "/api/telnyx/voice-webhook",
    "/api/sms/webhook",
    "/_next/",
)

_SECURITY = [
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains; preload"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
]


def header(scope: Scope, name: bytes) -> str:
    """The first value of a request header (its name in lower case), or an empty text."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found.decode("latin-1")
    return ""


def client_address(scope: Scope) -> str:
    """The client's address, as the edge wrote it into X-Forwarded-For over whatever the client sent; else the peer."""
    forwarded = header(scope, b"x-forwarded-for").partition(",")[0].strip()
    return forwarded or (scope.get("client") or ("unknown",))[0]


def _is_probe(scope: Scope) -> bool:
    """Whether the client says that it is nobody's visitor, by its name or by a mark."""
    return header(scope, b"user-agent").startswith("dialtone/") or bool(header(scope, b"x-dialtone-synthetic"))


class Gate:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self.services = services
        self._own = urlsplit(services.settings.next_public_app_url).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                self.services.traffic.count(scope["path"], message["status"], is_probe=_is_probe(scope))
                if not on("headers-missing"):
                    message["headers"] = [*message["headers"], *_SECURITY]
            await send(message)

        try:
            app = await self._refusal(scope) or self._app
            await app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001  # the last line of defence: told to Sentry, answered 500
            self.services.alerts.error(error)
            if not has_started:
                await JSONResponse({"error": "internal_error"}, 500)(scope, receive, send_with_headers)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        if self._is_foreign(scope):
            return JSONResponse({"error": "foreign_origin"}, 403)
        path: str = scope["path"]
        if path.startswith(_UNLIMITED) or on("site-limit-off"):
            return None
        count = await self.services.counter.hit(f"site:{client_address(scope)}")
        return PlainTextResponse("Too Many Requests", 429) if count.used > MOST_REQUESTS else None

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a browser sent the request for another site's page; without an Origin it is nobody's."""
        origin = header(scope, b"origin")
        if not origin or on("origin-open"):
            return False
        return urlsplit(origin).netloc not in (self._own, header(scope, b"host"))
