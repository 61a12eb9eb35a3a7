"""Whether a candidate is worse than a baseline, by samples of both that were taken in turn and in random order.

What slows the prober slows both, and accuses neither. Three questions are asked of one check, each about ranks or
counts only: is the candidate slower as a whole (signed ranks of pairs, Wilcoxon 1945,
https://doi.org/10.2307/3001968), is its tail longer (its share of the slowest tenth of all samples), does it fail more
often (both exact, hypergeometric: Fisher's test). The bound on wrong refusals is for the whole gate: it is divided
among its checks, the questions and the looks.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

ALPHA = 0.01
"""Share of equal builds that a gate refuses at most."""
LOOKS = (75, 150, 300)
"""Samples of each side after which a gate looks, unless told otherwise."""
MATERIAL = 1.05
"""A slowdown of the whole below this is none that a gate refuses, however certain it is."""
TOLERATED = 1.2
"""A slowdown of the whole that has to be excluded before a candidate is called no slower than its baseline."""
TAIL = 0.1
_SHARES = {"whole": 0.5, "tail": 0.3, "errors": 0.2}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one look found. `slowdown` is the median ratio of a pair; `worse` names what is refused."""

    samples: int
    slowdown: float
    probabilities: dict[str, float]
    worse: str | None


def order(count: int, seed: int) -> Iterator[bool]:
    """Whom to ask next, True for the candidate: of each two samples one is of each side, in random order."""
    chance = random.Random(seed)  # noqa: S311 - an order that can be repeated
    for _ in range(count):
        first = chance.random() < 0.5
        yield first
        yield not first


def spend(alpha: float, look: int, looks: Sequence[int] = LOOKS) -> float:
    """What the look of this number may err by: little of it early (O'Brien & Fleming's, as Lan & DeMets 1983 spend)."""
    z = NormalDist().inv_cdf(1 - alpha / 2)

    def spent(share: float) -> float:
        return 2 - 2 * NormalDist().cdf(z / math.sqrt(share))

    return spent(looks[look] / looks[-1]) - (spent(looks[look - 1] / looks[-1]) if look else 0.0)


def looks_of(count: int) -> tuple[int, ...]:
    """After how many samples of each side to look, where there are `count` at most: a quarter, a half, all."""
    return tuple(sorted({max(1, count // 4), max(1, count // 2), count}))


def compare(
    candidate: Sequence[float],
    baseline: Sequence[float],
    errors: tuple[int, int],
    alpha: float,
    tries: int | None = None,
) -> Comparison:
    """One look at latencies (any unit, all above 0) and errors of candidate and baseline, wrong at most at `alpha`.

    Latencies come in pairs, taken one right after the other; a pair of which one failed is left out and counted in
    `errors`. `tries` is how many samples of each side there were, where those are not the pairs and the errors.
    """
    logs = [math.log(a / b) for a, b in zip(candidate, baseline, strict=True)]
    tries = len(logs) + max(errors) if tries is None else tries
    found = {
        "whole": slower(logs),
        "tail": longer_tail(candidate, baseline),
        "errors": more(errors[0], errors[1], tries, tries),
    }
    refused = [name for name, p in found.items() if p <= alpha * _SHARES[name]]
    slowdown = ratio(logs) if refused else float("nan")
    if "whole" in refused and slowdown < MATERIAL:
        refused.remove("whole")
    return Comparison(len(candidate), slowdown, found, refused[0] if refused else None)


def slower(logs: Sequence[float]) -> float:
    """Probability of log-ratios this bad, or worse, of a candidate that is its baseline (signed ranks, normal)."""
    known = sorted((d for d in logs if d), key=abs)
    n = len(known)
    if not n:
        return 1.0
    positive = ties = 0.0
    start = 0
    while start < n:
        end = start + 1
        while end < n and abs(known[end]) == abs(known[start]):
            end += 1
        same = end - start
        ties += same**3 - same
        positive += (start + 1 + end) / 2 * sum(d > 0 for d in known[start:end])
        start = end
    variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
    return 1 - NormalDist().cdf((positive - n * (n + 1) / 4 - 0.5) / math.sqrt(variance)) if variance > 0 else 1.0


def longer_tail(candidate: Sequence[float], baseline: Sequence[float]) -> float:
    """Probability of so many of the slowest tenth being the candidate's, when both are the same (exact)."""
    n, m = len(candidate), len(baseline)
    if not n or not m:
        return 1.0
    slowest = max(1, round(TAIL * (n + m)))
    level = sorted([*candidate, *baseline])[-slowest]
    return more(sum(v >= level for v in candidate), sum(v >= level for v in baseline), n, m)


def more(a: int, b: int, n: int, m: int) -> float:
    """Probability of at least `a` of all `a + b` events among the `n` of the candidate, `m` being the baseline's."""
    if not a or not n or not m:
        return 1.0
    events = a + b
    whole = _choose(n + m, events)
    return min(1.0, sum(math.exp(_choose(n, k) + _choose(m, events - k) - whole) for k in range(a, min(events, n) + 1)))


def _choose(n: int, k: int) -> float:
    if not 0 <= k <= n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def ratio(logs: Sequence[float]) -> float:
    """The effect: the median ratio of a pair; NaN without any."""
    return math.exp(median(logs)) if logs else float("nan")


def bounds(logs: Sequence[float], alpha: float) -> tuple[float, float]:
    """What the ratio lies above, and what below, each wrong at most at `alpha`: the signed ranks turned round.

    The ratios that the test of `slower` would not refuse as the null (Hodges & Lehmann 1963,
    https://doi.org/10.1214/aoms/1177704172); exact to 1e-4, and no wider than the pairs themselves.
    """
    if not logs:
        return 0.0, math.inf
    return math.exp(_edge(list(logs), alpha)), math.exp(-_edge([-d for d in logs], alpha))


def _edge(logs: list[float], alpha: float) -> float:
    """The largest shift above which the differences still lie beyond doubt; below all of them when there is none."""
    low, high = min(logs) - 1e-9, max(logs) + 1e-9
    if slower([d - low for d in logs]) > alpha:
        return -math.inf
    while high - low > 1e-4:
        middle = (low + high) / 2
        if slower([d - middle for d in logs]) <= alpha:
            low = middle
        else:
            high = middle
    return low
