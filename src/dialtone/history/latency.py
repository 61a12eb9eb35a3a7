"""Latencies as HDR histograms: every value within 0.1 %, mergeable, a few hundred bytes for any number of them.

Values are whole nanoseconds from 1 ns to one hour with 3 significant digits (http://hdrhistogram.org); the encoded form
is the one that all implementations read (V2, compressed, base64). The package is the extra `history`: without it a
history holds verdicts, counts and single values, and no quantile over a window.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

LOWEST, HIGHEST, DIGITS = 1, 3_600_000_000_000, 3
NANOSECONDS = {"ms": 1e6, "s": 1e9}
"""Nanoseconds in a unit of an objective; other units are no latency."""


@functools.cache
def available() -> bool:
    """Whether histograms can be made here."""
    return find_spec("hdrh") is not None


def _new() -> Any:
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(LOWEST, HIGHEST, DIGITS)


def encode(values: Iterable[int]) -> bytes | None:
    """A histogram of nanoseconds; None for no values. What lies outside of the range counts as its end."""
    histogram, seen = _new(), False
    for value in values:
        histogram.record_value(min(HIGHEST, max(LOWEST, value)))
        seen = True
    return bytes(histogram.encode()) if seen else None


def merge(encoded: Iterable[bytes]) -> bytes | None:
    """One histogram of all the values of some; None for none."""
    parts = list(encoded)
    if len(parts) < 2:
        return parts[0] if parts else None
    return bytes(_sum(parts).encode())


def _sum(parts: Iterable[bytes]) -> Any:
    total = _new()
    for part in parts:
        total.decode_and_add(part)
    return total


def quantiles(encoded: Iterable[bytes], *wanted: float) -> list[float]:
    """Nearest-rank quantiles (ns) of the values of some histograms, each within 0.05 %; NaN without values.

    Walks the counts itself: the package rounds the rank where nearest-rank rounds it up, and answers the end of a
    bucket where its middle halves the error.
    """
    total = _sum(encoded)
    count = int(total.get_total_count())
    if not count:
        return [float("nan")] * len(wanted)
    ranks = sorted({max(1, math.ceil(round(q * count, 9))) for q in wanted})
    found: dict[int, float] = {}
    seen = index = 0
    for rank in ranks:
        while seen < rank:
            seen += int(total.get_count_at_index(index))
            index += 1
        low = int(total.get_value_from_index(index - 1))
        found[rank] = (low + int(total.get_highest_equivalent_value(low))) / 2
    return [found[max(1, math.ceil(round(q * count, 9)))] for q in wanted]


def slower(encoded: Iterable[bytes], level: float) -> tuple[int, int]:
    """How many values exceed a level (ns), and how many there are; the bucket that holds the level counts as below."""
    total = _sum(encoded)
    count, below, index = int(total.get_total_count()), 0, 0
    while index < total.counts_len and total.get_value_from_index(index) <= level:
        below += int(total.get_count_at_index(index))
        index += 1
    return count - below, count
