"""Housekeeping: nobody's test data piles up."""

from __future__ import annotations

from dialtone import check, fail, note, ok, undecided
from dialtone.verdict import Unarmed


@check(
    severity="P3",
    runbook="housekeeping",
    catches=["synthetic-leftovers"],
    needs=["database", "queries.leftovers"],
    requests=0,
)
def test_no_synthetic_leftovers(target, db):
    """Synthetic users are removed by whoever makes them."""
    left = int(db.value(target.query("leftovers")) or 0)
    if left > 0:
        fail(f"{left} synthetic users older than an hour are still there", value=left, unit="count")
    ok("no synthetic leftovers", value=0, unit="count")


@check(
    severity="P3", runbook="housekeeping", catches=["calendar-events-stay"], needs=["providers"], requests=0, reads=2
)
def test_nothing_is_left_at_providers(leftovers):
    """What checks made at providers is gone an hour after their run: the sweeper works, and may."""
    if not leftovers.kinds():
        raise Unarmed("nothing that this profile tells of can be left at a provider: providers.NAME.leftovers")
    seen = leftovers.left(older_than=3600)
    for trouble in seen.troubles:
        note("not looked at", trouble)
    if seen.found:
        told = ", ".join(f"{count} at {name}" for name, count in seen.found.items())
        fail(f"things of runs that ended more than an hour ago are still there: {told}", value=sum(seen.found.values()))
    if seen.troubles:
        undecided("not every list could be read")
    ok("nothing is left at providers", value=0, unit="count")
