"""Housekeeping: nobody's test data piles up."""

from __future__ import annotations

from dialtone import check, fail, ok


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
