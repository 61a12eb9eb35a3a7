"""Evidence from windows that overlap: what SQL counts of the last day is nearly the same an hour later.

Looks at such a window depend on each other, and their evidence may not be added. A sign of it carries `nats`, how
unlikely its events are for a service at its target (exact, by `Objective.nats`): of one window the worst look counts,
and what comes a whole window later is new. Bounds on the number of false pages add up whether looks depend on each
other or not, so that the budget holds (Boole's inequality).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialtone.incidents.lifecycle import Sign


def same_window(before: Sign | None, now: Sign) -> bool:
    """Whether both looked at the same events, in part."""
    if before is None or now.nats is None or before.nats is None or not (before.verdict.is_bad and now.verdict.is_bad):
        return False
    return not now.window or now.at < (before.since or before.at) + now.window


def joined(before: Sign | None, now: Sign) -> Sign:
    """A sign that knows the worst that its window has shown so far, and since when it counts."""
    if before is None or not same_window(before, now):
        return replace(now, since=now.at) if now.nats is not None else now
    return replace(now, nats=max(before.nats or 0.0, now.nats or 0.0), since=before.since or before.at)


def added(before: Sign | None, now: Sign) -> float:
    """The evidence that is new in a sign."""
    return now.weight - (before.weight if before and same_window(before, now) else 0.0)


def windowed(nats: float, samples: int, window: float, every: float) -> float:
    """The evidence of one window of events that is looked at `every` so many seconds.

    The budget of false pages counts every look; but what a window shows changes only when an event enters or leaves it,
    so that there are at most two looks for each of its `samples`: the others cost nothing.
    """
    looks = window / every if every > 0 else 1.0
    return nats + max(0.0, math.log(max(looks, 1.0) / max(1, 2 * samples)))
