"""How many samples a verdict needs: exact bounds on a rate, and on a quantile seen as a rate of "slower than".

All bounds are exact (Clopper & Pearson 1934, https://doi.org/10.1093/biomet/26.4.404), one-sided, and need no
distribution of the samples beyond independence. Excluding a rate of 1 % with 99 % confidence takes 459 clean samples,
5 % takes 90: that is the price of a verdict, and what cannot be paid is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.99
"""Default confidence of every bound: a share of at most 1 % of false verdicts for each single look."""


def tail(k: int, n: int, rate: float) -> float:
    """Probability of at most `k` events among `n` samples when each has probability `rate` (binomial)."""
    if k >= n or rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 0.0
    if k > n * rate:
        return max(0.0, 1.0 - _falling(n - k - 1, n, 1 - rate))
    return min(1.0, _falling(k, n, rate))


def _falling(k: int, n: int, rate: float) -> float:
    """The tail for `k` below the mean: its terms fall from `k` downwards, so those that do not matter are left out."""
    odds = (1 - rate) / rate
    term = math.exp(
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(rate)
        + (n - k) * math.log1p(-rate)
    )
    total = 0.0
    while k >= 0 and term > total * 1e-15:
        total += term
        term *= k / (n - k + 1) * odds
        k -= 1
    return total


def _solve(k: int, n: int, probability: float) -> float:
    """The rate at which at most `k` of `n` has the given probability; bisection, exact to 1e-9."""
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if tail(k, n, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=4096)
def upper_bound(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound on a rate after `k` events in `n` samples; 1.0 without samples."""
    _validate(k, n)
    return 1.0 if n == 0 or k == n else _solve(k, n, 1 - confidence)


@lru_cache(maxsize=4096)
def lower_bound(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound on a rate after `k` events in `n` samples; 0.0 without events."""
    _validate(k, n)
    return 0.0 if k == 0 else _solve(k - 1, n, confidence)


def _validate(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} events in {n} samples")


def samples_to_exclude(rate: float, confidence: float = CONFIDENCE) -> int:
    """Clean samples after which a rate of at least `rate` is excluded: ln(1-confidence) / ln(1-rate), rounded up."""
    if not 0 < rate < 1:
        raise ValueError(f"a rate lies between 0 and 1, not at {rate}")
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def quantile(values: Sequence[float], q: float) -> float:
    """The nearest-rank quantile: the smallest value that at least a share `q` of the values do not exceed."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = math.ceil(round(q * len(ordered), 9))  # 0.07 of 100 is 7, and 7.000000000000001 in binary
    return ordered[max(0, rank - 1)]


@dataclass(frozen=True, slots=True)
class Stop:
    """Whether sampling may stop: as soon as the evidence suffices for one side, or when the samples are used up.

    Early looks towards an alarm are paid for: each looks at a tenth of the error that the last look has, so that the
    repeated looking does not add up to more than about twice the nominal share of false alarms.
    """

    rate: float
    confidence: float = CONFIDENCE

    @property
    def planned(self) -> int:
        """Samples to plan: enough to exclude the rate even with one event among them (by its exact bound)."""
        return samples_to_exclude(self.rate, self.confidence)

    def exceeded(self, k: int, n: int) -> bool:
        """The rate is past the level beyond doubt, at an early look."""
        return lower_bound(k, n, 1 - (1 - self.confidence) / 10) > self.rate

    def excluded(self, k: int, n: int) -> bool:
        """The rate is below the level beyond doubt."""
        return upper_bound(k, n, self.confidence) < self.rate
