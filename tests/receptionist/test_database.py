"""Migration, seed, the pool that outlives its connections, and the defects that are held in the database."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.receptionist.conftest import Databases

from dialtone_receptionist.database import Database, migrate
from dialtone_receptionist.holds import HOLDS

Session = psycopg.Connection[dict[str, Any]]


def value(db: Session, question: str) -> Any:
    """The only value of an answer."""
    row = db.execute(question.encode()).fetchone()
    assert row is not None
    return next(iter(row.values()))


def test_the_seed_is_a_healthy_day(databases: Databases, db: Session) -> None:
    """Three businesses with a day's work, all of it good; a second migration changes nothing."""
    questions = {
        "SELECT count(*) FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%'": 3,
        "SELECT count(*) FROM billing_history WHERE status = 'paid' AND created_at > now() - interval '24 hours'": 400,
        "SELECT count(*) FROM calls WHERE status = 'completed' AND created_at > now() - interval '24 hours'": 400,
        "SELECT count(*) FROM appointments WHERE google_event_id IS NOT NULL"
        " AND created_at > now() - interval '24 hours'": 300,
        "SELECT count(*) FROM cron_runs WHERE finished_at > now() - interval '1 hour'": 1,
        "SELECT count(*) FROM webhook_events WHERE event_type = 'seed'"
        " AND processed_at - created_at < interval '1 second'": 300,
        "SELECT count(*) FROM appointments a JOIN appointments b ON a.business_id = b.business_id AND a.id < b.id"
        " AND a.scheduled_date = b.scheduled_date AND a.start_time < b.end_time AND b.start_time < a.end_time": 0,
    }
    for _ in range(2):
        assert {question: value(db, question) for question in questions} == questions
        migrate(databases.url)


def test_a_server_that_stays_away_is_an_error() -> None:
    """The migration waits for a while and then says so."""
    with pytest.raises(psycopg.OperationalError):
        migrate("postgresql://nobody@127.0.0.1:1/nothing", patience=0.1)


def test_a_refused_statement_says_nothing_of_the_server(databases: Databases, db: Session) -> None:
    """A lock that is not to be had is an error of that statement: the connections of the pool stay, and are good."""

    async def run() -> None:
        database = Database(databases.url)
        await database.open()
        try:
            with db.transaction():
                db.execute("LOCK TABLE businesses IN ACCESS EXCLUSIVE MODE")
                for _ in range(4):
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        async with database.transaction() as connection:
                            await connection.execute("LOCK TABLE businesses IN ACCESS SHARE MODE NOWAIT")
            made = database._pool.get_stats()["connections_num"]
            assert made == 2  # none was thrown away
            assert database._breaker.admits()
        finally:
            await database.close()

    asyncio.run(run())


def test_the_pool_outlives_its_connections(databases: Databases) -> None:
    """Connections that the server closed are replaced without a request failing; a rolled back one leaves nothing."""

    async def run() -> None:
        database = Database(databases.url)
        await database.open()
        try:
            with psycopg.connect(databases.admin_url, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'receptionist'"
                )
                # The last of them is gone when nobody with that name is left.
                while admin.execute("SELECT FROM pg_stat_activity WHERE application_name = 'receptionist'").rowcount:
                    admin.execute("SELECT pg_sleep(0.01)")
            answers = await asyncio.gather(*(database.one("SELECT 1 AS one") for _ in range(4)))
            assert answers == [{"one": 1}] * 4
            with contextlib.suppress(ZeroDivisionError):
                async with database.transaction() as connection:
                    await connection.execute("CREATE TABLE of_a_transaction ()")
                    raise ZeroDivisionError
            assert await database.one("SELECT to_regclass('of_a_transaction') AS there") == {"there": None}
        finally:
            await database.close()

    asyncio.run(run())


@contextmanager
def held(name: str, databases: Databases) -> Iterator[None]:
    """A database defect while the block runs."""
    with contextmanager(HOLDS[name])(databases.admin_url):
        yield


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("payments-failing", "SELECT count(*) FROM billing_history WHERE status = 'failed'"),
        ("calls-failing", "SELECT count(*) FROM calls WHERE status = 'failed'"),
        (
            "calendar-unsynced",
            "SELECT count(*) FROM appointments a JOIN businesses b ON b.id = a.business_id"
            " WHERE google_event_id IS NULL AND calendar_connected AND a.created_at < now() - interval '30 minutes'",
        ),
        (
            "webhook-lag",
            "SELECT count(*) FROM webhook_events WHERE processed_at > created_at + interval '2 minutes'"
            " AND processed_at < now() AND created_at > now() - interval '1 hour'",
        ),
        (
            "synthetic-leftovers",
            "SELECT count(*) FROM custom_users WHERE email LIKE '%synthetic%'"
            " AND created_at < now() - interval '2 hours'",
        ),
        ("webhooks-unprocessed", "SELECT count(*) FROM webhook_events WHERE processed_at IS NULL"),
        ("jobs-overdue", "SELECT count(*) FROM sms_messages WHERE status = 'queued'"),
        (
            "subscription-not-activated",
            "SELECT count(*) FROM stripe_subscriptions s JOIN businesses b ON b.id = s.business_id"
            " WHERE s.status = 'active' AND b.subscription_status = 'inactive'",
        ),
        (
            "traffic-failing",
            "SELECT coalesce(sum(requests), 0)::int FROM request_counts WHERE extract(second FROM minute) = 7",
        ),
        (
            "signatures-refused",
            "SELECT coalesce(sum(requests), 0)::int FROM request_counts WHERE kind = 'webhook' AND status = 401",
        ),
        (
            "logins-refused",
            "SELECT coalesce(max(requests), 0)::int FROM request_counts WHERE kind = 'login' AND status = 401",
        ),
        (
            "limits-hit",
            "SELECT coalesce(max(requests), 0)::int FROM request_counts WHERE extract(second FROM minute) = 17",
        ),
    ],
)
def test_rows_come_and_go(name: str, question: str, databases: Databases, db: Session) -> None:
    """A defect made of rows: there while it is held, gone afterwards, and the same again after a killed holder."""
    sizes = {
        **{"payments-failing": 80, "calls-failing": 150, "calendar-unsynced": 120, "webhook-lag": 200},
        **{"webhooks-unprocessed": 60, "subscription-not-activated": 3, "traffic-failing": 400},
        **{"signatures-refused": 120, "logins-refused": 60, "limits-hit": 200},
    }
    assert value(db, question) == 0
    with held(name, databases):
        assert value(db, question) == sizes.get(name, 40)
        with held(name, databases):  # as after one that could not clean up
            assert value(db, question) == sizes.get(name, 40)
    assert value(db, question) == 0


@pytest.mark.parametrize(
    ("name", "question", "healthy"),
    [
        (
            "sentinel-gone",
            "SELECT count(*) AS n, md5(string_agg(t::text, ',' ORDER BY id)) AS rows FROM custom_users t"
            " WHERE email = 'sentinel@receptionist.invalid'",
            1,
        ),
        (
            "rows-dropped",
            "SELECT count(*) AS n, md5(string_agg(t::text, ',' ORDER BY id)) AS rows FROM calls t"
            " WHERE call_id LIKE 'call_seed_%'",
            400,
        ),
    ],
)
def test_rows_go_and_come_back(name: str, question: str, healthy: int, databases: Databases, db: Session) -> None:
    """A defect made of missing rows: they are back afterwards, also when a holder was killed before it could."""
    before = db.execute(question.encode()).fetchone()
    assert before is not None
    assert before["n"] == healthy
    with held(name, databases):
        assert value(db, question) < healthy
        with held(name, databases):
            assert value(db, question) < healthy
    assert db.execute(question.encode()).fetchone() == before


def test_the_scheduler_is_silenced_while_held(databases: Databases, db: Session) -> None:
    """cron-stopped: whatever a run notes meanwhile does not count, and afterwards it does again."""
    age = "SELECT extract(epoch FROM now() - max(finished_at)) FROM cron_runs"
    with held("cron-stopped", databases):
        db.execute("UPDATE cron_runs SET finished_at = now()")
        assert value(db, age) > 10_000
    db.execute("UPDATE cron_runs SET finished_at = now()")
    assert value(db, age) < 60


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("index-missing", "SELECT max(seq_scan) FROM pg_stat_user_tables WHERE n_live_tup > 10000"),
        ("dead-rows", "SELECT max(n_dead_tup) FROM pg_stat_user_tables WHERE n_live_tup > 10000"),
    ],
)
def test_large_tables_come_and_go(name: str, question: str, databases: Databases, db: Session) -> None:
    """The statistics show the table while the defect is held, and no table is left."""
    with held(name, databases):
        assert value(db, question) >= 150
    assert value(db, question) is None


def test_connections_are_leaked_and_given_back(databases: Databases) -> None:
    """85 % of what the server allows, and not more."""
    share = (
        "SELECT 100.0 * count(*) / current_setting('max_connections')::int FROM pg_stat_activity"
        " WHERE backend_type = 'client backend'"
    )
    with held("connections-leak", databases), psycopg.connect(databases.admin_url, row_factory=dict_row) as admin:
        assert 84 < value(admin, share) < 90


def test_only_the_prober_waits_at_the_door(databases: Databases, db: Session) -> None:
    """db-slow-login lets the application in as ever, and is undone with its holder."""
    triggers = "SELECT count(*) FROM pg_event_trigger"
    with held("db-slow-login", databases):
        assert value(db, triggers) == 1
        took = []
        for _ in range(3):  # a busy machine may hold up one of them; the trigger would hold up each, for 2.5 s
            began = time.monotonic()
            psycopg.connect(databases.url).close()
            took.append(time.monotonic() - began)
        assert min(took) < 2
    assert value(db, triggers) == 0


def test_a_lock_is_waited_for(databases: Databases, db: Session) -> None:
    """One session waits for another, for longer than a second, and no more of it counts as a statement afterwards."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart < now() - interval '1 second'"
    with held("lock-waiting", databases):
        assert value(db, waiting) == 1
    assert value(db, waiting) == 0


def test_the_command_holds_until_its_input_ends(databases: Databases, db: Session) -> None:
    """`--hold ID` prints `ready`, and undoes at the end of stdin."""
    failed = "SELECT count(*) FROM calls WHERE status = 'failed'"
    process = subprocess.Popen(
        [sys.executable, "-m", "dialtone_receptionist.defects", "--hold", "calls-failing"],
        env={"DATABASE_URL": databases.admin_url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        assert value(db, failed) == 150
        process.stdin.close()
        assert process.wait(60) == 0
    assert value(db, failed) == 0
