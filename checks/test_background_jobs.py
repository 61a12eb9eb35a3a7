"""Background jobs: the scheduler calls, and nothing that should have been done waits for ever."""

from __future__ import annotations

from dialtone import check, fail


@check(
    severity="P1",
    runbook="background-jobs",
    objective="cron_age",
    catches=["cron-stopped"],
    needs=["database", "queries.cron_age"],
    requests=0,
)
def test_scheduler_calls(target, db, objective):
    """The scheduler's last run of the background jobs ended a moment ago."""
    age = db.value(target.query("cron_age"))
    if age is None:
        fail("the background jobs have never been run by the scheduler")
    objective.value(float(age), what="the last run of the background jobs ended before:")


@check(
    severity="P2",
    runbook="background-jobs",
    objective="job_age",
    catches=["jobs-overdue"],
    needs=["database", "queries.job_age"],
    requests=0,
)
def test_no_job_is_overdue(target, db, objective):
    """No confirmation, fee or other job has been waiting for long."""
    objective.value(float(db.value(target.query("job_age")) or 0), what="minutes that the oldest job is due:")
