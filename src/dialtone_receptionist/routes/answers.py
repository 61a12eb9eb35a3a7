"""Reading requests and the forms of answers that several routes share."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dialtone_receptionist.defects import on

RECEIVED: dict[str, Any] = {"success": True, "received": True}
"""The body of every accepted webhook."""


class BadRequest(Exception):
    """The request's body cannot be used: answered 400 with this code."""


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; raises `BadRequest` when it is anything else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("invalid_json") from error
    if not isinstance(parsed, dict):
        raise BadRequest("invalid_json")
    return parsed


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; raises `BadRequest`."""
    return parse_object(await request.body())


def text(body: dict[str, Any], name: str, *, required: bool = True, most: int = 500) -> str | None:
    """A field of text, trimmed; raises `BadRequest` when it is missing, not text or too long."""
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not (value := value.strip()) or len(value) > most or not is_storable(value):
        raise BadRequest(f"invalid_{name}")
    return value


def is_storable(value: str) -> bool:
    """Whether Postgres can store the text: JSON can spell a NUL and half a surrogate pair, a text column cannot."""
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)


_SEEN: set[str] = set()  # of the defect redelivery-refused


def unhandled(event_id: str) -> Response:
    """The answer to an event of a kind that nobody handles: received, however often it comes."""
    if on("redelivery-refused"):
        if event_id in _SEEN:
            return refusal(409, "seen_before")
        _SEEN.add(event_id)
    return received()


def refusal(status: int, code: str, **headers: str) -> Response:
    """An error answer."""
    return JSONResponse({"error": code}, status, headers=headers or None)


def received() -> Response:
    """The answer to an accepted webhook."""
    return JSONResponse(RECEIVED)
