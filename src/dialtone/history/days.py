"""All checks of a target at once, for a page: their days, their last word, and the time in which nobody looked.

A query or two for each, however many checks there are. Days are days of UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dialtone.history.rollup import DAY, counts
from dialtone.history.store import KINDS, SEVERITIES, VERDICTS, Store
from dialtone.verdict import Kind, Severity, Verdict

_ROLLED = """SELECT r.series, r.at, r.ok, r.degraded, r.unknown, r.breach, r.critical, r.observed FROM dialtone_rollup r
 JOIN dialtone_series s ON s.id = r.series WHERE s.target = ? AND r.step = ? AND r.at >= ? AND r.at < ?"""
_SINCE = """SELECT DISTINCT r.series FROM dialtone_result r JOIN dialtone_series s ON s.id = r.series
 WHERE s.target = ? AND r.at >= ? AND r.at < ?"""
_LAST = """SELECT s.name, r.at, r.verdict, r.kind, r.severity, r.reason, u.every FROM dialtone_series s
 JOIN dialtone_result r ON r.series = s.id AND r.at = (SELECT max(at) FROM dialtone_result WHERE series = s.id)
 JOIN dialtone_run u ON u.id = r.run WHERE s.target = ?"""
_SLOTS = "SELECT planned, every FROM dialtone_run WHERE target = ? AND planned >= ? AND planned < ? ORDER BY planned"


@dataclass(frozen=True, slots=True)
class Day:
    """Results of a check in a day, and how many seconds of it were observed."""

    good: int = 0
    degraded: int = 0
    unknown: int = 0
    bad: int = 0
    observed: float = 0.0

    def __add__(self, other: Day) -> Day:
        return Day(
            self.good + other.good,
            self.degraded + other.degraded,
            self.unknown + other.unknown,
            self.bad + other.bad,
            self.observed + other.observed,
        )


@dataclass(frozen=True, slots=True)
class Last:
    """The newest result of a check (the worst of those at one time); `every` is how often its rounds are, seconds."""

    at: float
    verdict: Verdict
    kind: Kind | None
    severity: Severity
    reason: str
    every: float


def days(store: Store, target: str, since: float, until: float) -> dict[str, dict[int, Day]]:
    """Check -> day (days since 1970) -> what was found, from the day of `since` on, before `until` (seconds)."""
    names = {number: name for name, number in store.series(target).items()}
    found: dict[str, dict[int, Day]] = {name: {} for name in names.values()}
    begin, end = int(since * 1000) // DAY * DAY, round(until * 1000)
    rolled, _ = store.marks()
    for series, at, *tally in store.engine.all(_ROLLED, [target, DAY, begin, end]):
        found[names[series]][at // DAY] = _day(tally)
    fresh = max(begin, rolled)
    for (series,) in store.engine.all(_SINCE, [target, fresh, end]):
        mine = found[names[series]]
        for at, ok, degraded, unknown, breach, critical, _, _, observed in counts(
            store.engine, series, DAY, fresh, end
        ):
            mine[at // DAY] = mine.get(at // DAY, Day()) + _day((ok, degraded, unknown, breach, critical, observed))
    return found


def _day(tally: tuple[int, ...] | list[int]) -> Day:
    ok, degraded, unknown, breach, critical, observed = (int(v) for v in tally)
    return Day(ok, degraded, unknown, breach + critical, observed / 1000)


def last(store: Store, target: str) -> Mapping[str, Last]:
    """The newest result of each check whose raw results are kept."""
    found: dict[str, Last] = {}
    for name, at, verdict, kind, severity, reason, every in store.engine.all(_LAST, [target]):
        one = Last(
            at / 1000, VERDICTS[verdict], KINDS[kind - 1] if kind else None, SEVERITIES[severity], reason or "", every
        )
        if name not in found or one.verdict.rank > found[name].verdict.rank:
            found[name] = one
    return found


def gaps(store: Store, target: str, since: float, until: float) -> list[tuple[float, float]]:
    """Spans (seconds since 1970) in which no round was, the longest first; before the first round nothing is told.

    A round covers the time until the next one is due, at most an hour; a second of slack stands between two.
    """
    found, reach = [], None
    for planned, every in store.engine.all(_SLOTS, [target, round(since * 1000), round(until * 1000)]):
        at = planned / 1000
        if reach is not None and at > reach + max(60.0, every):
            found.append((reach, at))
        reach = max(reach or 0.0, at + min(3600.0, max(60.0, every)))
    if reach is not None and until > reach + 60.0:
        found.append((reach, until))
    return sorted(found, key=lambda span: span[0] - span[1])


def begun(store: Store, target: str) -> float | None:
    """When the first round was that a history knows, seconds since 1970."""
    rows = store.engine.all("SELECT min(planned) FROM dialtone_run WHERE target = ?", [target])
    return None if rows[0][0] is None else int(rows[0][0]) / 1000
