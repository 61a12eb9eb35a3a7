"""Every task of maintenance on a real deployment: nothing fails, and each finds what it is there to find."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runbook.conftest import ROOT, Place

psycopg = pytest.importorskip("psycopg")

from dialtone.probes.journal import eventually  # noqa: E402
from dialtone.runbook.actions.record import Record  # noqa: E402
from dialtone.runbook.maintenance.item import PERIODS, tasks  # noqa: E402
from dialtone.runbook.maintenance.run import Done, Round, State  # noqa: E402
from dialtone.sandbox import postgres  # noqa: E402

TASKS = tasks(ROOT / "checks")
DAY = 86_400.0


@pytest.fixture
def at(place: Place, tmp_path: Path) -> Callable[..., Done]:
    """Run one task, some days from now, with what earlier runs of this test kept; the result."""

    def run(name: str, days: float = 0.0, *, yes: bool = False) -> Done:
        record = Record(tmp_path / "actions.jsonl")
        clock = lambda: 1_800_000_000 + days * DAY  # noqa: E731
        done = Round(place.target, tmp_path, yes=yes, record=record, who="tester", clock=clock)
        return done.run([TASKS[name]])[0]

    return run


@pytest.mark.parametrize("period", PERIODS)
def test_everything_is_armed_and_nothing_fails(place: Place, tmp_path: Path, period: str) -> None:
    """On the sandbox every task can be done, reading only, and the database stays as it is."""
    verdict = {"id": "response_time_p95[home]", "value": 120.0, "unit": "ms"}
    (tmp_path / "verdicts.json").write_text(json.dumps({"target": "sandbox", "checks": [verdict]}))
    before, mark = place.database(), place.last()
    done = Round(place.target, tmp_path).run([task for task in TASKS.values() if task.every == period])
    assert [(one.name, one.reason) for one in done if one.state in (State.UNARMED, State.FAILED)] == []
    assert len(done) == 5
    assert place.database() == before
    assert place.changes(mark) == []


def test_worn_tables_are_vacuumed(place: Place, at: Callable[..., Done]) -> None:
    """Shown first, done with --yes, and then there is nothing left to do."""
    place.sql("CREATE TABLE worn AS SELECT n FROM generate_series(1, 5000) AS n")
    try:
        place.sql("DELETE FROM worn WHERE n > 2000")
        place.sql("SELECT pg_stat_force_next_flush()")
        shown = at("maintain-database")
        assert shown.state is State.WAITING
        wanted = [step for step in shown.steps if step.shown == ["VACUUM (ANALYZE) worn"]]
        assert "3,000 dead" in wanted[0].what
        done = at("maintain-database", yes=True)
        assert (done.state, {step.failed for step in done.steps}) == (State.DONE, {False})
        assert at("maintain-database").state is State.DONE
    finally:
        place.sql("DROP TABLE worn")


def test_a_dump_is_restored_and_the_scratch_database_dropped(place: Place, at: Callable[..., Done]) -> None:
    """With --yes only; nothing is left behind."""
    assert at("try-recovery").state is State.WAITING
    done = at("try-recovery", yes=True)
    assert done.state is State.DONE, done
    tables = place.sql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    assert done.steps[0].came is not None
    assert done.steps[0].came.startswith(f"{tables[0][0]} tables with ")
    assert place.sql("SELECT datname FROM pg_database WHERE datname LIKE 'dialtone_restore%%'") == []


def test_rows_that_do_not_come_back_are_told(
    place: Place, at: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump without the rows of one table restores well and is no backup."""
    real = postgres.program

    def program(name: str) -> Path:
        if name != "pg_dump":
            return real(name)
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\nexec {real(name)} "$@" --exclude-table-data=public.calls\n')
        script.chmod(0o700)
        return script

    monkeypatch.setattr("dialtone.sandbox.restore.program", program)
    done = at("try-recovery", yes=True)
    assert done.state is State.FAILED
    assert str(done.steps[0].came).startswith("of public.calls 0 rows came back instead of ")


def test_a_dump_that_breaks_off_is_told(place: Place, at: Callable[..., Done]) -> None:
    """The dump's role may not see every row: it says so instead of saying yes."""
    place.sql("CREATE TABLE hidden (n int)")
    try:
        place.sql("ALTER TABLE hidden OWNER TO receptionist")
        place.sql("INSERT INTO hidden SELECT 1")
        place.sql("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
        place.sql("ALTER TABLE hidden FORCE ROW LEVEL SECURITY")
        done = at("try-recovery", yes=True)
        assert done.state is State.FAILED
        assert "pg_dump ended with exit code 1" in str(done.steps[0].came)
    finally:
        place.sql("DROP TABLE hidden")


def test_statements_are_compared_with_last_time(place: Place, at: Callable[..., Done]) -> None:
    """What a statement took since last time, against what it took until then."""
    slow = "SELECT pg_sleep(%s) IS NULL AS look_at_me"
    for _ in range(3):
        place.sql(slow, 0.001)
    first = at("review-slow-queries")
    assert "the first time: there is nothing to compare with" in first.notes
    for _ in range(3):
        place.sql(slow, 0.2)
    second = at("review-slow-queries", 7)
    assert any("look_at_me" in text and "times slower" in text for text in second.attentions), second
    assert second.state is State.ATTENTION


def test_growth_is_projected_to_the_limit(place: Place, at: Callable[..., Done]) -> None:
    """Known after the second time; what will be full within half a year is told."""
    assert any("known after the next run" in note for note in at("plan-capacity").notes)
    place.sql("CREATE TABLE grown AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
    try:
        place.sql("ANALYZE grown")
        later = at("plan-capacity", 1)
        assert any("the tables reach their limit in" in text for text in later.attentions), later
        assert any(note.startswith("grown: ") for note in later.notes)
    finally:
        place.sql("DROP TABLE grown")


def test_errors_of_sentry_are_reviewed(place: Place, at: Callable[..., Done]) -> None:
    """New kinds of error since last time, by their kind; no text of an error."""
    at("review-errors")
    kind = f"Maintenance{uuid.uuid4().hex}"  # of its own: other tests leave errors too, in any order
    place.site.post("/api/monitoring/error", json={"error": kind, "context": {}, "severity": "error"})
    found = eventually(lambda: at("review-errors", 7), lambda done: bool(done.attentions), within=30)
    assert any("that were not there last time" in text for text in found.attentions), found


def test_refusals_are_reviewed(place: Place, at: Callable[..., Done]) -> None:
    """A minute with many more refusals than usual stands out."""
    counts = (
        "INSERT INTO request_counts (minute, kind, status, requests) VALUES (now() - %s::interval, 'page', 401, %s)"
    )
    for days, requests in (("1 day", 3), ("2 days", 2), ("3 days", 500)):
        place.sql(counts, days, requests)
    try:
        found = at("review-security")
        assert any("500 page requests answered 401 on" in text for text in found.attentions), found
        assert len(found.attentions) == 1
    finally:
        place.sql("DELETE FROM request_counts WHERE kind = 'page' AND status = 401")


def test_an_incident_of_a_provider_is_told(place: Place, at: Callable[..., Done]) -> None:
    """By its status page, with its beginning; the others have none."""
    with place.defects("status-page-incident"):
        found = at("check-external-apis")
    assert len(found.attentions) == 1
    assert "telnyx" in found.attentions[0].lower()
    assert "google: no incident" in found.notes


def test_a_table_that_is_open_to_all_is_told(place: Place, at: Callable[..., Done]) -> None:
    """A right that was granted to every role."""
    assert at("audit-security").attentions == []
    place.sql("GRANT SELECT ON consents TO PUBLIC")
    try:
        assert at("audit-security").attentions == ["every role may use the table consents"]
    finally:
        place.sql("REVOKE SELECT ON consents FROM PUBLIC")


def test_a_broken_index_is_told(place: Place, at: Callable[..., Done]) -> None:
    """What is wrong with the database names the action that mends it."""
    with psycopg.connect(place.env["SANDBOX_DATABASE_URL"]) as holder:
        holder.execute(
            "INSERT INTO consents (phone_number, business_id, status)"
            " SELECT '+2', id, 'opted_in' FROM businesses LIMIT 1"
        )
        with psycopg.connect(place.owner_url, autocommit=True) as session:
            session.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                session.execute("CREATE INDEX CONCURRENTLY consents_broken ON consents (source)")
        holder.rollback()
    try:
        assert at("check-database").attentions == ["index consents_broken is not valid: dialtone do create-index"]
    finally:
        place.sql("DROP INDEX consents_broken")
    assert at("check-database").attentions == []
