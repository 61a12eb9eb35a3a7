"""Whether a gate refuses what is worse, and nothing else.

A gate of ten checks compares a candidate with a baseline, samples of both taken in turn; it looks after 75, 150 and 300
samples of each side. Equal builds: ten checks whose latencies are log-normal with different log-sigmas, and half a
percent of errors, under a load that changes for both; refusals of the whole gate. A slowdown of the whole by a fifth in
one check: how often the gate refuses, and after how many samples. A slowdown of the tail alone, and more errors: the
samples that 95 % power takes.
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import Bench

from dialtone.comparison import ALPHA, LOOKS, compare, spend
from dialtone.evidence import lower_bound, upper_bound

CHECKS = 10
SEED = 20261
SIGMAS = (0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.6, 0.8, 1.0, 0.4)


def samples(rng: Any, sigma: float, load: Any) -> Any:
    """Latencies of one side, in ms, under a load that both sides share."""
    return 100 * load * np.exp(sigma * rng.standard_normal(len(load)))


def load_of(rng: Any, count: int) -> Any:
    """How slow the prober is while the samples are taken: a random walk."""
    return np.exp(np.cumsum(0.02 * rng.standard_normal(count)))


def refused(
    candidate: Any, baseline: Any, errors: tuple[Any, Any], looks: tuple[int, ...] = LOOKS
) -> tuple[str | None, int]:
    """What one check of the gate is refused for, and after how many samples; errors are marked among all tries."""
    for look, n in enumerate(looks):
        bad = [e[:n] for e in errors]
        good = ~(bad[0] | bad[1])
        if not _suspect(candidate[:n][good], baseline[:n][good], bad):
            continue
        counts = int(bad[0].sum()), int(bad[1].sum())
        alpha = spend(ALPHA / CHECKS, look, looks)
        found = compare(candidate[:n][good].tolist(), baseline[:n][good].tolist(), counts, alpha)
        if found.worse:
            return found.worse, n
    return None, looks[-1]


def _suspect(candidate: Any, baseline: Any, bad: list[Any]) -> bool:
    """Whether a comparison could refuse at all: past 2.4 standard deviations of ranks or tail, or three errors more.

    What a gate of ten checks refuses lies past 2.9; this only saves time.
    """
    logs = np.log(candidate / baseline)
    n = len(logs)
    ranks = np.abs(logs).argsort().argsort() + 1
    score = (ranks[logs > 0].sum() - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    slowest = max(1, round(0.1 * 2 * n))
    level = np.partition(np.concatenate([candidate, baseline]), -slowest)[-slowest]
    ours = int((candidate >= level).sum())
    tail = (ours - slowest / 2) / math.sqrt(slowest / 4)
    return bool(score > 2.4 or tail > 2.4 or bad[0].sum() >= bad[1].sum() + 3)


def none_of(count: int) -> tuple[Any, Any]:
    """No errors."""
    return np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)


def equal(bench: Bench, pairs: int) -> None:
    """Refusals of equal builds, by the whole gate."""
    rng = np.random.default_rng(SEED)
    gates, why = 0, {"whole": 0, "tail": 0, "errors": 0}
    for _ in range(pairs):
        gate = False
        for sigma in SIGMAS:
            load = load_of(rng, LOOKS[-1])
            errors = (rng.random(LOOKS[-1]) < 0.005, rng.random(LOOKS[-1]) < 0.005)
            what, _ = refused(samples(rng, sigma, load), samples(rng, sigma, load), errors)
            if what:
                gate = True
                why[what] += 1
        gates += gate
    low, high = 100 * lower_bound(gates, pairs), 100 * upper_bound(gates, pairs)
    print(f"equal builds: {gates} of {pairs:,} gates of {CHECKS} checks refused, for {why}")
    bench.rows(["refused, %", "from", "to (99 %)"], [[100 * gates / pairs, low, high]])
    if bench.quick:
        bench.bar("refusals of equal builds, lower bound", low, "%", most=100 * ALPHA)
    else:
        bench.bar("refusals of equal builds, upper bound", high, "%", most=1.5)


def slowdown(bench: Bench, pairs: int) -> None:
    """Power for a fifth, the whole distribution."""
    rows, worst = [], 1.0
    for sigma in (0.1, 0.2, 0.3, 0.4):
        rng = np.random.default_rng(SEED + round(10 * sigma))
        found = []
        for _ in range(pairs):
            load = load_of(rng, LOOKS[-1])
            sides = samples(rng, sigma, load) * 1.2, samples(rng, sigma, load)
            found.append(refused(*sides, none_of(LOOKS[-1])))
        hits = sum(what is not None for what, _ in found)
        low, high = lower_bound(hits, pairs), upper_bound(hits, pairs)
        worst = min(worst, low)
        rows.append([sigma, 100 * hits / pairs, 100 * low, 100 * high, statistics.mean(n for _, n in found)])
    print(f"20 % slower as a whole, {pairs:,} pairs each: power in %, with its 99 % interval")
    bench.rows(["log-sigma", "power", "from", "to", "samples of each side"], rows)
    if bench.quick:
        bench.bar("power for 20 %, upper bound", min(float(row[3]) for row in rows), "%", least=95)
    else:
        bench.bar("power for 20 %, lower bound", 100 * worst, "%", least=95)


def tails(bench: Bench, pairs: int) -> None:
    """Samples that a slowdown of the tail alone takes."""
    rows = []
    for share, factor in ((0.2, 2.0), (0.1, 2.0), (0.1, 3.0), (0.05, 3.0), (0.05, 10.0)):
        for n in (300, 600, 1200, 2400, 4800):
            looks = (n // 4, n // 2, n)
            rng = np.random.default_rng(SEED)
            hits = 0
            for _ in range(pairs):
                load = load_of(rng, n)
                slow = np.where(rng.random(n) < share, factor, 1.0)
                hits += (
                    refused(samples(rng, 0.4, load) * slow, samples(rng, 0.4, load), none_of(n), looks)[0] is not None
                )
            power = 100 * hits / pairs
            low, high = 100 * lower_bound(hits, pairs), 100 * upper_bound(hits, pairs)
            if power >= 95 or n == 4800:
                rows.append([f"{100 * share:g} % of answers {factor:g} times as slow", n, power, low, high])
                break
    print(f"a slower tail alone (log-sigma 0.4), {pairs:,} pairs: samples of each side for 95 % power")
    bench.rows(["what", "samples", "power, %", "from", "to"], rows)


def main() -> int:
    """All cases."""
    bench = Bench("gate", __doc__)
    equal(bench, 100 if bench.quick else 5000)
    slowdown(bench, 100 if bench.quick else 5000)
    tails(bench, 20 if bench.quick else 500)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
