"""How Telnyx says no, and how it reads a body, filters and pages.

Errors are a list of code, title and detail: https://developers.telnyx.com/development/api-fundamentals/api-errors.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from dialtone.standins.wire import MAX_FIELDS, Answer, Refusal, Request, json_answer, nested

E164 = re.compile(r"\+[1-9]\d{6,14}")
"""A telephone number with its country code (ITU-T E.164)."""

_TITLES = {
    "10004": ("Missing required parameter", "A required parameter was missing."),
    "10005": ("Resource not found", "The requested resource or URL could not be found."),
    "10009": (
        "Authentication failed",
        "The required authentication headers were either invalid or not included in the request.",
    ),
    "10015": ("Bad Request", "The request failed because it was not well-formed."),
    "10016": (
        "Phone number must be in +E.164 format",
        "The specified phone number parameter must be in +E.164 format.",
    ),
    "90018": ("Call has already ended", "This call is no longer active and can't receive commands."),
}


def iso(at: float) -> str:
    """Unix seconds as the API writes a time."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of the body. Refuses anything else."""
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(error(400, "10015"))
    return body


def filters(request: Request) -> dict[str, Any]:
    """The members of `filter[…]` in the query."""
    try:
        query = nested(parse_qsl(request.query_string, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Refusal(error(400, "10015")) from None
    found = query.get("filter", {})
    return found if isinstance(found, dict) else {}


def page(request: Request, members: list[dict[str, Any]]) -> Answer:
    """One page; `page[number]` counts from 1, `page[size]` is 20 and at most 250."""
    number, size = (_positive(request, f"page[{name}]", default) for name, default in (("number", 1), ("size", 20)))
    size = min(size, 250)
    meta = {
        "page_number": number,
        "page_size": size,
        "total_pages": -(-len(members) // size),
        "total_results": len(members),
    }
    return json_answer(200, {"data": members[(number - 1) * size : number * size], "meta": meta})


def _positive(request: Request, name: str, default: int) -> int:
    value = request.query.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value)):
        raise Refusal(error(400, "10015", name))
    return int(value)


def missing(pointer: str, status: int = 400) -> Refusal:
    """A required parameter is not there."""
    return Refusal(error(status, "10004", pointer))


def error(status: int, code: str, pointer: str | None = None) -> Answer:
    """An error with the title and detail of its code; `pointer` is the JSON pointer of the parameter."""
    title, detail = _TITLES[code]
    found: dict[str, Any] = {"code": code, "title": title, "detail": detail}
    found["meta"] = {"url": f"https://developers.telnyx.com/docs/overview/errors/{code}"}
    if pointer:
        found["source"] = {"pointer": pointer}
    return json_answer(status, {"errors": [found]})
