"""The database is lost (P0): a backup that is taken while customers book, and the archive, bring it back.

Each kind of loss has an objective for how much of what was promised may be gone (RPO) and for how long nobody is served
(RTO): `objectives.recovery_point` and `recovery_time`. docs/disaster-recovery.md says what the figures mean.
"""

from __future__ import annotations

from itertools import count

import pytest

from dialtone import experiment

NEEDS = [
    *("webhooks.retell", "tenant", "requests.book", "journal", "routes.health", "queries.booked_slots", "tables"),
    *("objectives.recovery_point", "objectives.recovery_time"),
]


@pytest.fixture
def recovery(deployment, recovering, booking):
    """Customers of one business book one hour after the other, through the application."""
    tenant, slots = deployment.tenant(), count()
    retell = deployment.hook("retell", tenant)

    def ask():
        day, hour = divmod(next(slots), 8)
        asked = booking(retell, tenant, lambda _: True, f"{9 + hour:02}:00", 1 + day)
        refused = asked.answer.ok or 400 <= asked.answer.status < 500
        return f"{asked.date} {asked.time}", asked.success or (False if refused else None)

    def there():
        rows = deployment.database.rows(deployment.target.query("booked_slots"), {"id": tenant["id"]})
        return [(row["slot"], row["id"]) for row in rows]

    return recovering(ask, there)


@experiment(
    dependency="postgres",
    runbook="data-loss",
    severity="P0",
    needs=NEEDS,
    catches=["archive-copies-half", "postgres-no-reconnect"],
)
def test_deleted_instance_comes_back(recovery):
    """The disk of the database is gone: only the log that was not archived yet is lost."""
    recovery.steady()
    backup = recovery.backup()
    recovery.customers(20)
    recovery.lose("the instance is deleted", recovery.delete_instance)
    recovery.heard("sentry")
    recovery.restore(backup)
    recovery.recovered()


@experiment(
    dependency="postgres",
    runbook="data-loss",
    severity="P0",
    needs=NEEDS,
    catches=["archive-copies-half", "postgres-no-reconnect"],
)
def test_corrupted_file_is_replaced(recovery):
    """The disk gives back other bytes: checksums tell, and nothing is lost, for the log is still there."""
    recovery.steady()
    backup = recovery.backup()
    recovery.customers(20)
    recovery.lose("a data file is corrupted", recovery.rot)
    recovery.restore(backup)
    recovery.recovered()


@experiment(
    dependency="postgres",
    runbook="data-loss",
    severity="P0",
    needs=[*NEEDS, "statements.drop_table"],
    catches=["archive-copies-half", "postgres-no-reconnect"],
)
def test_dropped_table_comes_back(recovery, target):
    """Somebody dropped a table: the log tells when, and the database goes back to just before."""
    recovery.steady()
    backup = recovery.backup()
    recovery.customers(20)
    recovery.lose("a table is dropped", lambda: recovery.migrate(target.statement("drop_table")))
    recovery.heard("sentry")
    recovery.restore(backup, until=recovery.before_drop(backup))
    recovery.recovered()


@experiment(
    dependency="postgres",
    runbook="data-loss",
    severity="P0",
    needs=[*NEEDS, "statements.bad_migration"],
    catches=["archive-copies-half", "postgres-no-reconnect"],
)
def test_bad_migration_is_undone(recovery, target):
    """A migration destroyed columns: the database goes back to the moment before it began."""
    recovery.steady()
    backup = recovery.backup()
    recovery.customers(20)
    recovery.lose("a migration destroys columns", lambda: recovery.migrate(target.statement("bad_migration")))
    recovery.heard("sentry")
    recovery.restore(backup, until=recovery.before_migration())
    recovery.recovered()


@experiment(
    dependency="postgres", runbook="data-loss", severity="P0", needs=NEEDS, catches=["archive-copies-half"], smoke=True
)
def test_incomplete_backup_is_refused(recovery):
    """A missing file, a cut-off log, half a dump: nobody learns in the night that the backup was none."""
    recovery.steady()
    backup = recovery.backup()
    recovery.customers(5)
    recovery.refuses_what_is_not_whole(backup)
