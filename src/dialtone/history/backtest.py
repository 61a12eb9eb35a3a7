"""Replays changed objectives and rules over what was recorded: pages sent, outages missed, minutes sooner or later.

A rule turns the verdicts of one check into pages: so many bad ones in a row, or the detector on the budget of false
pages. An outage is what the recorded verdicts show: bad without a good one between, for at least ten minutes. A page is
about an outage when it comes in its time; all others are about nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from dialtone.evidence import Detector, alpha_of
from dialtone.history import latency
from dialtone.history.store import HOLDS, Result, Store
from dialtone.objective import Objective
from dialtone.verdict import Verdict

OUTAGE = 600.0
NULL, CRITICAL = 0.01, 0.10
Stream = Sequence[tuple[float, bool]]
Rule = Callable[[Stream], list[float]]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a rule does over `days`: pages, those about nothing, outages it misses, mean minutes to a page."""

    days: float
    pages: int
    idle: int
    outages: int
    missed: int
    minutes: float | None

    @property
    def a_week(self) -> float:
        """Pages a week."""
        return 7 * self.pages / self.days


def in_a_row(count: int) -> Rule:
    """Pages at so many bad verdicts in a row, once for each row."""

    def pages(stream: Stream) -> list[float]:
        found, row = [], 0
        for at, bad in stream:
            row = row + 1 if bad else 0
            if row == count:
                found.append(at)
        return found

    return pages


def detector(patience: float) -> Rule:
    """Pages when the detector is sure, once until a good verdict begins it anew."""

    def pages(stream: Stream) -> list[float]:
        watch, found, paged = Detector(NULL, CRITICAL, patience), [], False
        for at, bad in stream:
            if paged and not bad:
                watch.reset()
                paged = False
            if not paged and watch.add(bad):
                found.append(at)
                paged = True
        return found

    return pages


def rule(name: str, checks: int, every: float, false_pages: float = 1.0) -> Rule:
    """`detector`, or a number of bad verdicts in a row. Raises ValueError for anything else."""
    if name == "detector":
        return detector(1 / alpha_of(false_pages, checks, every))
    if not name.isdigit() or int(name) < 1:
        raise ValueError(f"a rule is `detector`, or how many bad verdicts in a row page: not {name!r}")
    return in_a_row(int(name))


def judged(result: Result, objective: Objective | None) -> Verdict:
    """The verdict that this objective gives on a recorded result; the recorded one where it cannot be judged again."""
    if objective is None or (result.verdict is Verdict.UNKNOWN and not result.samples):
        return result.verdict
    if objective.quantile and result.latency is not None:
        scale = latency.NANOSECONDS.get(objective.unit, 1e6)
        levels = [
            v for v in (objective.levels.target, objective.levels.alert, objective.levels.critical) if v is not None
        ]
        counted = {level: latency.slower([result.latency], level * scale) for level in levels}
        n = next(iter(counted.values()))[1]
        return objective.judge_slower({v: k for v, (k, _) in counted.items()}, n, result.value).verdict
    if objective.unit == "%" and not objective.quantile:
        events = result.bad if objective.direction == "below" else result.samples - result.bad
        return objective.judge_rate(events, result.samples).verdict
    return result.verdict if result.value is None else objective.judge(result.value).verdict


def outages(stream: Stream, least: float = OUTAGE) -> list[tuple[float, float]]:
    """From the first to the last bad verdict of each stretch that is long enough."""
    found: list[tuple[float, float]] = []
    first = last = None
    for at, bad in [*stream, (float("inf"), False)]:
        if bad:
            first, last = at if first is None else first, at
        elif first is not None and last is not None:
            if last - first >= least:
                found.append((first, last))
            first = None
    return found


def replay(streams: Iterable[tuple[Stream, Stream]], pages_of: Rule, days: float) -> Replay:
    """Run a rule over pairs of streams, one for each check: as recorded (what was an outage), and as judged now."""
    sent = idle = there = missed = 0
    delays: list[float] = []
    for recorded, now in streams:
        real, pages = outages(recorded), pages_of(now)
        sent += len(pages)
        idle += sum(not any(a <= page <= b for a, b in real) for page in pages)
        there += len(real)
        for a, b in real:
            first = next((page for page in pages if a <= page <= b), None)
            missed += first is None
            delays += [] if first is None else [(first - a) / 60]
    return Replay(days, sent, idle, there, missed, mean(delays) if delays else None)


def streams(
    store: Store, target: str, checks: Sequence[str], changed: Mapping[str, Objective], since: float, until: float
) -> list[tuple[Stream, Stream]]:
    """What was recorded of each check, and the same results by the changed objectives; what is unknown is left out."""
    told, found = store.objectives(target), []
    for check in checks:
        results = store.results(target, check, since, until)
        objective = changed.get(told.get(check, ""))
        again = [(r.at, judged(r, objective)) for r in results]
        found.append((_known([(r.at, r.verdict) for r in results]), _known(again)))
    return found


def _known(verdicts: Iterable[tuple[float, Verdict]]) -> Stream:
    return [(at, verdict.is_bad) for at, verdict in verdicts if verdict is not Verdict.UNKNOWN]


def usual(store: Store, target: str, since: float, until: float) -> float:
    """How often rounds were, by the runs of that time."""
    runs = store.runs(target, since, until)
    return runs[-1].every if runs else HOLDS
