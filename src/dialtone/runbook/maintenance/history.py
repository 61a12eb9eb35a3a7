"""Response times of this month and the month before, from the history of the runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dialtone.target import Target

SPAN = 30 * 86_400.0
"""Seconds of a month."""
_NANOSECONDS = 1e6  # in a millisecond


@dataclass(frozen=True, slots=True)
class Months:
    """A quantile (ms) of one check over the last month and over the one before it, where that was observed."""

    quantile: float
    now: float
    before: float | None


def months(target: Target, now: float, environ: Mapping[str, str] = os.environ) -> dict[str, Months]:
    """The latencies of each check that has a history, by its id; empty where there is no history.

    Raises ValueError for one that cannot be read.
    """
    from dialtone.history import Store, StoreError, where
    from dialtone.history.windows import tally

    try:
        place = where(target, environ)
        if place is None or ("://" not in place and not Path(place).exists()):
            return {}
        store = Store.open(place)
        try:
            found = {}
            for check in store.series(target.name):
                table = target.profile.objectives.get(check.partition("[")[0])
                quantile = (table.quantile if table else None) or 0.95
                latest = tally(store, target.name, check, now - SPAN, now).quantile(quantile)
                if latest is None:
                    continue
                before = tally(store, target.name, check, now - 2 * SPAN, now - SPAN).quantile(quantile)
                found[check] = Months(quantile, latest / _NANOSECONDS, before / _NANOSECONDS if before else None)
            return found
        finally:
            store.close()
    except StoreError as wrong:
        raise ValueError(f"the history cannot be read: {wrong}") from None
