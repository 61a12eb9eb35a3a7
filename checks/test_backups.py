"""Backups (P1): there is one of today, and it did not fail."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from dialtone import check, fail, pick, undecided


def _epoch(said):
    """Seconds since 1970 of an ISO 8601 text, without a zone UTC; None for anything else."""
    try:
        at = datetime.fromisoformat(str(said).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@check(
    severity="P1",
    runbook="data-loss",
    proof="observed",
    objective="backup_age",
    catches=["backups-failing"],
    needs=["providers.supabase", "values.backups", "values.backup_good"],
    requests=0,
)
def test_backup_is_recent(target, record, objective):
    """The provider's newest backup that succeeded is not older than a day and a bit."""
    tree = record("supabase", target.value("backups"))
    told = pick(tree, target.field("backup_list", "backups")) or []
    state, good = target.field("backup_state", "status"), target.value("backup_good")
    whole = [b for b in told if str(b.get(state)) == good]
    times = [at for b in whole if (at := _epoch(b.get(target.field("backup_time", "inserted_at")))) is not None]
    if whole and not times:
        undecided("the backups do not say when they were made")
    if not times:
        fail(f"of {len(told)} backups that the provider lists none succeeded", value=len(told), unit="count")
    hours = (time.time() - max(times)) / 3600
    objective.value(hours, what="hours since the newest good backup:", backups=len(told), failed=len(told) - len(whole))
