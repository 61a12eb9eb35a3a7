"""What the resident watch knows, as text for Prometheus, and whether it is well.

Text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). A verdict here is the last one of each
check; figures over windows are `dialtone history --openmetrics`.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STATES = ("ok", "degraded", "breach", "critical", "unknown")
_KEPT = 2000
_LATE = 30.0  # seconds: beyond this the watch is not well

_HELP = {
    "dialtone_watch_checks": ("gauge", "Checks that are watched"),
    "dialtone_watch_unarmed_checks": ("gauge", "Checks that are not armed"),
    "dialtone_watch_looks_total": ("counter", "Looks at checks that are over"),
    "dialtone_watch_missed_total": ("counter", "Moments at which a check was still being looked at: gaps"),
    "dialtone_watch_hung_total": ("counter", "Checks that were ended by their time limit"),
    "dialtone_watch_died_total": ("counter", "Sessions that died in a check"),
    "dialtone_watch_sessions_total": ("counter", "Sessions that were begun"),
    "dialtone_watch_waiting": ("gauge", "Checks whose moment has come and that no session has begun"),
    "dialtone_watch_running": ("gauge", "Checks that are being looked at"),
    "dialtone_watch_reloads_total": ("counter", "Reloads, by how they ended"),
    "dialtone_watch_backlog": ("gauge", "Slices of results that the history has not taken yet"),
    "dialtone_watch_history_trouble": ("gauge", "1 while the history cannot be used"),
    "dialtone_watch_undelivered": ("gauge", "Messages about incidents that reached nobody"),
    "dialtone_watch_incident_steps_total": ("counter", "Steps that incidents made"),
    "dialtone_watch_seen_alone": ("gauge", "Findings of this place that not enough other places see"),
    "dialtone_watch_heartbeat_timestamp_seconds": ("gauge", "When the dead man's switches were told last"),
    "dialtone_watch_start_time_seconds": ("gauge", "When the watch began"),
    "dialtone_watch_resident_memory_bytes": ("gauge", "Memory of the ruling process"),
    "dialtone_check_verdict": ("gauge", "1 for the last verdict of a check, 0 for the others"),
    "dialtone_check_last_look_timestamp_seconds": ("gauge", "When a check was looked at last"),
    "dialtone_check_seconds": ("gauge", "How long the last look took"),
    "dialtone_check_interval_seconds": ("gauge", "How often a check is looked at"),
}


class Lateness:
    """How late looks began, in seconds: a histogram for ever, and the latest ones for quantiles."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0
        self.recent: deque[float] = deque(maxlen=_KEPT)

    def add(self, seconds: float) -> None:
        """One look."""
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds
        self.recent.append(seconds)

    def quantile(self, share: float) -> float:
        """Of the latest looks; 0 where there was none."""
        ordered = sorted(self.recent)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def lines(self, name: str) -> Iterable[str]:
        """As a histogram."""
        yield f"# HELP {name} How late looks began"
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self.sum:.9g}"
        yield f"{name}_count {total}"


@dataclass(slots=True)
class Last:
    """The last look at a check."""

    verdict: str
    severity: str
    at: float
    seconds: float
    every: float


@dataclass(slots=True)
class Board:
    """All figures of one watch; plain ones by the names above."""

    target: str
    figures: dict[str, float] = field(default_factory=dict)
    reloads: dict[str, int] = field(default_factory=lambda: {"done": 0, "refused": 0})
    late: Lateness = field(default_factory=Lateness)
    checks: dict[str, Last] = field(default_factory=dict)

    def text(self) -> str:
        """For Prometheus."""
        samples: dict[str, list[str]] = {name: [] for name in _HELP}
        here = {"target": self.target}
        for name, value in self.figures.items():
            samples[name].append(_sample(name, here, value))
        for word, count in self.reloads.items():
            samples["dialtone_watch_reloads_total"].append(
                _sample("dialtone_watch_reloads_total", {**here, "result": word}, count)
            )
        for check, last in self.checks.items():
            of = {**here, "check": check, "severity": last.severity}
            for state in STATES:
                one = _sample("dialtone_check_verdict", {**of, "verdict": state}, float(state == last.verdict))
                samples["dialtone_check_verdict"].append(one)
            for name, value in (
                ("dialtone_check_last_look_timestamp_seconds", last.at),
                ("dialtone_check_seconds", last.seconds),
                ("dialtone_check_interval_seconds", last.every),
            ):
                samples[name].append(_sample(name, of, value))
        lines: list[str] = []
        for name, (kind, told) in _HELP.items():
            if samples[name]:
                lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}", *samples[name]]
        return "\n".join([*lines, *self.late.lines("dialtone_watch_lateness_seconds"), ""])

    def troubles(self, *, sessions: bool, clerk: bool, waited: float) -> list[str]:
        """Why the watch is not well, in words; empty where it is. `waited` is for how long the oldest look waits."""
        found = [] if sessions else ["no session can be started"]
        found += [] if clerk else ["nobody keeps the history and sends alerts"]
        if self.figures.get("dialtone_watch_history_trouble"):
            found.append("the history cannot be used")
        if count := self.figures.get("dialtone_watch_undelivered"):
            found.append(f"{count:.0f} messages reached nobody")
        if waited > _LATE:
            found.append(f"checks wait for {waited:.0f} s: more sessions (--sessions) or longer intervals are needed")
        return found


def _sample(name: str, labels: Mapping[str, Any], value: float) -> str:
    told = ",".join(f'{k}="{_escaped(str(v))}"' for k, v in labels.items())
    return f"{name}{{{told}}} {float(value):.15g}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
