"""Indicators over windows: error rates, quantiles and uptime against their levels, error budgets and burn rates.

A check that judges by an objective is held against its levels; any other is a question of uptime: the share of its
judgements that were good. A window of which too little was observed is undecided, whatever its figure says.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dialtone.evidence import lower_bound
from dialtone.history import latency
from dialtone.history.changes import Change, change_point
from dialtone.history.store import Store
from dialtone.history.windows import Tally, tally
from dialtone.objective import Objective
from dialtone.verdict import Finding, Kind, Levels, Verdict

WINDOWS = {"5m": 300.0, "1h": 3600.0, "24h": 86_400.0, "30d": 30 * 86_400.0}
BUDGET = "30d"
COVERED = 0.8
"""Share of a window that has to be observed before its figure is a verdict."""
# Multi-window, multi-burn-rate alerts: a long window, a short one that ends the alert soon, and the rate at which 2 and
# 5 % of a month's budget go in the long one (https://sre.google/workbook/alerting-on-slos/).
ALERTS = {"fast": (3600.0, 300.0, 14.4), "slow": (6 * 3600.0, 1800.0, 6.0)}
_SURE = 0.9999  # these alerts are looked at every minute, and two failures in a row are few
_ROUNDS = 5  # a change of level is found to within a few rounds
UPTIME = Objective("uptime", Levels(99.9, 99, 95), "%", "above")


@dataclass(frozen=True, slots=True)
class Figure:
    """One window of one check: what was measured, the verdict on it, how much of the window was observed."""

    window: str
    finding: Finding
    coverage: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class Burn:
    """The error budget: `left` of 1 (negative when overspent) and which alert fires. None where nothing was seen."""

    allowed: float
    left: float | None
    rates: Mapping[str, float | None]
    alert: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """All that a history says of one check."""

    check: str
    objective: str
    figures: Mapping[str, Figure]
    burn: Burn
    change: Change | None
    changed_at: float | None
    deployment: str | None
    flaps: int


def summary(
    store: Store, target: str, check: str, objectives: Mapping[str, Objective], now: float, *, changes: bool = True
) -> Summary:
    """Windows that end at `now`, the budget, the last change of level and how often it flapped in a day.

    Without `changes` the last two are left out: they read every result of the day.
    """
    told = store.objective(target, check)
    objective = objectives.get(told)
    by = replace(objective or objectives.get("uptime", UPTIME), severities={})
    figures = {
        name: _figure(name, tally(store, target, check, now - length, now), by, uptime=objective is None)
        for name, length in WINDOWS.items()
    }
    recent = store.results(target, check, now - 86_400, now) if changes else []
    values = [(r.at, r.value) for r in recent if r.value is not None]
    change = change_point([v for _, v in values])
    at = values[change.index][0] if change else None
    return Summary(
        check,
        by.name.replace(" ", "_"),
        figures,
        burn(store, target, check, by, now, uptime=objective is None),
        change,
        at,
        _deployment(store, target, at) if at else None,
        flaps([r.verdict for r in recent]),
    )


def _figure(name: str, seen: Tally, by: Objective, *, uptime: bool) -> Figure:
    if by.quantile:
        finding = _quantile(seen, by)
    elif by.unit == "%" and seen.samples:
        bad, n = _bad(seen, uptime=uptime)
        finding = by.judge_rate(bad if by.direction == "below" else n - bad, n)
    else:
        bad, n = _bad(seen, uptime=True)
        finding = UPTIME.judge_rate(n - bad, n)
    if seen.coverage < COVERED:
        reason = f"{100 * seen.coverage:.3g}% of the window observed, {100 * COVERED:.3g}% needed: {finding.reason}"
        finding = replace(finding, verdict=Verdict.UNKNOWN, kind=Kind.UNDECIDED, reason=reason)
    return Figure(name, finding, seen.coverage, seen)


def _quantile(seen: Tally, by: Objective) -> Finding:
    scale, q = latency.NANOSECONDS.get(by.unit, 1e6), by.quantile or 0.95
    if seen.histogram is None:
        return by.judge_slower({}, 0, None)
    levels = [v for v in (by.levels.target, by.levels.alert, by.levels.critical) if v is not None]
    counted = {level: latency.slower([seen.histogram], level * scale) for level in levels}
    n = next(iter(counted.values()))[1]
    value = seen.quantile(q)
    return by.judge_slower({level: k for level, (k, _) in counted.items()}, n, value and value / scale)


def _bad(seen: Tally, *, uptime: bool) -> tuple[int, int]:
    """Bad ones of how many: judgements for uptime, else the samples themselves."""
    return (seen.failed, seen.judged) if uptime else (seen.bad, seen.samples)


def burn(store: Store, target: str, check: str, by: Objective, now: float, *, uptime: bool) -> Burn:
    """How much of the month's error budget is left, how fast it goes, and whether that is an alert.

    An alert needs both of its windows past the rate, and the long one beyond doubt, by the lower bound of its share:
    one failure of a handful of samples burns at a hundred times the rate and says nothing.
    """
    target_share, alert_level = by.levels.target, by.levels.alert
    if by.quantile:
        allowed = 1 - by.quantile
    elif by.unit != "%" or (target_share or alert_level) is None:
        allowed = 0.001
    else:
        level = target_share if target_share is not None else alert_level or 0.0
        allowed = max(1e-6, (level if by.direction == "below" else 100 - level) / 100)

    def share(length: float) -> tuple[float | None, float]:
        bad, n = _bad(tally(store, target, check, now - length, now), uptime=uptime)
        return (bad / n / allowed, lower_bound(bad, n, _SURE) / allowed) if n else (None, 0.0)

    month = share(WINDOWS[BUDGET])[0]
    lengths = {"5m": 300.0, "30m": 1800.0, "1h": 3600.0, "6h": 6 * 3600.0}
    found = {name: share(length) for name, length in lengths.items()}
    by_length = {lengths[name]: (rate or 0.0, bound) for name, (rate, bound) in found.items()}
    firing = [
        name
        for name, (long, short, rate) in ALERTS.items()
        if by_length[short][0] >= rate and min(by_length[long]) >= rate
    ]
    rates = {name: rate for name, (rate, _) in found.items()}
    return Burn(allowed, None if month is None else 1 - month, rates, firing[0] if firing else None)


def flaps(verdicts: list[Verdict]) -> int:
    """How often a check went from good to bad and back: what could not be judged is left out."""
    known = [v.is_bad for v in verdicts if v is not Verdict.UNKNOWN]
    return sum(a and not b for a, b in itertools.pairwise(known))


def _deployment(store: Store, target: str, at: float) -> str | None:
    """The deployment that came about when the level changed: the nearest change of it within a few rounds."""
    runs = store.runs(target, at - 86_400, at + 3600)
    here = sum(run.planned <= at for run in runs) - 1
    changed = [n for n in range(1, len(runs)) if runs[n].deployment and runs[n].deployment != runs[n - 1].deployment]
    near = [n for n in changed if abs(n - here) <= _ROUNDS]
    return runs[min(near, key=lambda n: abs(n - here))].deployment if near else None
