"""PostgREST's errors: `code`, `details`, `hint`, `message`, and the status that belongs to a code of Postgres.

Table and words: PostgREST/postgrest, docs/references/errors.rst and src/library/PostgREST/Error.hs.
"""

from __future__ import annotations

from typing import Any

from dialtone.standins.wire import Answer, Refusal, json_answer

_EXACT = {
    **{"23503": 409, "23505": 409, "25006": 405, "42883": 404, "42P01": 404, "42P17": 500},
    **{"53400": 500, "57P01": 503, "P0001": 400, "21000": 500},
}
_CLASSES = {
    **{"08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500},
    **{"40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0": 500, "XX": 500},
}


def error(status: int, code: str, message: str, details: Any = None, hint: str | None = None) -> Answer:
    """An error in PostgREST's form; a 401 says which scheme it wants."""
    told = {"code": code, "details": details, "hint": hint, "message": message}
    headers = {"proxy-status": f"PostgREST; error={code}", "content-type": "application/json; charset=utf-8"}
    return json_answer(status, told, headers | ({"www-authenticate": "Bearer"} if status == 401 else {}))


def refusal(status: int, code: str, message: str, details: Any = None, hint: str | None = None) -> Refusal:
    """The same, to be raised."""
    return Refusal(error(status, code, message, details, hint))


def of_postgres(code: str, message: str, details: str | None, hint: str | None, *, known: bool) -> Answer:
    """The answer for an error of Postgres; `known` is whether the caller is more than the anonymous role."""
    return error(_status(code, message, known), code, message, details, hint)


def _status(code: str, message: str, known: bool) -> int:
    if code == "42501":
        return 403 if known else 401
    if code == "22023":  # the role of a token
        return 401 if message.startswith("role ") and message.endswith("does not exist") else 400
    if code == "21000" and message.endswith("requires a WHERE clause"):
        return 400
    if code.startswith("PT") and code[2:].isdigit():  # RAISE sqlstate 'PT402'
        return int(code[2:])
    return _EXACT.get(code) or _CLASSES.get(code[:2]) or 400
