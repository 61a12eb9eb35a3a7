"""Database performance (P1): it answers, nothing blocks, nothing runs on, and there is room for more connections."""

from __future__ import annotations

from dialtone import check, fail, ok
from dialtone.probes.database import DatabaseFailure, DatabaseTrouble
from dialtone.verdict import Refused


@check(
    severity="P0",
    runbook="database",
    objective="connect_and_select",
    catches=["db-slow-login"],
    needs=["database"],
    requests=0,
)
def test_database_answers(db, objective, reach):
    """A new connection and SELECT 1 take no longer than a request may wait; the better of two tries counts."""
    tries = []
    for _ in range(2):
        try:
            connect, query = db.timed_select_one()
        except DatabaseFailure as trouble:
            if trouble.kind is not DatabaseTrouble.UNREACHABLE:
                raise
            if not reach.online():
                raise reach.offline() from None
            fail(trouble.reason)
        tries.append((connect + query) * 1000)
        if tries[-1] <= (objective.objective.levels.target or 0):
            break
    objective.value(min(tries), what="connection and SELECT 1", samples=len(tries))


@check(
    severity="P1", runbook="database", needs=["database", "tables"], catches=["column-renamed"], requests=0, gate=True
)
def test_tables_are_as_the_profile_names_them(target, db):
    """Every table and column that the profile's SQL relies on exists, and may be read."""
    # The catalogue itself: information_schema hides what the prober may not read, and that is another matter.
    rows = db.rows(
        "SELECT w.name, a.attname::text AS col, has_column_privilege(c.oid, a.attnum, 'SELECT') AS may"
        " FROM unnest(%(names)s::text[]) AS w(name) JOIN pg_class c ON c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " AND (w.name = n.nspname || '.' || c.relname OR w.name = c.relname AND pg_table_is_visible(c.oid))"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped",
        {"names": list(target.profile.tables)},
    )
    there = {(r["name"], r["col"]): r["may"] for r in rows}
    tables = {name for name, _ in there}
    wanted = [(t, c) for t, columns in target.profile.tables.items() if t in tables for c in columns]
    missing = [t for t in target.profile.tables if t not in tables]
    missing += [f"{t}.{c}" for t, c in wanted if (t, c) not in there]
    if missing:
        fail(f"missing in the database: {', '.join(missing[:8])}", value=len(missing), unit="count")
    hidden = sorted({t for t, c in wanted if not there[t, c]})
    if hidden:
        raise Refused(f"the prober's role may not read {', '.join(hidden[:8])}")
    ok(f"{len(target.profile.tables)} tables as named", value=len(target.profile.tables), unit="count")


@check(
    severity="P1",
    runbook="database",
    objective="lock_waits",
    catches=["lock-waiting"],
    needs=["database", "queries.lock_waits"],
    requests=0,
)
def test_no_lock_waits(target, db, objective):
    """Nobody waits for a lock for longer than a second."""
    objective.value(float(db.value(target.query("lock_waits"))), what="sessions that wait for a lock")


@check(
    severity="P1",
    runbook="database",
    objective="query_age",
    catches=["long-query"],
    needs=["database", "queries.query_age"],
    requests=0,
)
def test_no_long_query(target, statistics, objective):
    """No statement runs for longer than a statement should."""
    objective.value(float(statistics.value(target.query("query_age"))), what="age of the oldest running statement")


@check(
    severity="P2",
    runbook="database",
    objective="transaction_age",
    catches=["idle-in-transaction"],
    needs=["database", "queries.transaction_age"],
    requests=0,
)
def test_no_idle_transaction(target, statistics, objective):
    """No session sits in an open transaction doing nothing: it holds locks and stops the clean-up."""
    objective.value(float(statistics.value(target.query("transaction_age"))), what="age of the oldest idle transaction")


@check(
    severity="P1",
    runbook="database",
    objective="connections_in_use",
    catches=["connections-leak"],
    needs=["database", "queries.connections_in_use"],
    requests=0,
)
def test_connections_in_use(target, statistics, objective):
    """There is room for more connections."""
    objective.value(float(statistics.value(target.query("connections_in_use"))), what="connections in use")


@check(
    severity="P2",
    runbook="database",
    objective="statement_time",
    catches=["slow-statement"],
    needs=["database", "queries.statement_time"],
    requests=0,
)
def test_no_slow_statement(target, statistics, objective):
    """The slowest statement is still a quick one (mean of its executions)."""
    objective.value(float(statistics.value(target.query("statement_time"))), what="mean time of the slowest statement")


@check(
    severity="P2",
    runbook="database",
    objective="webhook_lag_p95",
    catches=["webhook-lag"],
    needs=["database", "indicators.webhook_lag"],
    requests=0,
)
def test_webhook_lag(indicator):
    """Webhook events are processed soon after they arrive."""
    indicator("webhook_lag", what="p95 of the time from arrival to processing")


@check(
    severity="P2",
    runbook="database",
    objective="unindexed_tables",
    catches=["index-missing"],
    needs=["database", "queries.unindexed_tables"],
    requests=0,
)
def test_large_tables_are_read_by_index(target, db, objective):
    """No large table is read whole again and again: an index is missing there."""
    rows = db.rows(target.query("unindexed_tables"))
    named = f" ({', '.join(str(r['name']) for r in rows[:5])})" if rows else ""
    objective.value(float(len(rows)), what=f"large tables that are read whole{named}:")


@check(
    severity="P2",
    runbook="database",
    objective="dead_rows",
    catches=["dead-rows"],
    needs=["database", "queries.dead_rows"],
    requests=0,
)
def test_tables_are_vacuumed(target, db, objective):
    """No large table consists of dead rows: it would be read for nothing, and its indexes with it."""
    worst = db.one(target.query("dead_rows"))
    where = f" of {worst['name']}" if worst else ""
    objective.value(float(worst.get("share") or 0), what=f"dead rows{where}:")


@check(
    severity="P1",
    runbook="webhooks",
    objective="webhook_success",
    catches=["webhooks-unprocessed"],
    needs=["database", "indicators.webhook_success"],
    requests=0,
)
def test_webhook_success_rate(indicator):
    """Of the webhook events that came in, nearly all were processed."""
    indicator("webhook_success", what="webhook events that were processed")
