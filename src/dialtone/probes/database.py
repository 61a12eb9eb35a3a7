"""Queries of the target's database: read-only, each within a time limit, and no value ever in an error.

Works through a transaction pooler (no prepared statements, settings by statement). Rows for synthetic tenants are the
only thing that is ever written, by `write`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dialtone.verdict import Unarmed

if TYPE_CHECKING:
    import psycopg

Row = dict[str, Any]


class DatabaseTrouble(StrEnum):
    """Ways in which a query fails; by SQLSTATE (PostgreSQL 18, appendix A)."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    MISSING = "missing"
    DENIED = "denied"
    OTHER = "other"


class DatabaseFailure(Exception):
    """A query that failed. The message is made of SQLSTATE and names, never of values or of the server's DETAIL."""

    def __init__(self, kind: DatabaseTrouble, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Database:
    """One kept connection for reads, one for writes; reconnects once when a connection was dropped."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float = 3.0,
        statement_timeout: float = 5.0,
        row_limit: int = 1000,
        application_name: str = "dialtone",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._connect_timeout, self._statement_timeout = url, connect_timeout, statement_timeout
        self._row_limit, self._name, self._clock = row_limit, application_name, clock
        self._reading: psycopg.Connection[Row] | None = None
        self._writing: psycopg.Connection[Row] | None = None

    def __repr__(self) -> str:
        return f"Database({urlsplit(self._url).hostname})"

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a read-only query, at most `row_limit`; parameters are named: `%(name)s`."""
        return self._run("_reading", sql, params)

    def one(self, sql: str, params: Mapping[str, Any] | None = None) -> Row:
        """The first row; empty when there is none."""
        found = self.rows(sql, params)
        return found[0] if found else {}

    def value(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row; None when there is none."""
        return next(iter(self.one(sql, params).values()), None)

    def write(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Run one statement that changes synthetic rows; the rows that it returns."""
        return self._run("_writing", sql, params)

    def hold(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """A value from the writing session, whose advisory locks live as long as this object."""
        return next(iter((self._run("_writing", sql, params) or [{}])[0].values()), None)

    def timed_select_one(self) -> tuple[float, float]:
        """Seconds for a new connection and for SELECT 1 on it."""
        begin = self._clock()
        connection = self._connect(read_only=True)
        connected = self._clock()
        try:
            connection.execute("SELECT 1").fetchone()
        except Exception as error:  # noqa: BLE001 - psycopg and the socket below it: all become words
            raise failure(error) from None
        finally:
            connection.close()
        return connected - begin, self._clock() - connected

    def close(self) -> None:
        """Close both connections; advisory locks go with them."""
        for connection in (self._reading, self._writing):
            if connection is not None:
                connection.close()
        self._reading = self._writing = None

    def _run(self, which: str, sql: str, params: Mapping[str, Any] | None) -> list[Row]:
        for last in (False, True):
            connection = getattr(self, which)
            kept = connection is not None
            try:
                if connection is None:
                    connection = self._connect(read_only=which == "_reading")
                    setattr(self, which, connection)
                cursor = connection.execute(sql, params or {}, prepare=False)
                return list(cursor.fetchmany(self._row_limit)) if cursor.description else []
            except DatabaseFailure:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                trouble = failure(error)
                dropped = connection is not None and connection.broken
                if dropped:
                    setattr(self, which, None)
                if last or not (kept and dropped):
                    raise trouble from None
        raise AssertionError("unreachable")

    def _connect(self, *, read_only: bool) -> psycopg.Connection[Row]:
        try:
            import psycopg
            from psycopg.rows import dict_row
        except ImportError:
            raise Unarmed("databases need psycopg: pip install 'pytest-dialtone[database]'") from None
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                row_factory=dict_row,
                prepare_threshold=None,
                connect_timeout=max(2, round(self._connect_timeout)),
                application_name=self._name,
            )
            milliseconds = int(self._statement_timeout * 1000)
            connection.execute(f"SET statement_timeout = {milliseconds}")
            if read_only:
                connection.execute("SET default_transaction_read_only = on")
        except Exception as error:  # noqa: BLE001 - as above
            raise failure(error) from None
        return connection


def failure(error: BaseException) -> DatabaseFailure:
    """What a psycopg error means, in words that hold no value."""
    state = getattr(error, "sqlstate", None) or ""
    diag = getattr(error, "diag", None)
    if not state:
        text = str(error)
        if "password authentication failed" in text or "no pg_hba.conf entry" in text or "does not exist" in text:
            return DatabaseFailure(DatabaseTrouble.REFUSED, "the database refuses the prober's credential")
        if "too many clients" in text or "max client" in text.lower() or "remaining connection slots" in text:
            return DatabaseFailure(DatabaseTrouble.REFUSED, "the database has no connection left")
        if "timeout" in text:
            return DatabaseFailure(DatabaseTrouble.UNREACHABLE, "the database does not answer in time")
        return DatabaseFailure(DatabaseTrouble.UNREACHABLE, f"the database is unreachable ({type(error).__name__})")
    kinds = {
        "57014": (DatabaseTrouble.TIMEOUT, "a query was ended by its time limit"),
        "42P01": (DatabaseTrouble.MISSING, f"the database has no such table{_named(diag, error)}"),
        "42703": (DatabaseTrouble.MISSING, f"the database has no such column{_named(diag, error)}"),
        "3D000": (DatabaseTrouble.MISSING, "the database does not exist"),
        "42883": (DatabaseTrouble.MISSING, "the database has no such function"),
        "42501": (DatabaseTrouble.DENIED, f"the prober's role may not do this{_named(diag, error)}"),
        "25006": (DatabaseTrouble.DENIED, "the prober's session may only read"),
        "53300": (DatabaseTrouble.REFUSED, "the database has no connection left"),
    }
    if state in kinds:
        return DatabaseFailure(*kinds[state])
    if state.startswith("28"):
        return DatabaseFailure(DatabaseTrouble.REFUSED, f"the database refuses the prober's credential ({state})")
    if state.startswith(("08", "57P")):
        return DatabaseFailure(DatabaseTrouble.UNREACHABLE, f"the database closed the connection ({state})")
    return DatabaseFailure(DatabaseTrouble.OTHER, f"a query failed ({state} {type(error).__name__})")


def _named(diag: Any, error: BaseException) -> str:
    """The object that an error names: identifiers of the schema, which are no data."""
    import re

    known = next((n for n in (getattr(diag, k, None) for k in ("table_name", "column_name")) if n), None)
    match = re.search(r'(?:relation|column|table|schema|function) "?([A-Za-z_][\w.]{0,80})"?', str(error))
    name = known or (match[1] if match else None)
    return f": {name}" if name else ""
