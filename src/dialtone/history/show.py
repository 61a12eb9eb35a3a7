"""A history for people (a table, sparklines), for programs (JSON) and for Prometheus (OpenMetrics text)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from dialtone.history.indicators import WINDOWS, Figure, Summary
from dialtone.history.store import Result, Store
from dialtone.verdict import Verdict

_BARS = "▁▂▃▄▅▆▇█"
_BUCKETS = 48


def sparkline(values: Sequence[float | None]) -> str:
    """One character for each value between the smallest and the largest; a blank where there is none."""
    known = [v for v in values if v is not None]
    if not known:
        return " " * len(values)
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    return "".join(" " if v is None else _BARS[min(7, int(8 * (v - low) / span))] for v in values)


def day(store: Store, target: str, check: str, now: float) -> str:
    """The last 24 hours as a sparkline: the worst value of each half hour, or its share of bad results; gaps blank."""
    since, width = now - 86_400, 86_400 / _BUCKETS
    buckets: list[list[Result]] = [[] for _ in range(_BUCKETS)]
    for result in store.results(target, check, since, now):
        if result.verdict is not Verdict.UNKNOWN:
            buckets[min(_BUCKETS - 1, int((result.at - since) / width))].append(result)
    valued = any(r.value is not None for bucket in buckets for r in bucket)
    return sparkline([_bucket(bucket, valued=valued) for bucket in buckets])


def _bucket(results: Sequence[Result], *, valued: bool) -> float | None:
    if not results:
        return None
    if valued:
        return max((r.value for r in results if r.value is not None), default=None)
    return sum(r.verdict.is_bad for r in results) / len(results)


def figure(of: Figure) -> str:
    """A figure in a cell: its value, and a mark when it is not a verdict or is bad."""
    value, unit, verdict = of.finding.value, of.finding.unit or "", of.finding.verdict
    if value is None:
        return "-"
    mark = {Verdict.UNKNOWN: "?", Verdict.BREACH: "!", Verdict.CRITICAL: "!!"}.get(verdict, "")
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text}{'' if unit == '%' else ' '}{unit}{mark}"


def table(rows: Iterable[tuple[Summary, str]]) -> list[str]:
    """Every check in a line: windows, what is left of the budget, how much of the month was observed, the last day."""
    titles = ["check", *WINDOWS, "budget left", "observed", "24 h"]
    cells = [titles]
    for of, line in rows:
        left = of.burn.left
        alert = f" {of.burn.alert}" if of.burn.alert else ""
        budget = "-" if left is None else f"{100 * left:,.0f}%{alert}"
        observed = f"{100 * of.figures['30d'].coverage:.0f}%"
        cells.append([of.check, *(figure(of.figures[w]) for w in WINDOWS), budget, observed, line])
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def details(of: Summary, line: str) -> list[str]:
    """One check: each window with its verdict and reason, burn rates, the last change, flapping."""
    lines = [f"{of.check}, held against {of.objective}", f"last 24 h  |{line}|", ""]
    for window, one in of.figures.items():
        word = str(one.finding.kind or one.finding.verdict)
        lines.append(f"{window:>4}  {word:<9}  {one.finding.reason}  ({100 * one.coverage:.0f}% observed)")
    left = "nothing was seen" if of.burn.left is None else f"{100 * of.burn.left:,.1f}% left"
    rates = ", ".join(f"{w} {'-' if r is None else f'{r:.3g}'}" for w, r in of.burn.rates.items())
    lines += ["", f"error budget of 30 d ({100 * of.burn.allowed:.3g}% bad): {left}; burn rates: {rates}"]
    if of.burn.alert:
        lines.append(f"burning {of.burn.alert}: at this rate the budget does not last")
    if of.change and of.changed_at:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(of.changed_at))
        came = f", with deployment {of.deployment}" if of.deployment else ""
        lines.append(f"changed at {when}{came}: median {of.change.before:.4g} before, {of.change.after:.4g} since")
    if of.flaps >= 3:
        lines.append(f"flapping: good again {of.flaps} times in 24 h")
    return lines


def document(target: str, now: float, summaries: Sequence[Summary]) -> dict[str, Any]:
    """The same as data."""
    return {"target": target, "at": now, "checks": [_plain(of) for of in summaries]}


def _plain(of: Summary) -> dict[str, Any]:
    windows = {
        name: {
            "value": one.finding.value,
            "unit": one.finding.unit,
            "verdict": str(one.finding.verdict),
            "kind": one.finding.kind and str(one.finding.kind),
            "reason": one.finding.reason,
            "coverage": round(one.coverage, 6),
            "samples": one.tally.samples,
            "judged": one.tally.judged,
            "failed": one.tally.failed,
        }
        for name, one in of.figures.items()
    }
    change = of.change and {
        "at": of.changed_at,
        "before": of.change.before,
        "after": of.change.after,
        "probability": of.change.probability,
        "deployment": of.deployment,
    }
    budget = {"allowed": of.burn.allowed, "left": of.burn.left, "burn": dict(of.burn.rates), "alert": of.burn.alert}
    return {
        "id": of.check,
        "objective": of.objective,
        "windows": windows,
        "budget": budget,
        "change": change,
        "flaps": of.flaps,
    }


METRICS = {
    "dialtone_value": "Figure of a check over a window, in the unit of its objective",
    "dialtone_coverage_ratio": "Share of the window that somebody observed",
    "dialtone_verdict": "1 for the verdict on a window, 0 for the others",
    "dialtone_budget_left_ratio": "What is left of the error budget of 30 days",
    "dialtone_burn_rate": "How many times too fast the error budget goes",
    "dialtone_flaps": "How often a check became good again in 24 hours",
}


def openmetrics(target: str, summaries: Sequence[Summary]) -> str:
    """OpenMetrics 1.0 text (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""
    samples: dict[str, list[str]] = {name: [] for name in METRICS}

    def put(name: str, value: float | None, **labels: str) -> None:
        if value is not None:
            told = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
            samples[name].append(f"{name}{{{told}}} {float(value):.9g}")

    for of in summaries:
        for window, one in of.figures.items():
            where = {"target": target, "check": of.check, "window": window}
            put("dialtone_value", one.finding.value, **where, unit=one.finding.unit or "")
            put("dialtone_coverage_ratio", one.coverage, **where)
            for verdict in Verdict:
                put("dialtone_verdict", float(one.finding.verdict is verdict), **where, verdict=str(verdict))
        here = {"target": target, "check": of.check}
        put("dialtone_budget_left_ratio", of.burn.left, **here)
        for window, rate in of.burn.rates.items():
            put("dialtone_burn_rate", rate, **here, window=window)
        put("dialtone_flaps", of.flaps, **here)
    lines = []
    for name, told in METRICS.items():
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {told}", *samples[name]]
    return "\n".join([*lines, "# EOF", ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
