"""What happened in a window of time: counts of verdicts and samples, how much of it was observed, quantiles.

Read from the largest roll-ups that fit, and from raw results at the edges. Time that nobody observed is neither up
nor down: `coverage` is told beside every figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dialtone.history import latency
from dialtone.history.rollup import DAY, HOUR, MINUTE, counts
from dialtone.history.store import Store


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one check over a window of `seconds`, of which `observed` were; `histogram` is of its latencies."""

    seconds: float
    ok: int = 0
    degraded: int = 0
    unknown: int = 0
    breach: int = 0
    critical: int = 0
    samples: int = 0
    bad: int = 0
    observed: float = 0.0
    histogram: bytes | None = None

    @property
    def judged(self) -> int:
        """Results that say something."""
        return self.ok + self.degraded + self.breach + self.critical

    @property
    def failed(self) -> int:
        """Results that are breach or critical."""
        return self.breach + self.critical

    @property
    def coverage(self) -> float:
        """The share of the window that somebody observed, at most 1."""
        return min(1.0, self.observed / self.seconds) if self.seconds else 0.0

    def quantile(self, q: float) -> float | None:
        """A quantile of the latencies in ns, or None without any."""
        return latency.quantiles([self.histogram], q)[0] if self.histogram else None


_ROLLED = """SELECT ok, degraded, unknown, breach, critical, samples, bad, observed, latency FROM dialtone_rollup
 WHERE series = ? AND step = ? AND at >= ? AND at < ?"""
_BLOBS = "SELECT latency FROM dialtone_result WHERE series = ? AND at >= ? AND at < ? AND latency IS NOT NULL"


def tally(store: Store, target: str, check: str, since: float, until: float) -> Tally:
    """What a check found from `since` on, before `until` (seconds since 1970)."""
    series = store.number(target, check)
    empty = Tally(until - since)
    if series is None or until <= since:
        return empty
    rolled, purged = store.marks()
    rows: list[tuple[int, ...]] = []
    blobs: list[bytes] = []
    for step, start, end in _pieces(round(since * 1000), round(until * 1000), rolled, purged):
        if step:
            found = store.engine.all(_ROLLED, [series, step, start, end])
            rows += [tuple(int(v) for v in row[:8]) for row in found]
            blobs += [bytes(row[8]) for row in found if row[8] is not None]
        else:
            rows += [row[1:] for row in counts(store.engine, series, HOUR, start, end)]
            blobs += [bytes(row[0]) for row in store.engine.all(_BLOBS, [series, start, end])]
    if not rows:
        return empty
    ok, degraded, unknown, breach, critical, samples, bad, observed = (sum(c) for c in zip(*rows, strict=True))
    seen = observed / 1000
    return Tally(until - since, ok, degraded, unknown, breach, critical, samples, bad, seen, latency.merge(blobs))


def _pieces(since: int, until: int, rolled: int, purged: int) -> Iterator[tuple[int, int, int]]:
    """(step, from, to) of a window: days inside, hours around them, raw results (step 0) or minutes at the edges."""
    reach = min(until, rolled)
    outer = (_up(since, HOUR), reach // HOUR * HOUR)
    if outer[0] >= outer[1]:
        yield from _fine(since, until, purged)
        return
    yield from _fine(since, outer[0], purged)
    inner = (_up(outer[0], DAY), outer[1] // DAY * DAY)
    if inner[0] < inner[1]:
        yield HOUR, outer[0], inner[0]
        yield DAY, inner[0], inner[1]
        yield HOUR, inner[1], outer[1]
    else:
        yield HOUR, outer[0], outer[1]
    yield from _fine(outer[1], until, purged)


def _fine(since: int, until: int, purged: int) -> Iterator[tuple[int, int, int]]:
    if since < min(until, purged):
        yield MINUTE, since // MINUTE * MINUTE, min(until, purged)
    if max(since, purged) < until:
        yield 0, max(since, purged), until


def _up(value: int, step: int) -> int:
    return math.ceil(value / step) * step
