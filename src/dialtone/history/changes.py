"""Where a series of values changed its level, and which deployment came with it.

Pettitt's test (1979, https://doi.org/10.2307/2346729): of all places where a series may be parted, the one at which the
ranks before and after differ most, with the probability that an unchanged series shows as much. It looks at ranks
only: a few wild values do not move it, and no distribution is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEAST = 20
"""Values below which nothing is said."""
CERTAIN = 0.001
"""Largest probability of a change that is none: rounds are not quite independent of each other."""


@dataclass(frozen=True, slots=True)
class Change:
    """A series had the median `before` up to `index`, and `after` from there on."""

    index: int
    before: float
    after: float
    probability: float


def change_point(values: Sequence[float]) -> Change | None:
    """The most likely change of level, or None where an unchanged series may look like this. n log n."""
    n = len(values)
    if n < LEAST:
        return None
    ranks = _ranks(values)
    best = index = 0.0
    total = 0.0
    for t, rank in enumerate(ranks[:-1], 1):
        total += rank
        distance = abs(2 * total - t * (n + 1))
        if distance > best:
            best, index = distance, t
    probability = 2 * math.exp(-6 * best**2 / (n**3 + n**2))
    if probability > CERTAIN:
        return None
    at = int(index)
    return Change(at, median(values[:at]), median(values[at:]), probability)


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1 on; equal values share the middle of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + 1 + end) / 2
        start = end
    return ranks
