"""What a database error means, in words that hold no value.

A server's message and its DETAIL quote what a statement was about: keys, phone numbers, whole rows. So a reason is made
of the SQLSTATE (https://www.postgresql.org/docs/18/errcodes-appendix.html) and of names of tables and columns only,
which stand in our own SQL.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any


class DatabaseTrouble(StrEnum):
    """Ways in which a query fails."""

    UNREACHABLE = "unreachable"  # nobody answers, or the server is going or coming
    REFUSED = "refused"  # the prober is turned away: credential, no connection left, no route of its own
    TIMEOUT = "timeout"
    MISSING = "missing"  # a table, column, function, schema or database that there is not
    DENIED = "denied"  # the role may not do this
    OTHER = "other"


class DatabaseFailure(Exception):
    """A query that failed. `reason` is a sentence for people."""

    def __init__(self, kind: DatabaseTrouble, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


# What a connection attempt says when it has no SQLSTATE to show (libpq passes only the server's words on).
_SAID: tuple[tuple[str, DatabaseTrouble, str], ...] = (
    (
        r"authentication failed|no pg_hba\.conf entry|role .* does not exist|not permitted to log in"
        r"|no password supplied|Tenant or user not found",
        DatabaseTrouble.REFUSED,
        "the prober's credential is not accepted",
    ),
    (
        r"too many (clients|connections)|connection slots|max_client_conn|max clients",
        DatabaseTrouble.REFUSED,
        "there is no connection left",
    ),
    (r"database .* does not exist", DatabaseTrouble.MISSING, "there is no database of this name"),
    (r"permission denied", DatabaseTrouble.DENIED, "the prober's role may not connect to it"),
    (
        r"Network is unreachable|Cannot assign requested address|No route to host",
        DatabaseTrouble.REFUSED,
        "the prober has no route to it: it may have IPv6 addresses only",
    ),
    (r"Connection refused", DatabaseTrouble.UNREACHABLE, "nobody listens there"),
    (
        r"translate host name|Name or service|nodename nor servname|resolve host|name resolution",
        DatabaseTrouble.UNREACHABLE,
        "its name does not resolve",
    ),
    (r"timeout|timed out", DatabaseTrouble.UNREACHABLE, "no connection in time"),
    (r"starting up|shutting down|recovery", DatabaseTrouble.UNREACHABLE, "it is starting up or shutting down"),
    (r"\bSSL\b|certificate", DatabaseTrouble.UNREACHABLE, "no encrypted connection could be made"),
)

_STATES: dict[str, tuple[DatabaseTrouble, str]] = {
    "57014": (DatabaseTrouble.TIMEOUT, "a statement was ended by its time limit"),
    "55P03": (DatabaseTrouble.TIMEOUT, "a lock could not be had in time"),
    "25P04": (DatabaseTrouble.TIMEOUT, "a transaction was ended by its time limit"),
    "42P01": (DatabaseTrouble.MISSING, "there is no table{name}"),
    "42703": (DatabaseTrouble.MISSING, "there is no column{name}"),
    "42883": (DatabaseTrouble.MISSING, "there is no function{name}"),
    "3F000": (DatabaseTrouble.MISSING, "there is no schema{name}"),
    "3D000": (DatabaseTrouble.MISSING, "there is no database of this name"),
    "42501": (DatabaseTrouble.DENIED, "the prober's role has no right to{name}"),
    "25006": (DatabaseTrouble.DENIED, "a statement would write where only reading is allowed"),
    "53300": (DatabaseTrouble.REFUSED, "there is no connection left"),
}
_CLASSES: dict[str, tuple[DatabaseTrouble, str]] = {
    "28": (DatabaseTrouble.REFUSED, "the prober's credential is not accepted"),
    "08": (DatabaseTrouble.UNREACHABLE, "the connection was lost"),
    "57P": (DatabaseTrouble.UNREACHABLE, "the connection was ended by the server"),
}

_EXTENSIONS = {"pg_stat_statements"}
_MISSING = ": mend the profile's SQL that names it, or run the migration that it waits for"
_REMEDIES = {
    **dict.fromkeys(("42P01", "42703", "42883", "3F000"), _MISSING),
    "42501": ": grant it, or leave out of the profile what needs it",
}

# Identifiers in the server's words: "name", name, schema.name; other languages have other quotation marks.
_NAMED = {
    "42P01": re.compile(r"[\"«„“](?P<name>[\w.$]{1,100})[\"»“”]"),
    "42703": re.compile(r"column \"?(?P<name>[\w.$]{1,100})\"?|[\"«„“](?P<other>[\w.$]{1,100})[\"»“”]"),
    "42883": re.compile(r"function (?P<name>[\w.$]{1,100})\("),
    "3F000": re.compile(r"[\"«„“](?P<name>[\w.$]{1,100})[\"»“”]"),
    "42501": re.compile(r"(?:table|view|relation|column|schema|function|sequence) \"?(?P<name>[\w.$]{1,100})\"?"),
}


def failure(error: BaseException) -> DatabaseFailure:
    """The failure for an error of psycopg, or of the socket below it."""
    state = getattr(error, "sqlstate", None)
    if not state:
        return _without_state(error)
    kind, words = _STATES.get(state) or next(
        (found for prefix, found in _CLASSES.items() if state.startswith(prefix)),
        (DatabaseTrouble.OTHER, f"a statement failed: {_readable(type(error).__name__)}{_place(error)}"),
    )
    name = _name(state, error)
    if name in _EXTENSIONS and kind is DatabaseTrouble.MISSING:
        words = f"the extension {name} is not in this database: CREATE EXTENSION {name}"
        return DatabaseFailure(kind, f"{words}, and name it in shared_preload_libraries ({state})")
    said = words.replace("{name}", f" {name}" if name else " that a statement names")
    return DatabaseFailure(kind, f"{said} ({state}){_REMEDIES.get(state, '')}")


def _without_state(error: BaseException) -> DatabaseFailure:
    text = str(error)
    for pattern, kind, words in _SAID:
        if re.search(pattern, text, re.IGNORECASE):
            return DatabaseFailure(kind, f"the database cannot be used: {words}")
    if "FATAL" in text:  # the server spoke, in a language that we do not read
        return DatabaseFailure(DatabaseTrouble.REFUSED, "the database cannot be used: it turns the prober away")
    if getattr(error, "__module__", "").startswith("psycopg") and _is_own_fault(error):
        words = f"a statement or its parameters are wrong: {_readable(type(error).__name__)}"
        return DatabaseFailure(DatabaseTrouble.OTHER, words)
    return DatabaseFailure(DatabaseTrouble.UNREACHABLE, "the database cannot be used: the connection broke off")


def _is_own_fault(error: BaseException) -> bool:
    """psycopg raises ProgrammingError, DataError … without a SQLSTATE for what never reached the server."""
    return any(c.__name__ in ("ProgrammingError", "DataError", "NotSupportedError") for c in type(error).__mro__)


def _name(state: str, error: BaseException) -> str | None:
    pattern = _NAMED.get(state)
    found = pattern.search(_said(error)) if pattern else None
    return next((text for text in found.groups() if text), None) if found else None


def _said(error: BaseException) -> str:
    """The primary message alone; DETAIL, HINT and the statement are not looked at."""
    return str(getattr(getattr(error, "diag", None), "message_primary", None) or "")


def _place(error: BaseException) -> str:
    """Where a constraint was broken, by name."""
    diag: Any = getattr(error, "diag", None)
    names = [getattr(diag, part, None) for part in ("table_name", "column_name", "constraint_name")]
    known = ", ".join(str(n) for n in names if n)
    return f" ({known})" if known else ""


def _readable(name: str) -> str:
    """`UniqueViolation` as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
