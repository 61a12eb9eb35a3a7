"""Latencies as HDR histograms: every value within 0.1 %, mergeable, a few hundred bytes for any number of them.

Values are whole nanoseconds from 1 ns to one hour with 3 significant digits (http://hdrhistogram.org); the encoded form
is the one that all implementations read (V2, compressed, base64). The package is the extra `history`: without it a
history holds verdicts, counts and single values, and no quantile over a window.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import accumulate
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
    reached = list(accumulate(total.counts))
    if not reached[-1]:
        return [float("nan")] * len(wanted)
    found = []
    for q in wanted:
        rank = max(1, math.ceil(round(q * reached[-1], 9)))
        low = int(total.get_value_from_index(bisect_left(reached, rank)))
        found.append((low + int(total.get_highest_equivalent_value(low))) / 2)
    return found


def slower(encoded: Iterable[bytes], level: float) -> tuple[int, int]:
    """How many values exceed a level (ns), and how many there are; the bucket that holds the level counts as below."""
    total = _sum(encoded)
    end = bisect_right(range(total.counts_len), level, key=total.get_value_from_index)
    count = int(total.get_total_count())
    return count - sum(total.counts[:end]), count
