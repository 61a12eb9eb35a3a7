"""Queries of the target's database: read-only, bounded in time and size, and with no value in any error.

A target's database often stands behind a pooler that hands one server connection to many clients, a transaction each
(PgBouncer, Supavisor). What a prober sets for its session would stay there for the application: a session that only
reads would be an outage. So everything is set within a transaction (`SET LOCAL`), nothing is prepared, and a
transaction is sent as one pipeline, which costs one round trip.
"""

from __future__ import annotations

import contextlib
import math
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dialtone.probes.database_failures import DatabaseFailure, DatabaseTrouble, failure
from dialtone.probes.watchdog import Watchdog
from dialtone.verdict import Unarmed

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import DictRow

__all__ = ["Database", "DatabaseFailure", "DatabaseTrouble", "failure"]

# For this transaction only. A cursor is otherwise planned as if a tenth of its rows would be wanted.
_SETTINGS = "SELECT set_config('statement_timeout', %(limit)s, true), set_config('cursor_tuple_fraction', '1', true)"

Row = dict[str, Any]
Params = Mapping[str, Any]


class Database:
    """One kept connection, made at the first query and made again when it was lost.

    `connect_timeout` and `statement_timeout` are in seconds, `row_limit` is the most rows that a query may have. Named
    parameters are written `%(name)s`, a percent sign `%%`, in statements without parameters as well. Everything raises
    DatabaseFailure, and Unarmed where psycopg is not installed.
    """

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
        self._kept: psycopg.Connection[DictRow] | None = None
        self._watchdog = Watchdog()
        self._roles: set[str] = set()

    def rows(self, sql: str, params: Params | None = None, *, limit: int | None = None) -> list[Row]:
        """All rows of a SELECT. More than `limit` (by default `row_limit`) are a failure: a part would be no answer."""
        most = self._row_limit if limit is None else limit
        found = self._read(sql, params, most + 1)
        if len(found) > most:
            reason = f"a query has more than {most:,} rows: aggregate or limit it in its SQL"
            raise DatabaseFailure(DatabaseTrouble.OTHER, reason)
        return found

    def one(self, sql: str, params: Params | None = None) -> Row:
        """The first row of a SELECT; empty when there is none."""
        found = self._read(sql, params, 1)
        return found[0] if found else {}

    def value(self, sql: str, params: Params | None = None) -> Any:
        """The first column of the first row of a SELECT; None when there is none."""
        return next(iter(self.one(sql, params).values()), None)

    def write(self, sql: str, params: Params | None = None) -> list[Row]:
        """Run one statement that changes synthetic rows, in a transaction of its own; the rows that it returns."""
        connection = self._connection()
        with self._translated(connection):
            return self._transaction(connection, "BEGIN", [(sql, params)])

    def alone(self, sql: str, *, within: float) -> None:
        """Run one statement that may stand in no transaction, such as CREATE INDEX CONCURRENTLY or VACUUM.

        On a connection of its own, for at most `within` seconds; a lock is waited for 5 s. Needs a connection that is
        the session's own: behind a pooler, its session mode.
        """
        connection = self._open()
        try:
            with self._translated(connection), self._bounded(connection, within):
                settings = {"limit": str(math.ceil(within * 1000))}
                connection.execute(
                    "SELECT set_config('statement_timeout', %(limit)s, false), set_config('lock_timeout', '5s', false)",
                    settings,
                )
                connection.execute(sql.encode())
                connection.execute("RESET ALL")
        finally:
            connection.close()

    def hold(self, sql: str, params: Params | None = None) -> Any:
        """A value from the kept session, such as of an advisory lock, which lives as long as that session.

        Needs a connection that is the session's own: behind a pooler, its session mode.
        """
        found = self.write(sql, params)
        return next(iter(found[0].values()), None) if found else None

    def timed_select_one(self) -> tuple[float, float]:
        """Seconds for a new connection (name, TCP, TLS, login) and for SELECT 1 on it."""
        _psycopg()  # is not to be timed
        began = self._clock()
        connection = self._open()
        connected = self._clock()
        try:
            with self._translated(connection), self._bounded(connection):
                connection.execute("SELECT 1").fetchone()
            return connected - began, self._clock() - connected
        finally:
            connection.close()

    def need_role(self, role: str) -> None:
        """Raise DatabaseFailure unless the prober's role has this one.

        For what a server hides without an error: without `pg_read_all_stats` other sessions look idle, and statements
        have no text (https://www.postgresql.org/docs/18/predefined-roles.html).
        """
        if role not in self._roles:
            sql = "SELECT pg_has_role(current_user, %(role)s, 'USAGE') AS has, current_user::text AS name"
            found = self.one(sql, {"role": role})
            if not found["has"]:
                remedy = f"GRANT pg_monitor TO {found['name']}"
                reason = f"the prober's role sees its own sessions and statements only: {remedy}"
                raise DatabaseFailure(DatabaseTrouble.DENIED, reason)
            self._roles.add(role)

    def close(self) -> None:
        """Close the kept connection; its advisory locks go with it."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _read(self, sql: str, params: Params | None, most: int) -> list[Row]:
        # A cursor takes a SELECT only and no second statement, so that nothing can leave the read-only transaction; and
        # the server sends no more rows than are wanted.
        steps = [
            (f"DECLARE dialtone NO SCROLL CURSOR FOR {sql}", params),
            (f"FETCH FORWARD {most} FROM dialtone", None),
        ]
        for last in (False, True):
            kept = self._kept is not None
            connection = self._connection()
            try:
                with self._translated(connection):
                    return self._transaction(connection, "BEGIN READ ONLY", steps)
            except DatabaseFailure as trouble:
                # Only a kept connection that was lost is tried again: a slow query would be as slow again.
                if last or not kept or self._kept is not None or trouble.kind is not DatabaseTrouble.UNREACHABLE:
                    raise
        raise AssertionError("unreachable")

    def _transaction(
        self, connection: psycopg.Connection[DictRow], begin: str, steps: list[tuple[str, Params | None]]
    ) -> list[Row]:
        """Run the steps in a transaction, in one round trip; the rows of the last one."""
        with self._bounded(connection):
            try:
                control, cursor = connection.cursor(), connection.cursor()
                with connection.pipeline():
                    control.execute(begin)
                    control.execute(_SETTINGS, {"limit": str(math.ceil(self._statement_timeout * 1000))})
                    for sql, params in steps:
                        # `{}` makes psycopg read %% in statements without parameters, too.
                        cursor.execute(sql.encode(), params or {})
                    control.execute("COMMIT")
                return cursor.fetchall() if cursor.description else []
            except BaseException:
                if not connection.broken:
                    connection.rollback()
                raise

    def _connection(self) -> psycopg.Connection[DictRow]:
        if self._kept is not None and _lost(self._kept):
            self.close()
        if self._kept is None:
            self._kept = self._open()
        return self._kept

    def _open(self) -> psycopg.Connection[DictRow]:
        """A new connection. Made in a thread: looking up the host's name knows no time limit, nor do several hosts."""
        driver = _psycopg()
        try:
            driver.conninfo.conninfo_to_dict(self._url)
        except driver.ProgrammingError:
            reason = "the database's URL cannot be read: an unknown parameter, or characters that have to be escaped"
            raise DatabaseFailure(DatabaseTrouble.OTHER, reason) from None
        box: list[psycopg.Connection[DictRow] | Exception] = []
        lock, too_late = threading.Lock(), threading.Event()

        def attempt() -> None:
            made: psycopg.Connection[DictRow] | Exception
            try:
                made = driver.connect(
                    self._url,
                    autocommit=True,  # transactions are begun by us
                    row_factory=driver.rows.dict_row,
                    prepare_threshold=None,
                    connect_timeout=max(2, math.ceil(self._connect_timeout)),  # libpq's least
                    application_name=self._name,
                )
            except Exception as wrong:  # noqa: BLE001 - handed over to the thread that waits
                made = wrong
            with lock:
                if not too_late.is_set():
                    box.append(made)
                elif not isinstance(made, Exception):
                    made.close()

        thread = threading.Thread(target=attempt, name="dialtone-database", daemon=True)
        thread.start()
        thread.join(self._connect_timeout)
        with lock:
            too_late.set()
        if not box:
            reason = f"the database cannot be used: no connection within {self._connect_timeout:g} s"
            raise DatabaseFailure(DatabaseTrouble.UNREACHABLE, reason)
        found = box[0]
        if isinstance(found, Exception):
            raise failure(found) from None
        return found

    @contextlib.contextmanager
    def _translated(self, connection: psycopg.Connection[DictRow]) -> Iterator[None]:
        """Errors become failures; a connection that was lost is not kept."""
        try:
            yield
        except DatabaseFailure:
            self.close()
            raise
        except (_psycopg().Error, OSError) as wrong:
            if connection.broken:
                self.close()
            raise failure(wrong) from None

    @contextlib.contextmanager
    def _bounded(self, connection: psycopg.Connection[DictRow], within: float | None = None) -> Iterator[None]:
        """Cut the connection when a server says nothing long after it should have ended the statement by itself."""
        patience = (within or self._statement_timeout) * 1.5 + 0.5
        self._watchdog.watch(connection.fileno(), patience)
        try:
            yield
        except Exception:
            if self._watchdog.has_cut:
                reason = f"the database did not answer a statement within {patience:g} s"
                raise DatabaseFailure(DatabaseTrouble.TIMEOUT, reason) from None
            raise
        finally:
            self._watchdog.rest()


def _lost(connection: psycopg.Connection[DictRow]) -> bool:
    """Whether an idle connection is at its end: an idle server has nothing to say but that."""
    if connection.closed:
        return True
    try:
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        return bool(waiting.poll(0))
    except OSError:
        return True


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise Unarmed("databases need psycopg: pip install 'pytest-dialtone[database]'") from None
    return psycopg
