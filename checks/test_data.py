"""Data loss (P0): what must be there is there, and no table has shrunk since somebody last looked."""

from __future__ import annotations

from dialtone import check, fail, note, ok, undecided

_DAY = 24 * 3600.0


@check(
    severity="P0",
    runbook="data-loss",
    catches=["sentinel-gone"],
    needs=["database", "queries.sentinels"],
    requests=0,
)
def test_sentinels_are_there(target, db):
    """Rows that nobody ever removes are still there: one missing means that others are missing as well."""
    rows = db.rows(target.query("sentinels"))
    if not rows:
        undecided("the profile's sentinels name no table")
    lost = [str(r["name"]) for r in rows if int(r["found"]) < int(r["wanted"])]
    if lost:
        fail(f"rows that nobody may remove are gone from {', '.join(lost)}", value=len(lost), unit="count")
    ok(f"{sum(int(r['wanted']) for r in rows)} sentinel rows are there", value=0, unit="count")


@check(
    severity="P0",
    runbook="data-loss",
    objective="rows_lost",
    catches=["rows-dropped"],
    needs=["database", "queries.row_counts"],
    requests=0,
)
def test_no_table_has_shrunk(target, db, memory, objective):
    """Tables that only grow have no fewer rows than a day's earlier looks saw."""
    rows = db.rows(target.query("row_counts"))
    losses, new = {}, []
    for row in rows:
        name, now = str(row["name"]), int(row["rows"])
        before = max((n for n in (memory.highest(f"rows.{name}", _DAY), row["least"]) if n is not None), default=None)
        memory.keep(f"rows.{name}", now)
        if before is None:
            new.append(name)
        else:
            losses[name] = max(0.0, 100 * (float(before) - now) / max(float(before), 1.0))
    if not losses:
        undecided("nobody has counted these tables before: the next look has something to compare with")
    note("counted for the first time", new)
    worst = max(losses, key=lambda name: losses[name])
    objective.value(losses[worst], what=f"rows of {worst} that are gone since an earlier look:", tables=len(losses))
