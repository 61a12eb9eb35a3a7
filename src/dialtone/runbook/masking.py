"""What a look found, without the data of customers: numbers and names of things stay, values in text do not.

A look chooses its columns; whatever text is in them is masked all the same. Statements keep their words and lose every
literal, as in pg_stat_statements; other text loses quotes, addresses and long numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from dialtone.redact import foreign, secrets

MOST_ROWS = 20
_LONGEST = 200
_STATEMENT = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:select|insert|update|delete|with|create|alter|drop|vacuum|analyze|copy|begin"
    r"|commit|rollback|set|show|declare|fetch|lock|call|do|merge|reindex)\b",
    re.IGNORECASE | re.DOTALL,
)
_LITERALS = re.compile(
    r"--[^\n]*|/\*.*?\*/"  # comments may hold anything
    r"|\$(\w*)\$.*?(?:\$\1\$|$)"
    r"|[eEbBxXnN]?'(?:[^'\\]|\\.|'')*(?:'|$)"
    r"|(?<![\w$.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b",
    re.DOTALL,
)


def statement(sql: str) -> str:
    """A statement with every literal and comment replaced, on one line, at most 200 characters long."""
    line = " ".join(_LITERALS.sub("?", sql).split())
    return secrets.scrub(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")


def masked(value: Any) -> Any:
    """A value of a row as it may be shown, in JSON types."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return round(float(value), 3)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():,.1f} s"
    if isinstance(value, Mapping):
        return {masked(str(k)): masked(v) for k, v in list(value.items())[:MOST_ROWS]}
    if isinstance(value, list | tuple):
        return [masked(v) for v in value[:MOST_ROWS]]
    text = str(value)
    if _STATEMENT.match(text):
        return statement(text)
    return foreign(text) if len(text) <= _LONGEST else f"{foreign(text[:_LONGEST])}…"
