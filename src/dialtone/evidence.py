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
class Sequential:
    """Wald's sequential test of a share of bad samples: `null` is the share at the target, `alternative` at critical.

    Its weight is the logarithm of how much more likely the samples are under the alternative. It alarms at
    ln(1/`alpha`), and a share of at most `alpha` of healthy runs ever alarms, whenever and why ever somebody stops
    looking (Wald 1945, https://doi.org/10.1214/aoms/1177731118; Ville's inequality). It ends without one at ln(`beta`).

    `correlation` is how strongly a sample may depend on the one before it (lag 1, 0 for independent samples): then the
    share of bad ones after a bad one may be as high as `null + correlation * (1 - null)` without saying anything.
    """

    null: float
    alternative: float
    alpha: float = 1 - CONFIDENCE
    beta: float = 0.05
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.null < self.alternative < 1 or not 0 <= self.correlation < 1:
            raise ValueError(f"no test of {self.null} against {self.alternative} at correlation {self.correlation}")

    def weight(self, k: int, n: int) -> float:
        """The weight of `k` bad ones among `n` independent samples."""
        return (
            k * math.log(self.alternative / self.null)
            + (n - k) * math.log1p(-self.alternative)
            - (n - k) * math.log1p(-self.null)
        )

    def alarms(self, weight: float) -> bool:
        """The null is excluded in favour of the alternative."""
        return weight >= -math.log(self.alpha)

    def ends(self, weight: float) -> bool:
        """The alternative is given up: nobody will be alarmed."""
        return weight <= math.log(self.beta)

    def steps(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """What one more sample adds to the weight: (good, bad) after a good one, and (good, bad) after a bad one.

        Each conditional share under the null is bounded by what the correlation allows, and the alternative's lies
        above that bound: so the weight of any such healthy sequence is expected to fall, and Ville's inequality holds.
        """
        found = []
        for after_bad in (False, True):
            most = self.null + self.correlation * (1 - self.null) if after_bad else self.null
            share = self.alternative * (1 - self.correlation) + self.correlation * after_bad
            share = max(share, most)
            found.append((math.log1p(-share) - math.log1p(-most), math.log(share / most)))
        return found[0], found[1]


def alternative_to(null: float) -> float:
    """The share to test against where no level names one: five times the odds of the null."""
    return 5 * null / (1 + 4 * null)


MONTH = 30 * 86_400.0


def alpha_of(false_pages: float, checks: int, every: float) -> float:
    """The share of false alarms that one look of one check may have, so that the whole suite stays within its budget.

    `false_pages` a month for `checks` checks that look every `every` seconds; never more than a single look has.
    """
    looks = max(1.0, MONTH / every) * max(1, checks)
    return min(1 - CONFIDENCE, false_pages / looks)


class Detector:
    """Watches a stream of samples for the moment at which it turns bad, for as long as there are samples.

    The statistic of Shiryaev and Roberts (Pollak 1985, https://doi.org/10.1214/aos/1176346587), averaged over
    alternatives from the critical share to a total outage, each with the bounds on conditional shares of `Sequential`.
    Healthy samples make it grow by at most one each on average, so that the mean number of looks between false alarms
    is at least `patience`, whatever else is true of the samples.
    """

    SHARES = (0.3, 0.6, 0.98)
    """Alternatives beside the critical share."""

    def __init__(self, null: float, critical: float, patience: float, correlation: float = 0.3) -> None:
        self.patience = patience
        shares = [critical, *(share for share in self.SHARES if share > critical)]
        self._steps = [_steps(null, share, correlation) for share in shares]
        chained = Sequential(null, critical, correlation=correlation)
        self._steps.append(tuple((math.exp(good), math.exp(bad)) for good, bad in chained.steps()))
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after an alarm."""
        self._values = [0.0] * len(self._steps)
        self._after_bad = False

    @property
    def value(self) -> float:
        """The statistic; an alarm is due when it reaches `patience`."""
        return sum(self._values) / len(self._values)

    def add(self, bad: bool) -> bool:
        """Take one more sample; whether an alarm is due."""
        state = self._after_bad
        self._values = [(1 + value) * steps[state][bad] for value, steps in zip(self._values, self._steps, strict=True)]
        self._after_bad = bad
        return self.value >= self.patience


def _steps(null: float, share: float, correlation: float) -> tuple[tuple[float, float], ...]:
    """Likelihood ratios (good, bad) after a good and after a bad sample, for failures that come independently."""
    found = []
    for most in (null, null + correlation * (1 - null)):
        wanted = max(share, most)
        found.append(((1 - wanted) / (1 - most), wanted / most))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Stop:
    """Whether sampling may stop: as soon as the evidence suffices for an alarm, or to exclude the alert level."""

    rate: float
    test: Sequential
    confidence: float = CONFIDENCE

    @property
    def planned(self) -> int:
        """Clean samples after which `rate`, the alert level, is excluded."""
        return samples_to_exclude(self.rate, self.confidence)

    def exceeded(self, k: int, n: int) -> bool:
        """There is an alarm: the bound holds at every look."""
        return self.test.alarms(self.test.weight(k, n))

    def excluded(self, k: int, n: int) -> bool:
        """The rate is below the level beyond doubt."""
        return n >= self.planned and upper_bound(k, n, self.confidence) < self.rate
