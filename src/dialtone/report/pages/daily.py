"""What the page of every day tells, as data: from the history, its incidents, the last run and the last drill.

A check whose last result is older than two of its rounds is `not seen`: what nobody looked at is not well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dialtone.history.days import Day, begun, days, gaps, last
from dialtone.history.indicators import UPTIME, Summary, summary
from dialtone.history.store import HOLDS, Store
from dialtone.incidents.lifecycle import Incident, State
from dialtone.incidents.records import Records
from dialtone.objective import Objective
from dialtone.report.terminal import state

SPAN = 90
"""Days that the page shows."""
NOT_SEEN, RETIRED = "not seen", "no longer run"
ORDER = ("critical", "breach", "broken", "offline", "refused", NOT_SEEN, "undecided", "degraded", "ok")
"""States, the worst first."""
_DAY = 86_400
_GONE = 7 * _DAY
_INCIDENTS = 50


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its state and why, since when nobody has looked, its figures, and its days (None: nothing known)."""

    id: str
    state: str
    severity: str = "P2"
    reason: str = ""
    section: str = ""
    at: float | None = None
    of: Summary | None = None
    days: Sequence[Day | None] = ()


@dataclass(frozen=True, slots=True)
class Daily:
    """Everything on the page. Times are seconds since 1970; `first` is the day (since 1970) with which strips begin."""

    target: str
    now: float
    checks: Sequence[Check]
    incidents: Sequence[Incident] = ()
    gaps: Sequence[tuple[float, float]] = ()
    objectives: Mapping[str, Objective] = field(default_factory=dict)
    unarmed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drill: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Mapping[str, Any]] = ()
    runbook: str = ""
    begun: float | None = None

    @property
    def first(self) -> int:
        """The day with which the strips begin."""
        return int(self.now // _DAY) - SPAN + 1

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of checks, the worst first."""
        found = Counter(c.state for c in self.checks)
        return {word: found[word] for word in ORDER if found[word]}

    @property
    def seen(self) -> float | None:
        """When anything was last looked at."""
        return max((c.at for c in self.checks if c.at is not None), default=None)


def gather(
    store: Store | None,
    target: str,
    now: float,
    *,
    verdicts: Mapping[str, Any],
    objectives: Mapping[str, Objective],
    told: tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]] = ({}, ()),
    runbook: str = "",
    figures: bool = True,
    every: float = HOLDS,
) -> Daily:
    """Put together what is known of a target. `verdicts` counts when it is of this target, and speaks for two rounds
    that are `every` seconds apart; `told` is a drill.

    Without `figures` nothing is reckoned over windows: states and days are quick.
    """
    mine = verdicts if verdicts.get("target") == target else {}
    entries = {e["id"]: e for e in mine.get("checks", ()) if not e.get("experiment")}
    found = _of_history(store, target, now, entries, objectives, figures=figures) if store else {}
    ended = _seconds(mine.get("finished"))
    for name, entry in entries.items():
        if entry["armed"] and (name not in found or (found[name].at or 0) < (_seconds(mine.get("started")) or 0)):
            kept = found.get(name)
            stale = ended is None or now - ended > 2 * every
            found[name] = Check(
                name,
                NOT_SEEN if stale else state(entry),
                entry["severity"],
                entry.get("reason", ""),  # what is public has none
                entry.get("runbook", ""),
                ended,
                kept.of if kept else None,
                kept.days if kept else (),
            )
    unarmed: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if not entry["armed"]:
            unarmed.setdefault(entry.get("reason", ""), []).append(name)
    return Daily(
        target,
        now,
        sorted(found.values(), key=_rank),
        [i for i in Records(store.engine).latest(_INCIDENTS, target) if i.state is not State.SUSPECTED]
        if store
        else [],
        gaps(store, target, now - SPAN * _DAY, now) if store else [],
        {"uptime": UPTIME, **objectives},
        dict(sorted(unarmed.items(), key=lambda item: -len(item[1]))),
        told[0],
        told[1],
        runbook,
        begun(store, target) if store else None,
    )


def _of_history(
    store: Store,
    target: str,
    now: float,
    entries: Mapping[str, Any],
    objectives: Mapping[str, Objective],
    *,
    figures: bool,
) -> dict[str, Check]:
    first = int(now // _DAY) - SPAN + 1
    by_day, newest = days(store, target, first * _DAY, now + 1), last(store, target)
    found = {}
    for name, mine in by_day.items():
        one = newest.get(name)
        if name in entries and not entries[name]["armed"]:
            continue
        gone = one is None or now - one.at > _GONE
        word = RETIRED if gone and name not in entries else NOT_SEEN
        if one is not None and now - one.at <= 2 * max(one.every, 60.0):
            word = str(one.kind or one.verdict)
        found[name] = Check(
            name,
            word,
            str(one.severity) if one else "P2",
            one.reason if one else "",
            entries.get(name, {}).get("runbook", ""),
            one.at if one else None,
            None if word == RETIRED or not figures else summary(store, target, name, objectives, now, changes=False),
            [mine.get(first + n) for n in range(SPAN)],
        )
    return found


def _rank(check: Check) -> tuple[int, str, str]:
    return (ORDER.index(check.state) if check.state in ORDER else len(ORDER), check.severity, check.id)


def _seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
