"""Objectives: target, alert and critical levels, and how a measurement against them becomes a finding.

Three kinds of measurement are judged: a plain value (days left on a certificate), a rate (failed of n, good of n) and
a quantile of samples. Rates and quantiles are judged by exact bounds (`evidence.py`):

- `ok` and `degraded` need the bound to exclude the alert level;
- `breach` of a rate needs the estimate past the alert level and the target excluded by the bound (without a target:
  the alert level), `critical` the same one level up (estimate past critical, alert excluded);
- `breach` and `critical` of a quantile need the level itself excluded by the bound;
- everything between is undecided, with the number of samples that were missing. What is no number is undecided too.

Samples that were taken until they sufficed (`sequential`) have been looked at after each of them: there, breach and
critical also need the sequential test's alarm, whose bound holds at any stop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dialtone.evidence import (
    CONFIDENCE,
    Sequential,
    Stop,
    alternative_to,
    lower_bound,
    quantile,
    samples_to_exclude,
    tail,
    upper_bound,
)
from dialtone.verdict import Finding, Kind, Levels, Severity, Verdict

Direction = Literal["below", "above"]


@dataclass(frozen=True, slots=True)
class Objective:
    """An SLO: levels of one indicator. `direction` says on which side of the levels it has to stay.

    `unit` is `s`, `ms`, `%`, `days` or `count`; values given to the judge methods are in that unit. `severities`
    gives each level a severity of its own where the runbook does (an error rate above 10 % is P1, above 5 % P2).
    """

    name: str
    levels: Levels
    unit: str
    direction: Direction = "below"
    window: float | None = None
    quantile: float | None = None
    severities: Mapping[str, Severity] = field(default_factory=dict)
    alpha: float = 1 - CONFIDENCE
    """Share of false alarms that sampling until the evidence suffices may have."""

    def test(self, q: float | None = None) -> Sequential:
        """The sequential test of the share of bad samples: target against critical level, or of "slower than alert".

        Whose p95 is at the alert level has 5 % of answers slower than it: that share is the null of a quantile, and a
        healthy service stays far below it.
        """
        if self.quantile or q:
            null = 1 - (q or self.quantile or 0.95)
            return Sequential(null, alternative_to(null), self.alpha)
        target, alert, critical = self._shares()
        null = max(1e-4, target if target is not None else alert or 0.05)
        return Sequential(null, critical if critical and critical > null else alternative_to(null), self.alpha)

    def stop(self, q: float | None = None) -> Stop:
        """When to stop sampling for this objective."""
        return Stop(1 - (q or self.quantile or 0.95) if self.quantile or q else self._shares()[1] or 0.05, self.test(q))

    def judge(self, value: float, *, what: str = "", samples: int = 1, **evidence: Any) -> Finding:
        """Judge a plain value that needs no statistics (a count, an age, a date)."""
        verdict = self._place(value)
        missing = 1 if verdict is Verdict.UNKNOWN else 0
        return self._finding(verdict, value, samples, self._said(what, value), evidence, missing)

    def judge_rate(
        self, events: int, samples: int, *, what: str = "", sequential: bool = False, **evidence: Any
    ) -> Finding:
        """Judge a share in %: `events` counts what the objective names (errors for `below`, successes for `above`)."""
        bad_events = events if self.direction == "below" else samples - events
        share = 100 * events / samples if samples else None
        test = self.test() if sequential else None
        verdict, missing = _judge_rate(bad_events, samples, *self._shares(), test)
        said = f"{self._said(what, share)} ({events:,} of {samples:,})"
        return self._finding(verdict, share, samples, said, evidence, missing)

    def judge_quantile(
        self,
        values: Sequence[float],
        *,
        q: float | None = None,
        what: str = "",
        sequential: bool = False,
        **evidence: Any,
    ) -> Finding:
        """Judge a quantile of `values` (in the objective's unit) as the share of values slower than each level."""
        q = q or self.quantile or 0.95
        n = len(values)
        value = quantile(values, q) if values else None
        target, alert, critical = self._triple()
        said = self._said(what, value)
        if not n or alert is None or any(map(math.isnan, values)):
            return self._finding(Verdict.UNKNOWN, None, n, said, evidence, samples_to_exclude(1 - q))
        slower = {level: sum(v > level for v in values) for level in (target, alert, critical) if level is not None}
        return self.judge_slower(slower, n, value, q=q, said=said, sequential=sequential, **evidence)

    def judge_slower(
        self,
        slower: Mapping[float, int],
        n: int,
        value: float | None,
        *,
        q: float | None = None,
        said: str = "",
        sequential: bool = False,
        **evidence: Any,
    ) -> Finding:
        """Judge a quantile whose samples are counted already: how many of `n` exceed each level; `value` is told."""
        q = q or self.quantile or 0.95
        target, alert, critical = self._triple()
        said = said or f"{self.name} {self._show(value)}"
        if not n or alert is None:
            return self._finding(Verdict.UNKNOWN, None, n, said, evidence, samples_to_exclude(1 - q))
        share = 1 - q
        test = self.test(q) if sequential else None
        verdict: Verdict = Verdict.UNKNOWN
        if critical is not None and _past(slower[critical], n, share, test):
            verdict = Verdict.CRITICAL
        elif _past(slower[alert], n, share, test):
            verdict = Verdict.BREACH
        elif upper_bound(slower[alert], n) < share or (slower[alert] == 0 and n >= samples_to_exclude(share)):
            verdict = Verdict.DEGRADED if target is not None and value is not None and value > target else Verdict.OK
        missing = _missing(slower[alert], n, share) if verdict is Verdict.UNKNOWN else 0
        return self._finding(verdict, value, n, said, evidence, missing)

    def nats(self, bad: int, samples: int, q: float | None = None) -> float:
        """How unlikely it is that a service at its target has so many bad samples or more: minus the logarithm.

        Without a target, and of a quantile, at its alert level. Exact for independent samples, at most 35.
        """
        target, alert, _ = self._shares()
        null = 1 - (q or self.quantile or 0.95) if self.quantile or q else (target or alert or 0.05)
        chance = 1.0 - tail(bad - 1, samples, null) if bad > 0 else 1.0
        return -math.log(max(chance, 1e-15))

    def measured(self, values: Sequence[float]) -> dict[str, Any]:
        """What a history keeps of samples: how many are past the alert level, and times as whole nanoseconds."""
        level, scale = self.levels.alert, {"ms": 1e6, "s": 1e9}.get(self.unit)
        bad = sum(v > level for v in values) if level is not None else 0
        kept: list[int] = [round(v * scale) for v in values if math.isfinite(v)] if scale else []
        return {"bad": bad, "objective": self.name.replace(" ", "_"), "latency": kept}

    def _shares(self) -> tuple[float | None, float | None, float | None]:
        """Target, alert and critical level of a rate as shares of bad events."""
        flipped = (None if v is None else (v if self.direction == "below" else 100 - v) / 100 for v in self._triple())
        target, alert, critical = flipped
        return target, alert, critical

    def _triple(self) -> tuple[float | None, float | None, float | None]:
        return self.levels.target, self.levels.alert, self.levels.critical

    def _misses(self, value: float, level: float | None) -> bool:
        if level is None:
            return False
        return value > level if self.direction == "below" else value < level

    def _place(self, value: float) -> Verdict:
        if math.isnan(value):
            return Verdict.UNKNOWN
        if self._misses(value, self.levels.critical):
            return Verdict.CRITICAL
        if self._misses(value, self.levels.alert):
            return Verdict.BREACH
        return Verdict.DEGRADED if self._misses(value, self.levels.target) else Verdict.OK

    def _show(self, value: float | None) -> str:
        if value is None or math.isnan(value):
            return "not measured"
        if math.isinf(value):
            return "without end"
        text = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
        return f"{text}{'' if self.unit == '%' else ' '}{self.unit}" if self.unit != "count" else text

    def _said(self, what: str, value: float | None) -> str:
        return f"{(what or self.name).rstrip(':')}: {self._show(value)}"

    def missed(self, verdict: Verdict) -> str:
        """The level that a verdict missed, in words: `alert level 1,000 ms`."""
        name = {Verdict.CRITICAL: "critical", Verdict.BREACH: "alert", Verdict.DEGRADED: "target"}.get(verdict)
        level = getattr(self.levels, name) if name else None
        return "" if level is None else f"{name}{'' if name == 'target' else ' level'} {self._show(level)}"

    def _finding(
        self, verdict: Verdict, value: float | None, n: int, said: str, evidence: Mapping[str, Any], missing: int = 0
    ) -> Finding:
        missed = self.missed(verdict)
        if missed:
            said += f", {'above' if self.direction == 'below' else 'below'} the {missed}"
        kind = Kind.UNDECIDED if verdict is Verdict.UNKNOWN else None
        if kind:
            said += f"; {n:,} of about {n + missing:,} samples that a verdict needs"
        level = {Verdict.CRITICAL: "critical", Verdict.BREACH: "alert", Verdict.DEGRADED: "target"}.get(verdict, "")
        return Finding(
            verdict, said, kind, value, self.unit, n, self.levels, self.severities.get(level), dict(evidence)
        )


def _past(k: int, n: int, share: float, test: Sequential | None) -> bool:
    """Whether more than `share` of all are bad, beyond doubt: at a single look, or at a stop of a sequential test."""
    return lower_bound(k, n) > share and (test is None or test.alarms(test.weight(k, n)))


def _judge_rate(
    k: int,
    n: int,
    target: float | None,
    alert: float | None,
    critical: float | None,
    test: Sequential | None = None,
) -> tuple[Verdict, int]:
    """Verdict on a rate of bad events (shares between 0 and 1), and how many samples are missing if undecided."""
    if n == 0 or alert is None:
        return Verdict.UNKNOWN, samples_to_exclude(alert or 0.05)
    share, low = k / n, lower_bound(k, n, CONFIDENCE)
    if test is not None and not test.alarms(test.weight(k, n)):
        low = 0.0
    if critical is not None and share > critical and low > alert:
        return Verdict.CRITICAL, 0
    if share > alert and low > (alert if target is None else target):
        return Verdict.BREACH, 0
    if upper_bound(k, n, CONFIDENCE) < alert:
        return (Verdict.DEGRADED if target is not None and share > target else Verdict.OK), 0
    return Verdict.UNKNOWN, _missing(k, n, alert)


def _missing(k: int, n: int, rate: float) -> int:
    """Further samples, clean ones, after which `rate` would be excluded; bounded at 100,000."""
    low, high = n, 100_000
    while low < high:
        middle = (low + high) // 2
        if upper_bound(k, max(middle, k), CONFIDENCE) < rate:
            high = middle
        else:
            low = middle + 1
    return max(1, low - n)
