"""Queries: what they may do, how long they may take, and what is said when they fail."""

# ruff: noqa: S608 - the tables' names are the tests' own

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from tests.hostile import closed_port, stalled
from tests.postgres import PASSWORD

from dialtone.probes.database import Database, DatabaseFailure, DatabaseTrouble, failure
from dialtone.verdict import Unarmed

CANARY = "+15005550123"


@contextlib.contextmanager
def fails(kind: str, *words: str) -> Iterator[None]:
    """A DatabaseFailure of this kind whose reason holds these words, and never a value, a password or a traceback."""
    with pytest.raises(DatabaseFailure) as raised:
        yield
    assert raised.value.kind == kind, raised.value.reason
    for word in words:
        assert word in raised.value.reason
    for secret in (CANARY, PASSWORD, "\n", "DETAIL"):
        assert secret not in raised.value.reason
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_reading(database: Database) -> None:
    """Rows by name, one row, one value; nothing is an empty row and None."""
    assert database.rows("SELECT n, n * 2 AS twice FROM generate_series(1, 2) n") == [
        {"n": 1, "twice": 2},
        {"n": 2, "twice": 4},
    ]
    assert database.one("SELECT %(a)s::text AS a, '%%' AS percent", {"a": "x", "unused": 1}) == {
        "a": "x",
        "percent": "%",
    }
    assert database.value("SELECT 'a%%' LIKE 'a%%'") is True
    assert database.value("WITH n AS (VALUES (7)) SELECT * FROM n;") == 7
    assert database.one("SELECT 1 WHERE false") == {}
    assert database.value("SELECT 1 WHERE false") is None


def test_row_limit(database: Database) -> None:
    """More rows than allowed are a failure: a share of them would be taken for all."""
    assert len(database.rows("SELECT generate_series(1, 1000)")) == 1000
    assert len(database.rows("SELECT generate_series(1, 3)", limit=3)) == 3
    with fails("other", "more than 1,000 rows"):
        database.rows("SELECT generate_series(1, 100000000)")
    assert database.one("SELECT generate_series(1, 100000000) AS n") == {"n": 1}


def test_reading_cannot_write(database: Database, table: str, admin: psycopg.Connection[Any]) -> None:
    """Neither a statement, nor a second one, nor a function, nor a way out of the transaction."""
    for sql in (
        f"DELETE FROM {table}",
        f"SELECT 1; DELETE FROM {table}",
        "SELECT 1; COMMIT; BEGIN",
        f"WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone",
    ):
        with fails("other"):
            database.rows(sql)
    admin.execute(
        f"CREATE OR REPLACE FUNCTION {table}_f() RETURNS int LANGUAGE sql AS 'DELETE FROM {table} RETURNING 1'".encode()
    )
    with fails("denied", "only reading is allowed (25006)"):
        database.value(f"SELECT {table}_f()")
    admin.execute(f"DROP FUNCTION {table}_f".encode())


def test_writing(database: Database, table: str) -> None:
    """`write` is a transaction of its own and returns what the statement returns."""
    insert = f"INSERT INTO {table} VALUES (%(phone)s, 'x') RETURNING phone"
    assert database.write(insert, {"phone": CANARY}) == [{"phone": CANARY}]
    assert database.write(f"UPDATE {table} SET note = 'y'") == []
    assert database.rows(f"SELECT note FROM {table}") == [{"note": "y"}]
    with fails("other", "unique violation", f"{table}_phone_key", "(23505)"):
        database.write(insert, {"phone": CANARY})
    assert database.value(f"SELECT count(*) FROM {table}") == 1


def test_session_is_left_as_it_was(database: Database) -> None:
    """Nothing is set for the session: behind a pooler the application would get it."""
    database.rows("SELECT 1")
    with contextlib.suppress(DatabaseFailure):
        database.rows("SELECT nothing")
    settings = "SELECT current_setting(%(name)s)"
    connection = database._connection()
    for name, value in {"default_transaction_read_only": "off", "statement_timeout": "0"}.items():
        row = connection.execute(settings, {"name": name}).fetchone()
        assert row is not None
        assert row["current_setting"] == value
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_one_connection_is_kept(database: Database) -> None:
    """Reads, writes and locks share it; its name tells whose it is."""
    sql = "SELECT pg_backend_pid() AS pid"
    pids = {database.value(sql), database.write(sql)[0]["pid"], database.hold(sql)}
    assert len(pids) == 1
    name = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    assert database.value(name) == "dialtone"


def test_held_locks_last_as_long_as_the_session(database: Database, postgres: str) -> None:
    """An advisory lock outlives the statement, not the connection."""
    assert database.hold("SELECT pg_try_advisory_lock(%(n)s)", {"n": os.getpid()}) is True
    other = Database(postgres)
    assert other.hold("SELECT pg_try_advisory_lock(%(n)s)", {"n": os.getpid()}) is False
    database.close()
    assert other.hold("SELECT pg_advisory_lock(%(n)s)", {"n": os.getpid()}) in (None, "")
    other.close()


def test_statement_timeout(database: Database) -> None:
    """The server ends what takes too long, and the connection stays good."""
    pid = database.value("SELECT pg_backend_pid()")
    with fails("timeout", "time limit (57014)"):
        database.value("SELECT pg_sleep(5)")
    with fails("timeout"):
        database.write("SELECT pg_sleep(5)")
    assert database.value("SELECT pg_backend_pid()") == pid


def test_server_that_says_nothing(database: Database) -> None:
    """A frozen server is given up, and the next query has a new connection."""
    pid = database.value("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        with fails("timeout", "did not answer a statement within 0.95 s"):
            database.value("SELECT 1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert database.value("SELECT 1") == 1


def test_lost_connection_is_made_again(database: Database, admin: psycopg.Connection[Any]) -> None:
    """A session that the server ended is replaced; the query that meets it does not fail."""
    for use in (database.value, database.hold):
        pid = use("SELECT pg_backend_pid()")
        admin.execute("SELECT pg_terminate_backend(%s, 2000)", [pid])
        assert use("SELECT pg_backend_pid()") not in (pid, None)


def test_connection_that_is_lost_again_and_again(database: Database) -> None:
    """One new connection, not more."""
    with fails("unreachable"):
        database.value("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(0.2)")
    assert database.value("SELECT 1") == 1


def test_what_is_missing_is_named(database: Database, table: str) -> None:
    """A table, column, function, schema that the target lacks."""
    with fails("missing", "no table appointmentz (42P01)"):
        database.value("SELECT 1 FROM appointmentz WHERE 'x' = %(x)s", {"x": CANARY})
    with fails("missing", "no column phones (42703)"):
        database.value(f"SELECT phones FROM {table}")
    with fails("missing", "no column t.phones (42703)"):
        database.value(f"SELECT t.phones FROM {table} t")
    with fails("missing", "no function public.fly (42883)"):
        database.value("SELECT public.fly(1)")
    with fails("missing", "no table nowhere.t (42P01)"):
        database.value("SELECT 1 FROM nowhere.t")


def test_values_are_not_told(database: Database, table: str) -> None:
    """Neither of parameters, nor of rows that a constraint names."""
    with fails("other", "invalid text representation (22P02)"):
        database.value("SELECT %(phone)s::uuid", {"phone": CANARY})
    with fails("other", "not null violation", table, "phone"):
        database.write(f"INSERT INTO {table} (note) VALUES ('{CANARY}')")
    with fails("other", "wrong: programming error"):
        database.value("SELECT %(absent)s", {"phone": CANARY})
    with fails("other", "wrong"):
        database.value("SELECT %(phone)s", {"phone": f"{CANARY}\x00"})


def test_rights(postgres: str, table: str, admin: psycopg.Connection[Any]) -> None:
    """What the role may not do is said with the table's name."""
    role = f"role_{table}"
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
    prober = Database(postgres.replace(f"dialtone:{PASSWORD}", f"{role}:x"))
    try:
        with fails("denied", f"no right to {table} (42501)"):
            prober.rows(f"SELECT * FROM {table}")
    finally:
        prober.close()
        admin.execute(f"DROP ROLE {role}".encode())


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda url: url.replace(PASSWORD, "wrong"), "refused", "credential is not accepted"),
        (lambda url: url.replace("dialtone:", "nobody:"), "refused", "credential is not accepted"),
        (lambda url: url.replace("/postgres", "/nothing"), "missing", "no database of this name"),
        (lambda url: url + "?sslmode=require", "unreachable", "no encrypted connection"),
        (lambda url: url + "?pgbouncer=true", "other", "URL cannot be read"),
        (lambda _: "postgresql://u:p%ä@h/" + PASSWORD, "other", "URL cannot be read"),
        (lambda _: f"postgresql://u:{PASSWORD}@127.0.0.1:{closed_port()}/x", "unreachable", "nobody listens"),
        (lambda _: f"postgresql://u:{PASSWORD}@no-such-host.invalid/x", "unreachable", "name does not resolve"),
    ],
    ids=["password", "role", "database", "tls", "prisma", "escaping", "port", "name"],
)
def test_no_connection(postgres: str, change: Any, kind: str, words: str) -> None:
    """Each reason for having no connection is told apart, without the URL."""
    broken = Database(change(postgres))
    for use in (lambda: broken.value("SELECT 1"), broken.timed_select_one, lambda: broken.write("SELECT 1")):
        with fails(kind, words):
            use()
    assert PASSWORD not in repr(broken)


def test_server_that_never_logs_in() -> None:
    """A port where somebody listens and says nothing is given up in time."""
    with stalled() as port, fails("unreachable", "no connection within 0.2 s"):
        Database(f"postgresql://u:{PASSWORD}@127.0.0.1:{port}/x", connect_timeout=0.2).value("SELECT 1")


def test_name_that_is_never_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting is bounded whatever it hangs on, and what comes too late is closed."""
    over, closed = threading.Event(), threading.Event()

    class Late:
        def close(self) -> None:
            closed.set()

    def connect(*_: Any, **__: Any) -> Late:
        over.wait(5)
        return Late()

    monkeypatch.setattr(psycopg, "connect", connect)
    with fails("unreachable", "no connection within 0.1 s"):
        Database("postgresql://h/x", connect_timeout=0.1).value("SELECT 1")
    over.set()
    assert closed.wait(5)


def test_something_else_at_the_port() -> None:
    """A server that is no PostgreSQL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with fails("unreachable"):
            Database(f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable").value("SELECT 1")
        thread.join()


def test_connections_used_up(postgres: str) -> None:
    """A server without a free connection refuses; that is not being down."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("CREATE ROLE narrow LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
        try:
            with fails("refused", "no connection left"):
                Database(postgres.replace(f"dialtone:{PASSWORD}", "narrow:x")).value("SELECT 1")
        finally:
            admin.execute("DROP ROLE narrow")


def test_timed_select_one(database: Database, postgres: str) -> None:
    """Seconds of a new connection and of a query, by the given clock."""
    connect, query = database.timed_select_one()
    assert connect > 0
    assert query > 0
    ticks = iter([1.0, 3.0, 3.5])
    assert Database(postgres, clock=lambda: next(ticks)).timed_select_one() == (2.0, 0.5)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidPassword, "refused"),
        (errors.InvalidAuthorizationSpecification, "refused"),
        (errors.TooManyConnections, "refused"),
        (errors.QueryCanceled, "timeout"),
        (errors.LockNotAvailable, "timeout"),
        (errors.UndefinedTable, "missing"),
        (errors.UndefinedColumn, "missing"),
        (errors.InvalidCatalogName, "missing"),
        (errors.InsufficientPrivilege, "denied"),
        (errors.ReadOnlySqlTransaction, "denied"),
        (errors.AdminShutdown, "unreachable"),
        (errors.CannotConnectNow, "unreachable"),
        (errors.ConnectionFailure, "unreachable"),
        (errors.DeadlockDetected, "other"),
        (errors.DiskFull, "other"),
        (ConnectionResetError, "unreachable"),
        (TimeoutError, "unreachable"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_mapping(error: type[Exception], kind: str) -> None:
    """Every class of error has its kind; its own text is not repeated."""
    found = failure(error(f"{CANARY} is taken"))
    assert found.kind == kind
    assert CANARY not in found.reason


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('connection to server at "db.x", port 5432 failed: FATAL:  Tenant or user not found', "refused"),
        ("FATAL:  sorry, too many clients already", "refused"),
        ("FATAL:  MaxClientsInSessionMode: max clients reached", "refused"),
        ("FATAL:  Passwort-Authentifizierung für Benutzer »x« fehlgeschlagen", "refused"),
        ("connection failed: Network is unreachable\n\tIs the server running?", "refused"),
        ("could not translate host name", "unreachable"),
        ("connection timeout expired", "unreachable"),
        ("FATAL:  the database system is starting up", "unreachable"),
        ("server closed the connection unexpectedly", "unreachable"),
    ],
)
def test_words_of_a_failed_connection(text: str, kind: str) -> None:
    """A connection that fails has no SQLSTATE, but the server's, libpq's and the poolers' words."""
    assert failure(psycopg.OperationalError(text)).kind == kind


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing package is named, with the extra that brings it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Unarmed, match=r"pytest-dialtone\[database\]"):
        Database("postgresql://h/x").value("SELECT 1")


def test_kinds() -> None:
    """The kinds are words."""
    assert [str(k) for k in DatabaseTrouble] == ["unreachable", "refused", "timeout", "missing", "denied", "other"]
