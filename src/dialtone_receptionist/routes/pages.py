"""The pages: small, server-rendered, with one style sheet."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dialtone_receptionist.defects import on

_STYLE = (
    b"body{font-family:system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1c2733}"
    b"nav a{margin-right:1rem}h1{font-size:2.2rem}form label{display:block;margin:.8rem 0}"
)


def _page(name: str, title: str, content: str) -> bytes:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} - Receptionist</title>"
        '<link rel="stylesheet" href="/_next/static/app.css"></head>'
        '<body><nav><a href="/landing">Home</a><a href="/pricing">Pricing</a><a href="/login">Log in</a></nav>'
        f'<main data-page="{name}">{content}</main></body></html>'
    ).encode()


LANDING = _page(
    "landing",
    "Never miss a call",
    "<h1>Never miss a call again</h1><p>A receptionist that answers the phone of your business at any hour, books "
    "appointments into your calendar and confirms them by text message.</p>"
    '<p><a href="/pricing">See what it costs</a></p>',
)
PRICING = _page(
    "pricing",
    "Pricing",
    "<h1>Simple pricing</h1><p>$200 a month and $50 for each booked appointment. No contract.</p>",
)
LOGIN = _page(
    "login",
    "Log in",
    '<h1>Log in to your account</h1><form method="post" action="/api/auth/login-simple">'
    '<label>E-mail <input name="email" type="email" required></label>'
    '<label>Password <input name="password" type="password" required></label><button>Log in</button></form>',
)
NOT_FOUND = _page("not-found", "Not found", "<h1>404</h1><p>This page could not be found.</p>")


def _html(content: bytes, status: int = 200) -> Response:
    if on("script-error"):
        content = content.replace(b"</body>", b"<script>visitors.count()</script></body>")
    answer = HTMLResponse(content, status, headers={"cache-control": "private, no-cache, max-age=0, must-revalidate"})
    # As the framework of the first user's application does: the same header twice.
    answer.raw_headers += [
        (b"vary", b"RSC, Next-Router-State-Tree, Next-Router-Prefetch"),
        (b"vary", b"Accept-Encoding"),
    ]
    return answer


def _is_nth(request: Request, n: int) -> bool:
    """Whether this is the client's n-th, 2n-th … request for this path, as counted by the edge."""
    number = request.headers.get("x-edge-request-number", "")
    return number.isdecimal() and int(number) % n == 0


async def root(_: Request) -> Response:
    """GET /"""
    return RedirectResponse("/?again=1" if on("root-redirect-loop") else "/landing", 307)


async def landing(request: Request) -> Response:
    """GET /landing"""
    if on("errors-one-in-six") and _is_nth(request, 6):
        raise RuntimeError("the page could not be rendered")
    return _html(LANDING)


async def pricing(request: Request) -> Response:
    """GET /pricing"""
    if on("page-500"):
        raise RuntimeError("the page could not be rendered")
    if on("slow-tail") and _is_nth(request, 4):
        await asyncio.sleep(1.3)
    if on("dead-link"):
        return _html(PRICING.replace(b"</p></main>", b' <a href="/terms">Terms of service</a></p></main>'))
    return _html(PRICING)


async def login(request: Request) -> Response:
    """GET /login"""
    if on("errors-one-in-six") and _is_nth(request, 6):
        raise RuntimeError("the page could not be rendered")
    if on("slow-median"):
        await asyncio.sleep(0.7)
    return _html(LOGIN)


async def stylesheet(_: Request) -> Response:
    """GET /_next/static/app.css: served from the edge's cache."""
    if on("asset-missing"):
        return not_found_page()
    headers = {"cache-control": "public, max-age=31536000, immutable", "x-vercel-cache": "HIT"}
    return Response(_STYLE, media_type="text/css", headers=headers)


def not_found_page() -> Response:
    """What an unknown page answers."""
    return _html(LANDING) if on("soft-404") else _html(NOT_FOUND, 404)
