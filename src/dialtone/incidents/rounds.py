"""What the alerting has to know of the rounds themselves: how far apart they really are, whether some were missed, and
which of them saw a new deployment first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from dialtone.evidence import quantile
from dialtone.incidents.lifecycle import OWN
from dialtone.incidents.routing import duration

if TYPE_CHECKING:
    from dialtone.history import Run, Store

ROUNDS = f"{OWN[1]}rounds were missed"
REMEMBERED = 3 * 86_400.0
"""How far back the usual gap is looked for, seconds."""
UNSEEN = 600.0
"""A gap that is shorter is nobody's trouble, seconds."""
_FEW = 5


def usual_gap(runs: Sequence[Run]) -> float | None:
    """Seconds between the beginnings of two rounds, of which 95 % are at most that far apart; None from too few.

    Shards of one round are one round.
    """
    first: dict[str, float] = {}
    for run in runs:
        first[run.token] = min(run.started, first.get(run.token, run.started))
    gaps = [later - before for before, later in pairwise(sorted(first.values()))]
    return quantile(gaps, 0.95) if len(gaps) >= _FEW else None


def unseen(before: tuple[float, float] | None, at: float, usual: float | None) -> str:
    """Words about a gap since the last look (when it was, and seconds until the next was planned); empty for none.

    A gap counts that is three times as long as planned, and twice what a scheduler that is late anyway usually takes.
    """
    if before is None or at - before[0] <= max(3 * before[1], 2 * (usual or 0.0), UNSEEN):
        return ""
    return f"for {duration(at - before[0])}: every {duration(before[1])} was planned"


def new_deployment(store: Store, run: Run) -> str | None:
    """The deployment of this run where the run before saw another one."""
    if run.deployment is None:
        return None
    found = store.engine.all(
        "SELECT deployment FROM dialtone_run WHERE target = ? AND token <> ? AND deployment IS NOT NULL"
        " ORDER BY planned DESC LIMIT 1",  # which has an index: the started ones would all be read
        [run.target, run.token],
    )
    return run.deployment if found and found[0][0] != run.deployment else None
