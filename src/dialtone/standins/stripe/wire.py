"""How Stripe says no, reads parameters and replays an answer: the parts of its API that every endpoint shares.

Error bodies are one `error` object with type, code, message and param (https://docs.stripe.com/api/errors). The
statuses are those that stripe-python maps to its exceptions (stripe/_api_requestor.py). Idempotency follows
https://docs.stripe.com/api/idempotent_requests.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from dialtone.standins.state import Bounded, Clock
from dialtone.standins.wire import MAX_FIELDS, Answer, Refusal, Request, json_answer, nested

LIST_PARAMETERS = frozenset("created ending_before limit starting_after".split())
"""What every list understands."""

_DOC = "https://stripe.com/docs/error-codes/"
_DAY = 86_400.0
_MAX_KEY = 255
_METADATA = (50, 40, 500)
"""Metadata: at most 50 keys, of 40 characters, values of 500 (https://docs.stripe.com/api/metadata)."""


def error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    kind: str = "invalid_request_error",
    **more: Any,
) -> Answer:
    """An error as Stripe writes it; absent members are left out."""
    body: dict[str, Any] = {"code": code, "doc_url": code and _DOC + code.replace("_", "-")}
    body |= {"message": message, "param": param, "type": kind, **more}
    return json_answer(status, {"error": {key: value for key, value in body.items() if value is not None}})


def missing(param: str) -> Refusal:
    """400 for a parameter that must be there."""
    return Refusal(error(400, f"Missing required param: {param}.", code="parameter_missing", param=param))


def no_such(kind: str, name: str, *, param: str = "id", status: int = 404) -> Refusal:
    """404 for an unknown object in the path, 400 for one in a parameter."""
    return Refusal(error(status, f"No such {kind}: '{name}'", code="resource_missing", param=param))


def parameters(request: Request, known: Collection[str]) -> dict[str, Any]:
    """The request's parameters, from the query of a GET and the form of a POST.

    Refuses a body that is not a form and a parameter that the endpoint does not know.
    """
    if request.method == "POST" and request.raw and request.content_type != "application/x-www-form-urlencoded":
        raise Refusal(
            error(
                400,
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have"
                " any questions, we can help at https://support.stripe.com/.",
            )
        )
    try:
        if request.method == "POST":
            values = request.form()
        else:
            pairs = parse_qsl(request.query_string, keep_blank_values=True, max_num_fields=MAX_FIELDS)
            values = nested(pairs)
    except ValueError as malformed:
        raise Refusal(error(400, "Invalid request: the parameters cannot be read.")) from malformed
    for name in values:
        if name not in known and name != "expand":
            raise Refusal(error(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name))
    return values


def integer(values: dict[str, Any], name: str, default: int | None = None) -> int:
    """A whole number among the parameters; refused when it is none, or missing without a default."""
    value = values.get(name)
    if value is None or value == "":
        if default is None:
            raise missing(name)
        return default
    try:
        return int(str(value)) if len(str(value)) < 16 else int("")
    except ValueError:
        raise Refusal(error(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)) from None


def metadata(values: dict[str, Any]) -> dict[str, str]:
    """The metadata among the parameters, within Stripe's limits."""
    given = values.get("metadata") or {}
    most, longest_key, longest_value = _METADATA
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise Refusal(error(400, "Invalid hash", code="parameter_invalid_empty", param="metadata"))
    if len(given) > most:
        raise Refusal(error(400, f"Metadata can have at most {most} keys.", param="metadata"))
    for key, value in given.items():
        if len(key) > longest_key or len(value) > longest_value:
            raise Refusal(error(400, "Metadata keys and values have a maximum length.", param=f"metadata[{key}]"))
    return dict(given)


@dataclass(frozen=True, slots=True)
class _Stored:
    path: str
    parameters: bytes
    answer: Answer
    expires: float


class Idempotency:
    """Remembers the first answer to each Idempotency-Key for 24 hours and gives it again.

    Refusals are not remembered: nothing had begun to execute.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: Bounded[_Stored] = Bounded()
        self._in_use: Bounded[float] = Bounded()

    def in_use(self, request: Request, seconds: float) -> None:
        """The request that brought the key is worked on for so long: another one with it is a 409 meanwhile."""
        if key := request.headers.get("idempotency-key"):
            self._in_use[key] = max(self._in_use.get(key) or 0.0, self._clock.monotonic() + seconds)

    def run(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        """The stored answer if the key is known, else that of `execute`, stored. Refuses a key used otherwise."""
        key = request.headers.get("idempotency-key")
        if not key or request.method != "POST":
            return execute()
        if len(key) > _MAX_KEY:
            raise Refusal(_idempotency_error("Idempotency keys may be at most 255 characters long."))
        now = self._clock.monotonic()
        stored = self._stored.get(key)
        if (until := self._in_use.get(key)) is not None and now < until:
            told = "There is currently another in-progress request using this Stripe Idempotency Key"
            more = "(that probably means you submitted twice, and the other request is still going through)"
            raise Refusal(error(409, f"{told} {more}: {key}.", kind="idempotency_error", code="idempotency_key_in_use"))
        fingerprint = hashlib.sha256(request.raw).digest()
        if stored is None or stored.expires <= now:
            answer = execute()
            self._stored.pop(key)
            self._stored[key] = _Stored(request.path, fingerprint, answer, now + _DAY)
            return answer
        another = f"Try using a key other than '{key}' if you meant to execute a different request."
        if stored.path != request.path:
            raise Refusal(
                _idempotency_error(
                    "Keys for idempotent requests can only be used for the same endpoint they were first used for"
                    f" ('{request.path}' vs '{stored.path}'). {another}"
                )
            )
        if stored.parameters != fingerprint:
            raise Refusal(
                _idempotency_error(
                    "Keys for idempotent requests can only be used with the same parameters they were first used"
                    f" with. {another}"
                )
            )
        return replace(stored.answer, headers={**stored.answer.headers, "idempotent-replayed": "true"})


def _idempotency_error(message: str) -> Answer:
    return error(400, message, kind="idempotency_error")


def key_of(request: Request) -> str | None:
    """The key, from a bearer header or as user of basic authentication; None when there is none."""
    return request.bearer or request.basic[0] or None


def is_live(request: Request) -> bool:
    """Whether the key is one of live mode (https://docs.stripe.com/keys)."""
    return (key_of(request) or "").startswith(("sk_live_", "rk_live_"))


def new_id(prefix: str) -> str:
    """An id in the form of Stripe's: prefix, underscore, 24 characters."""
    return f"{prefix}_{secrets.token_hex(12)}"


def page(path: str, objects: list[dict[str, Any]], values: dict[str, Any]) -> Answer:
    """One page of a list, newest first (https://docs.stripe.com/api/pagination).

    Understands `limit` (10, at most 100), `starting_after`, `ending_before` and the bounds of `created`.
    """
    limit = integer(values, "limit", 10)
    if not 1 <= limit <= 100:
        raise Refusal(error(400, "Limit must be between 1 and 100.", code="parameter_invalid_integer", param="limit"))
    objects = [member for member in objects if _created_within(member, values.get("created"))]
    ids = [member["id"] for member in objects]
    if after := values.get("starting_after"):
        if after not in ids:
            raise no_such("object", after, param="starting_after", status=400)
        objects = objects[ids.index(after) + 1 :]
    elif before := values.get("ending_before"):
        if before not in ids:
            raise no_such("object", before, param="ending_before", status=400)
        objects = objects[: ids.index(before)][-limit:]
    return json_answer(200, {"object": "list", "url": path, "has_more": len(objects) > limit, "data": objects[:limit]})


def _created_within(member: dict[str, Any], bounds: Any) -> bool:
    if bounds is None:
        return True
    if not isinstance(bounds, dict):
        bounds = {"gte": bounds, "lte": bounds}
    created = int(member["created"])
    within = {
        "gt": lambda bound: created > bound,
        "gte": lambda bound: created >= bound,
        "lt": lambda bound: created < bound,
        "lte": lambda bound: created <= bound,
    }
    for name in bounds:
        if name not in within:
            raise Refusal(error(400, f"Received unknown parameter: created[{name}]", code="parameter_unknown"))
    return all(within[name](integer(bounds, name)) for name in bounds)
