"""Connections to Postgres, and the transaction that each request is: in the caller's role, with its claims."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from dialtone.standins.postgrest.catalog import SCHEMA, Catalog
from dialtone.standins.postgrest.errors import of_postgres, refusal
from dialtone.standins.wire import Refusal

POOL, ACQUISITION = 10, 10.0
"""`db-pool` and `db-pool-acquisition-timeout` (seconds) of PostgREST."""
TIMEOUTS = {"anon": "3s"}
"""statement_timeout by role: https://supabase.com/docs/guides/database/postgres/timeouts."""
_OTHERS = "8s"
_CHANGED = ("42703", "42P01", "42883", "42804")
"""Errors that say the schema is not what it was."""


class Database:
    """At most `POOL` connections, made when they are needed; safe from many threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = threading.BoundedSemaphore(POOL)
        self._idle: list[psycopg.Connection[dict[str, Any]]] = []
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None

    def catalog(self, connection: Any, *, anew: bool = False) -> Catalog:
        """What there is in the schema, as it was read last, or read anew."""
        if self._catalog is None or anew:
            self._catalog = Catalog.read(connection)
        return self._catalog

    @contextmanager
    def transaction(self, claims: dict[str, Any], request: Any, *, read_only: bool) -> Iterator[Any]:
        """A transaction as the role of the claims; rolled back when its block raises. Raises Refusal."""
        with self._connection() as connection:
            try:
                connection.execute(f"BEGIN {'READ ONLY' if read_only else 'READ WRITE'}".encode())
                role = str(claims.get("role", "anon"))
                settings = {
                    "search_path": f"{SCHEMA}, extensions",
                    "statement_timeout": TIMEOUTS.get(role, _OTHERS),
                    "request.jwt.claims": json.dumps(claims),
                    "request.method": request.method,
                    "request.path": request.path,
                    "request.headers": json.dumps(dict(request.headers)),
                    "role": role,
                }
                self.catalog(connection)
                calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
                connection.execute(f"SELECT {calls}".encode(), [part for pair in settings.items() for part in pair])
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
                if isinstance(error, psycopg.Error):
                    raise self._refused(error, known=claims.get("role", "anon") != "anon") from None
                raise

    def _refused(self, error: psycopg.Error, *, known: bool) -> Refusal:
        if error.sqlstate is None:
            return refusal(503, "PGRST001", "Database client error. Retrying the connection.", str(error).strip())
        if error.sqlstate in _CHANGED:
            self._catalog = None
        told = error.diag
        return Refusal(
            of_postgres(error.sqlstate, told.message_primary or "", told.message_detail, told.message_hint, known=known)
        )

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        if not self._free.acquire(timeout=ACQUISITION):
            raise refusal(504, "PGRST003", "Timed out acquiring connection from connection pool.")
        connection = None
        try:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._connect()
            yield connection
        finally:
            if connection is not None and not connection.closed:
                with self._lock:
                    self._idle.append(connection)
            self._free.release()

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        try:
            return psycopg.connect(
                self._url, autocommit=True, connect_timeout=10, prepare_threshold=None, row_factory=dict_row
            )
        except psycopg.OperationalError as error:
            words = str(error).strip()
            raise refusal(503, "PGRST000", "Database connection error. Retrying the connection.", words) from None

    def close(self) -> None:
        """End the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
