"""POST /api/auth/register-simple and /api/auth/login-simple, and the tokens they give."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from psycopg.errors import UniqueViolation
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dialtone_receptionist.defects import on
from dialtone_receptionist.limits import Count
from dialtone_receptionist.middleware import client_address
from dialtone_receptionist.routes.answers import BadRequest, read_object, refusal, text
from dialtone_receptionist.services import Services, services

TRIES = 10
"""Tries of one client at each of the two routes within a window."""

_LIFE = 24 * 3600  # seconds
_COST = {"n": 2**12, "r": 8, "p": 1, "dklen": 32}
_MARKER = "dialtone-synthetic"
_SPOOFABLE = ("x-real-ip", "x-client-ip", "cf-connecting-ip")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a valid token speaks for."""

    user_id: UUID
    business_id: UUID


def bearer(request: Request, found: Services) -> Bearer | None:
    """Whom the request's token speaks for; None without a valid one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not found.settings.jwt_secret:
        return None
    try:
        claims = _claims(token, found)
        return Bearer(UUID(claims["sub"]), UUID(claims["business_id"]))
    except (jwt.InvalidTokenError, KeyError, ValueError, AttributeError, TypeError):
        return None


def _claims(token: str, found: Services) -> dict[str, Any]:
    """What a token says, signed with the secret or, while that is rotated, with the one before."""
    previous = found.settings.jwt_secret_previous
    try:
        return jwt.decode(token, found.settings.jwt_secret, ["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidSignatureError:
        if not previous:
            raise
        return jwt.decode(token, previous, ["HS256"], options={"require": ["exp", "sub"]})


def _token(found: Services, user_id: UUID, business_id: UUID) -> str:
    claims = {"sub": str(user_id), "business_id": str(business_id), "exp": int(time.time()) + _LIFE}
    return jwt.encode(claims, found.settings.jwt_secret, "HS256")


async def hash_password(password: str, salt: bytes | None = None) -> str:
    """`salt$hash`, both base64; computed in a thread, since it takes milliseconds of CPU on purpose."""
    salt = salt or secrets.token_bytes(16)
    digest = await asyncio.to_thread(hashlib.scrypt, password.encode(), salt=salt, **_COST)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


async def _matches(password: str, stored: str) -> bool:
    salt = base64.b64decode(stored.partition("$")[0])
    return hmac.compare_digest(await hash_password(password, salt), stored)


async def _limited(request: Request, found: Services, route: str) -> tuple[Response | None, dict[str, str]]:
    """Count a try: the refusal of one too many, and the headers that every answer carries."""
    if on("ratelimit-off"):
        return None, {}
    address = client_address(request.scope)
    if on("ratelimit-spoofable"):
        address = next((request.headers[name] for name in _SPOOFABLE if name in request.headers), address)
    key = f"{route}:{address}"
    count: Count
    if on("ratelimit-per-instance"):
        count = found.memory_counter.hit(key)
    else:
        count = await found.counter.hit(key)
    headers = {
        "x-ratelimit-limit": str(TRIES),
        "x-ratelimit-remaining": str(max(0, TRIES - count.used)),
        "x-ratelimit-reset": str(int(count.resets_at * 1000)),
    }
    if count.used <= (4 if on("ratelimit-strict") else TRIES):
        return None, headers
    if on("ratelimit-no-headers"):
        return refusal(429, "too_many_requests"), {}
    retry_after = str(max(1, round(count.resets_at - time.time())))
    return refusal(429, "too_many_requests", **headers, **{"retry-after": retry_after}), {}


async def register(request: Request) -> Response:
    """Create a business with its first user."""
    found = services(request)
    refused, headers = await _limited(request, found, "register")
    if refused is not None:
        return refused
    body = await read_object(request)
    email = (text(body, "email") or "").lower()
    password = text(body, "password") or ""
    name = text(body, "name", required=False)
    business_name = text(body, "business_name", required=False) or name or email
    if "@" not in email or len(password) < 8:
        raise BadRequest("invalid_email" if "@" not in email else "invalid_password")
    if email.startswith(_MARKER) and not business_name.startswith(_MARKER):
        business_name = f"{_MARKER} {business_name}"
    hashed = await hash_password(password)
    try:
        async with found.db.transaction() as connection:
            cursor = await connection.execute(
                "WITH business AS ("
                "  INSERT INTO businesses (business_name, phone_number) VALUES (%s, %s) RETURNING id)"
                " INSERT INTO custom_users (email, password_hash, business_id, name)"
                " SELECT %s, %s, id, %s FROM business RETURNING id, business_id",
                (business_name, text(body, "phone", required=False), email, hashed, name),
            )
            row = await cursor.fetchone()
    except UniqueViolation:
        return refusal(409, "email_taken", **headers)
    assert row is not None
    token = _token(found, row["id"], row["business_id"])
    answer = {"success": True, "token": token, "user_id": str(row["id"]), "business_id": str(row["business_id"])}
    return JSONResponse(answer, 201, headers=headers)


async def login(request: Request) -> Response:
    """Give a token for an e-mail address and its password."""
    found = services(request)
    refused, headers = await _limited(request, found, "login")
    if refused is not None:
        return refused
    body = await read_object(request)
    email, password = (text(body, "email") or "").lower(), text(body, "password") or ""
    row = await found.db.one(
        "SELECT id, business_id, password_hash FROM custom_users WHERE email = %(email)s AND business_id IS NOT NULL",
        email=email,
    )
    # A user that does not exist costs as much time as a wrong password: the answer's time tells nothing.
    stored = row["password_hash"] if row is not None else await hash_password("")
    if row is None or not await _matches(password, stored):
        if on("login-500"):
            raise LookupError("no user in the session")
        return refusal(401, "invalid_credentials", **headers)
    answer = {"success": True, "token": _token(found, row["id"], row["business_id"])}
    return JSONResponse({**answer, "business_id": str(row["business_id"])}, headers=headers)
