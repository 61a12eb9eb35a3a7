"""Database defects: each is held by a process of its own and undone when that process is told to end.

Those that are nothing but rows stand in `held_rows.py`.

`DATABASE_URL` is the administrator's: some of these need more than the application's role may do. What a killed holder
left behind is removed by the next one of the same defect; the log-in trigger watches its holder by itself.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dialtone_receptionist import held_rows
from dialtone_receptionist.held_rows import Hold, Session, connect

_SETTLE = 15.0  # seconds for a session of ours to be seen in its state for as long as a check has patience for it


def _as_application(url: str) -> Session:
    """A session as the application's role, when the server lets one in; else as the administrator."""
    if conninfo_to_dict(url).get("user") != "receptionist":
        try:
            return connect(make_conninfo(url, user="receptionist"))
        except psycopg.OperationalError:
            pass
    return connect(url)


def _db_slow_login(url: str) -> Iterator[None]:
    undo: LiteralString = (
        "DROP EVENT TRIGGER IF EXISTS dialtone_hold_login; DROP FUNCTION IF EXISTS dialtone_hold_login()"
    )
    with connect(url) as session:
        session.execute(undo)
        session.execute("SELECT pg_advisory_lock(7465202)")
        # The lock is free as soon as the holder is gone, killed or not: a trigger left behind does no harm.
        session.execute(
            # As its owner, who alone may set `track`: or the sleep would count as a slow statement, another defect.
            "CREATE FUNCTION dialtone_hold_login() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER"
            " SET pg_stat_statements.track = 'none' AS $$ BEGIN"
            " IF session_user <> 'prober' THEN RETURN; END IF;"
            " IF pg_try_advisory_lock_shared(7465202) THEN PERFORM pg_advisory_unlock_shared(7465202);"
            " ELSE PERFORM pg_sleep(2.5); END IF; END $$"
        )
        session.execute("CREATE EVENT TRIGGER dialtone_hold_login ON login EXECUTE FUNCTION dialtone_hold_login()")
        try:
            yield
        finally:
            session.execute(undo)


def _column_renamed(url: str) -> Iterator[None]:
    """A column that the checkout of a subscription needs: nothing else of the application does."""
    renamed = (
        "SELECT FROM information_schema.columns WHERE table_name = 'stripe_subscriptions' AND column_name = 'state'"
    )
    with connect(url) as session:
        if session.execute(renamed).fetchone() is None:
            session.execute("ALTER TABLE stripe_subscriptions RENAME COLUMN status TO state")
        try:
            yield
        finally:
            session.execute("ALTER TABLE stripe_subscriptions RENAME COLUMN state TO status")


def _lock_waiting(url: str) -> Iterator[None]:
    with connect(url) as watch, _as_application(url) as holder, _as_application(url) as waiter:
        holder.execute("SELECT pg_advisory_lock(7465201)")
        waiting = _in_thread(waiter, "SELECT pg_advisory_lock(7465201)")
        _until(
            watch,
            "SELECT FROM pg_locks WHERE NOT granted AND pid = %s"
            " AND waitstart < clock_timestamp() - interval '1.2 seconds'",
            waiter,
        )
        try:
            yield
        finally:
            # Cancelled, not served: a statement that waited to its end would count as a slow one.
            waiter.cancel_safe(timeout=5)
            waiting.join()


def _long_query(url: str) -> Iterator[None]:
    with connect(url) as watch, _as_application(url) as session:
        running = _in_thread(session, "SELECT count(*) FROM appointments, pg_sleep(60)")
        _until(
            watch,
            "SELECT FROM pg_stat_activity WHERE state = 'active' AND pid = %s"
            " AND query_start < clock_timestamp() - interval '3.5 seconds'",
            session,
        )
        try:
            yield
        finally:
            session.cancel_safe(timeout=5)
            running.join()


def _idle_in_transaction(url: str) -> Iterator[None]:
    with connect(url) as watch, _as_application(url) as session, session.transaction():
        session.execute("SELECT count(*) FROM appointments")
        _until(
            watch,
            "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid = %s"
            " AND state_change < clock_timestamp() - interval '2.5 seconds'",
            session,
        )
        yield


def _connections_leak(url: str) -> Iterator[None]:
    with connect(url) as session, ExitStack() as leaked:
        row = session.execute(
            "SELECT current_setting('max_connections')::int,"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
        ).fetchone()
        assert row is not None
        for _ in range(max(0, -(-row[0] * 85 // 100) - row[1])):
            leaked.enter_context(_as_application(url))
        yield


def _slow_statement(url: str) -> Iterator[None]:
    with connect(url) as watch, _as_application(url) as session:
        for _ in range(3):
            session.execute("SELECT id FROM appointments, pg_sleep(0.8) LIMIT 1")
        try:
            yield
        finally:
            watch.execute(
                "SELECT pg_stat_statements_reset(userid, dbid, queryid) FROM pg_stat_statements"
                " WHERE query LIKE 'SELECT id FROM appointments, pg_sleep(%'"
            )


def _cron_stopped(url: str) -> Iterator[None]:
    """No run of the scheduler is noted any more, and the last one was hours ago."""
    undo: LiteralString = (
        "DROP TRIGGER IF EXISTS dialtone_hold_cron ON cron_runs; DROP FUNCTION IF EXISTS dialtone_hold_cron();"
        " INSERT INTO cron_runs (name, finished_at) VALUES ('process-jobs', now())"
        " ON CONFLICT (name) DO UPDATE SET finished_at = now()"
    )
    with connect(url) as session:
        session.execute(undo)
        session.execute("UPDATE cron_runs SET finished_at = now() - interval '3 hours'")
        session.execute(
            "CREATE FUNCTION dialtone_hold_cron() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
        )
        session.execute(
            "CREATE TRIGGER dialtone_hold_cron BEFORE INSERT OR UPDATE ON cron_runs"
            " FOR EACH ROW EXECUTE FUNCTION dialtone_hold_cron()"
        )
        try:
            yield
        finally:
            session.execute(undo)


def _index_missing(url: str) -> Iterator[None]:
    """A table of the application's that grew, and is read whole for each of its requests."""
    undo: LiteralString = "DROP TABLE IF EXISTS call_notes"
    with connect(url) as watch:
        watch.execute(undo)
        with _as_application(url) as session:
            session.execute(
                "CREATE TABLE call_notes AS SELECT n AS call, n % 500 AS caller FROM generate_series(1, 20000) n"
            )
            for caller in range(150):
                session.execute("SELECT count(*) FROM call_notes WHERE caller = %s", (caller,))
        try:
            _seen(watch, "SELECT FROM pg_stat_user_tables WHERE relname = 'call_notes' AND seq_scan >= 150")
            yield
        finally:
            watch.execute(undo)


def _dead_rows(url: str) -> Iterator[None]:
    """A table whose rows are rewritten and never cleaned up."""
    undo: LiteralString = "DROP TABLE IF EXISTS call_states"
    with connect(url) as watch:
        watch.execute(undo)
        with _as_application(url) as session:
            session.execute("CREATE TABLE call_states (call int, state int) WITH (autovacuum_enabled = false)")
            session.execute("INSERT INTO call_states SELECT n, 0 FROM generate_series(1, 12000) AS n")
            for _ in range(2):
                session.execute("UPDATE call_states SET state = state + 1")
        try:
            _seen(watch, "SELECT FROM pg_stat_user_tables WHERE relname = 'call_states' AND n_dead_tup >= 20000")
            yield
        finally:
            watch.execute(undo)


HOLDS: dict[str, Hold] = {
    **held_rows.HOLDS,
    "db-slow-login": _db_slow_login,
    "column-renamed": _column_renamed,
    "lock-waiting": _lock_waiting,
    "long-query": _long_query,
    "idle-in-transaction": _idle_in_transaction,
    "connections-leak": _connections_leak,
    "slow-statement": _slow_statement,
    "cron-stopped": _cron_stopped,
    "index-missing": _index_missing,
    "dead-rows": _dead_rows,
}
"""How each database defect is brought about: up to the `yield`, and undone after it."""


def _in_thread(session: Session, statement: LiteralString) -> threading.Thread:
    def run() -> None:
        try:
            session.execute(statement)
        except psycopg.Error:
            return  # cancelled at the end of the hold

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _until(watch: Session, question: LiteralString, about: Session) -> None:
    deadline = time.monotonic() + _SETTLE
    while watch.execute(question, (about.info.backend_pid,)).fetchone() is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the session did not come into its state")
        time.sleep(0.05)


def _seen(watch: Session, question: LiteralString) -> None:
    """Wait until the statistics say so: a session reports what it did at its end."""
    deadline = time.monotonic() + _SETTLE
    while watch.execute(question).fetchone() is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the statistics do not show it")
        time.sleep(0.05)


def main(name: str, url: str) -> int:
    """Hold a defect: print `ready` when it is there, undo it at the end of stdin or at SIGTERM. The exit code."""
    if name not in HOLDS:
        print(f"no database defect {name!r}; there are: {', '.join(HOLDS)}", file=sys.stderr)
        return 2
    if not url:
        print("DATABASE_URL is not set", file=sys.stderr)
        return 2
    told_in, told_out = os.pipe()
    signal.set_wakeup_fd(_nonblocking(told_out))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        with contextmanager(HOLDS[name])(url):
            print("ready", flush=True)
            _wait(told_in)
    except psycopg.Error as error:
        print(f"cannot hold {name}: {type(error).__name__} {error.sqlstate or ''}".rstrip(), file=sys.stderr)
        return 1
    return 0


def _nonblocking(descriptor: int) -> int:
    os.set_blocking(descriptor, False)
    return descriptor


def _wait(told: int) -> None:
    """Until stdin ends or a signal comes."""
    while True:
        readable = select.select([0, told], [], [])[0]
        if told in readable or not os.read(0, 1024):
            return
