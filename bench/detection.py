"""How often a verdict is wrong, how many samples it takes, and how soon an outage is known.

Part one, every objective of the runbook, with the levels of dialtone.toml and the code that judges in a run: healthy
(the rate at its target; answers whose p95 is the target) and critical (the same at the critical level; latency is
log-normal, log-sigma 0.4). A false alarm is breach or worse at any look among the first thousand samples. Samples are
counted to the stop of the test and compared with the smallest exact binomial test of a fixed size with the same errors
(1 % and 5 %).

Part two, dependent samples: bad samples as a Markov chain, latencies as an AR(1) process; the test for a correlation of
up to 0.5, its false alarms and its cost in samples.

Part three, a whole suite for months: 80 checks, one probe a minute, 30 healthy days each, one false page a month as
the budget; then the minutes until an outage is known. Beside it "3 failures in a row", and the shortest row that keeps
the same budget.
"""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

from dialtone.evidence import MONTH, Detector, Sequential, alpha_of, lower_bound, tail, upper_bound
from dialtone.objective import Objective
from dialtone.target.model import ObjectiveTable

NAMES = ("error_rate", "response_time_p95", "uptime", "payment_success", "call_success")
SEEDS = (20261, 20262, 20263)
SIGMA = 0.4
LOOKS = 1000
CHUNK = 2000
Array = Any
Draw = Callable[[Any, int, int], Array]


@dataclass(frozen=True, slots=True)
class Case:
    """An objective with the share of bad samples when all is well and when it is critical."""

    name: str
    objective: Objective
    healthy: float
    critical: float


def cases() -> list[Case]:
    """The runbook's objectives with the levels of the profile."""
    tables = tomllib.loads((ROOT / "dialtone.toml").read_text())["defaults"]["objectives"]
    made = []
    for name in NAMES:
        objective = ObjectiveTable.model_validate(tables[name]).objective(name)
        target, alert, critical = (float(tables[name][level]) for level in ("target", "alert", "critical"))
        if objective.quantile:
            shares = [slower(level, alert, objective.quantile) for level in (target, critical)]
        elif objective.direction == "below":
            shares = [target / 100, critical / 100]
        else:
            shares = [1 - target / 100, 1 - critical / 100]
        made.append(Case(name, objective, *shares))
    return made


def slower(quantile: float, level: float, q: float) -> float:
    """The share of log-normal answers slower than `level` when their quantile `q` is `quantile`."""
    z = NormalDist().inv_cdf(q) + math.log(level / quantile) / SIGMA
    return NormalDist().cdf(-z)


def fixed_size(null: float, alternative: float, alpha: float = 0.01, power: float = 0.95) -> int:
    """The smallest exact binomial test: so many samples, alarm at c bad ones or more."""
    n = 1
    while True:
        c = next(c for c in range(1, n + 2) if 1 - tail(c - 1, n, null) <= alpha or c == n + 1)
        if c <= n and 1 - tail(c - 1, n, alternative) >= power:
            return n
        n += 1


def independent(share: float) -> Draw:
    """Draws bad samples that know nothing of each other."""
    return lambda rng, trials, n: rng.random((trials, n), dtype=np.float32) < share


def chain(share: float, correlation: float) -> Draw:
    """Draws a stationary Markov chain of bad samples with this share and lag-1 correlation."""

    def draw(rng: Any, trials: int, n: int) -> Array:
        uniform = rng.random((n, trials), dtype=np.float32)
        bad = np.empty((n, trials), dtype=bool)
        last = bad[0] = uniform[0] < share
        for i in range(1, n):
            last = bad[i] = uniform[i] < share * (1 - correlation) + correlation * last
        return bad.T

    return draw


def slow_answers(share: float, correlation: float) -> Draw:
    """Draws latencies whose logarithm is an AR(1) process, seen as slower than the alert level or not."""

    def draw(rng: Any, trials: int, n: int) -> Array:
        level, scale = NormalDist().inv_cdf(1 - share), math.sqrt(1 - correlation**2)
        noise = rng.standard_normal((n, trials), dtype=np.float32)
        bad = np.empty((n, trials), dtype=bool)
        last = noise[0]
        bad[0] = last > level
        for i in range(1, n):
            last = correlation * last + scale * noise[i]
            bad[i] = last > level
        return bad.T

    return draw


@dataclass(slots=True)
class Outcome:
    """What became of some runs: how many alarmed at any look, samples to the stop of the test."""

    trials: int = 0
    alarms: int = 0
    samples: int = 0

    @property
    def mean(self) -> float:
        """Mean samples to the stop."""
        return self.samples / self.trials

    @property
    def share(self) -> float:
        """Alarms in %."""
        return 100 * self.alarms / self.trials

    @property
    def most(self) -> float:
        """Upper 99 % bound on the share of alarms, in %."""
        return 100 * upper_bound(self.alarms, self.trials)


def run(test: Sequential, draw: Draw, seed: int, trials: int, looks: int, bad: Callable[[int, int], bool]) -> Outcome:
    """Run the test: it stops at an alarm or without one; an alarm counts where the judge says so at any look."""
    rng, outcome = np.random.default_rng(seed), Outcome()
    (good0, bad0), (good1, bad1) = test.steps()
    steps = np.array([good0, bad0, good1, bad1])
    verdicts: dict[tuple[int, int], bool] = {}
    while outcome.trials < trials:
        drawn = draw(rng, min(CHUNK, trials - outcome.trials), looks)
        before = np.zeros_like(drawn)
        before[:, 1:] = drawn[:, :-1]
        weight = np.cumsum(steps[2 * before.astype(np.int8) + drawn], axis=1)
        over = weight >= -math.log(test.alpha) - 1e-12
        ended = over | (weight <= math.log(test.beta))
        first = np.where(ended.any(axis=1), ended.argmax(axis=1), looks - 1)
        outcome.samples += int((first + 1).sum())
        outcome.trials += len(drawn)
        counts = np.cumsum(drawn, axis=1)
        for row in np.flatnonzero(over.any(axis=1)):
            for n in np.flatnonzero(over[row]):
                pair = int(counts[row, n]), int(n) + 1
                if pair not in verdicts:
                    verdicts[pair] = bad(*pair)
                if verdicts[pair]:
                    outcome.alarms += 1
                    break
    return outcome


def judge(objective: Objective) -> Callable[[int, int], bool]:
    """Whether the verdict on so many bad samples of so many is breach or worse, as a check would get it."""

    def bad(k: int, n: int) -> bool:
        if objective.quantile:
            level = objective.levels.alert or 0.0
            values = [level * 1.5] * k + [level / 4] * (n - k)
            return objective.judge_quantile(values, sequential=True).verdict.is_bad
        events = k if objective.direction == "below" else n - k
        return objective.judge_rate(events, n, sequential=True).verdict.is_bad

    return bad


def single_checks(bench: Bench, trials: int) -> None:
    """Parts one and two."""
    rows, dependent = [], []
    healthy, critical, costs = [], [], []
    for case in cases():
        test, bad = case.objective.test(), judge(case.objective)
        fixed = fixed_size(case.healthy, case.critical)
        for seed in SEEDS:
            h0 = run(test, independent(case.healthy), seed, trials, LOOKS, bad)
            h1 = run(test, independent(case.critical), seed, trials, 300, bad)
            healthy.append(h0)
            critical.append(h1)
            cost = (h1.mean / fixed, h0.mean / fixed)
            rows.append([case.name, seed, h0.share, h0.most, h1.share, fixed, h1.mean, h0.mean, *cost])
            if fixed >= 30:
                costs.append(cost)
        dependent += _dependent(case, trials)
    print(f"{trials:,} trials a row; alarms in %, with their upper 99 % bound; samples to the stop of the test")
    errors = ["alarms", "at most", "power"]
    sizes = ["n critical", "n healthy"]
    bench.rows(["objective", "seed", *errors, "fixed n", *sizes, "of fixed", "of fixed"], rows)
    if bench.quick:  # two thousand trials cannot show 1.2 %, but they can refute 1 %
        least = max(lower_bound(h.alarms, h.trials) for h in healthy)
        bench.bar("false alarms, lower 99 % bound", 100 * least, "%", most=1)
    else:
        bench.bar("false alarms, upper 99 % bound", max(h.most for h in healthy), "%", most=1.2)
    bench.bar("power at the critical level", min(h.share for h in critical), "%", least=95)
    bench.bar("mean samples of the fixed test's, critical", max(c[0] for c in costs), "ratio", most=0.60)
    bench.bar("mean samples of the fixed test's, healthy", max(c[1] for c in costs), "ratio", most=0.75)
    print("\ndependent mode, for a lag-1 correlation of up to 0.5; cost: samples against the independent mode's")
    bench.rows(["objective", "samples are", "lag-1", *errors, *sizes, "cost", "cost"], dependent)
    bench.bar("false alarms of dependent samples, upper 99 % bound", max(row[4] for row in dependent), "%", most=1.2)


def _dependent(case: Case, trials: int) -> list[list[Any]]:
    plain = case.objective.test()
    test = Sequential(plain.null, plain.alternative, correlation=0.5)
    null = plain.null if case.objective.quantile else case.healthy  # p95 at the alert level: the edge of the null
    base = [run(plain, independent(s), SEEDS[0], trials, LOOKS, _any).mean for s in (case.critical, null)]
    rows: list[list[Any]] = []
    for kind, make in [("chain", chain), ("AR(1)", slow_answers)]:
        if kind == "AR(1)" and not case.objective.quantile:
            continue
        for correlation in (0.0, 0.25, 0.5):
            h0 = run(test, make(null, correlation), SEEDS[0], trials, LOOKS, _any)
            h1 = run(test, make(case.critical, correlation), SEEDS[1], trials, LOOKS, _any)
            cost = [h1.mean, h0.mean, h1.mean / base[0], h0.mean / base[1]]
            rows.append([case.name, kind, correlation, h0.share, h0.most, h1.share, *cost])
    return rows


def _any(_k: int, _n: int) -> bool:
    return True


MINUTES = 30 * 1440
CHECKS, SLOW = 80, 20
NULL, CRITICAL = 0.01, 0.10
WHEN = ("100 %", "50 %", "10 %, the critical level")


class Lanes:
    """Many detectors side by side, by the arithmetic of `evidence.Detector` (`_same` compares the two)."""

    def __init__(self, lanes: int, null: float, critical: float, correlation: float) -> None:
        one = Detector(null, critical, 1.0, correlation)
        self.steps = np.array(one._steps)
        self.values = np.zeros((len(self.steps), lanes))
        self.last = np.zeros(lanes, dtype=np.int8)

    def add(self, bad: Array) -> Array:
        """Take a sample for each; their statistics."""
        index = 2 * self.last + bad
        self.values += 1
        with np.errstate(over="ignore"):  # an outage that goes on: beyond any patience
            self.values *= self.steps.reshape(len(self.steps), 4)[:, index]
        self.last = bad.astype(np.int8)
        return self.values.mean(axis=0)

    def reset(self, which: Array) -> None:
        """Begin anew."""
        self.values[:, which] = 0
        self.last[which] = 0


def _same() -> None:
    """The arithmetic above is the one of the engine, sample for sample."""
    rng = np.random.default_rng(0)
    lanes, single = Lanes(3, NULL, CRITICAL, 0.3), [Detector(NULL, CRITICAL, 1e9, 0.3) for _ in range(3)]
    for _ in range(200):
        bad = rng.random(3) < 0.2
        for detector, sample in zip(single, bad, strict=True):
            detector.add(bool(sample))
        if not np.allclose(lanes.add(bad), [detector.value for detector in single]):
            raise SystemExit("the bench and evidence.Detector disagree")


class InARow:
    """Alarm at the n-th failure in a row."""

    def __init__(self, lanes: int, n: int) -> None:
        self.n, self.row = n, np.zeros(lanes, dtype=np.int32)

    def add(self, bad: Array) -> Array:
        """Which alarm now: once for each row."""
        self.row = (self.row + 1) * bad
        return self.row == self.n


def healthy_months(
    seed: int, months: int, share: float, correlation: float, declared: float, rows: list[int]
) -> list[Array]:
    """False pages of each month: ours, then each rule of so many in a row.

    60 checks fail now and then, by a chain with a day's rhythm; 20 look at latencies whose p95 is the target's and
    whose logarithm is AR(1). Every alarm is a page; a check that has alarmed begins anew.
    """
    rng = np.random.default_rng(seed)
    failing, slow = (CHECKS - SLOW) * months, SLOW * months
    patience = 1 / alpha_of(1.0, CHECKS, MONTH / MINUTES)
    lanes = [Lanes(failing, NULL, CRITICAL, declared), Lanes(slow, 0.05, 0.2083, declared)]
    rules = [InARow(failing + slow, n) for n in rows]
    pages = [np.zeros(months, dtype=np.int64) for _ in range(1 + len(rows))]
    owner = [np.arange(failing) % months, np.arange(slow) % months]
    level = math.log(1000 / 500) / SIGMA + NormalDist().inv_cdf(0.95)
    latency, scale = rng.standard_normal(slow, dtype=np.float32), np.float32(math.sqrt(1 - 0.3**2))
    last = np.zeros(failing, dtype=bool)
    for minute in range(MINUTES):
        rhythm = 1 + 0.5 * math.sin(2 * math.pi * minute / 1440) if share < NULL else 1.0
        last = rng.random(failing, dtype=np.float32) < share * rhythm * (1 - correlation) + correlation * last
        latency = np.float32(0.3) * latency + scale * rng.standard_normal(slow, dtype=np.float32)
        samples = [last, latency > level]
        for lane, bad, months_of in zip(lanes, samples, owner, strict=True):
            alarms = np.flatnonzero(lane.add(bad) >= patience)
            if len(alarms):
                np.add.at(pages[0], months_of[alarms], 1)
                lane.reset(alarms)
        everything, everybody = np.concatenate(samples), np.concatenate(owner)
        for rule, told in zip(rules, pages[1:], strict=True):
            alarms = np.flatnonzero(rule.add(everything))
            if len(alarms):
                np.add.at(told, everybody[alarms], 1)
    return pages


def delays(seed: int, trials: int, failing: float, declared: float, rows: list[int], most: int = 20_000) -> list[float]:
    """Mean minutes from the beginning of an outage to the alarm: ours, then each rule; NaN where some take longer."""
    rng = np.random.default_rng(seed)
    patience = 1 / alpha_of(1.0, CHECKS, MONTH / MINUTES)
    ours, rules = Lanes(trials, NULL, CRITICAL, declared), [InARow(trials, n) for n in rows]
    found = np.zeros((1 + len(rows), trials))
    for minute in range(1, most + 1):
        bad = rng.random(trials) < failing
        for row, alarm in zip(found, [ours.add(bad) >= patience, *(rule.add(bad) for rule in rules)], strict=True):
            row[alarm & (row == 0)] = minute
        if (found > 0).all():
            break
    return [float(row.mean()) if (row > 0).all() else math.inf for row in found]


def suite(bench: Bench, months: int, trials: int) -> None:
    """Part three."""
    rows = [3, 5, 7, 9]
    table: list[list[Any]] = []
    ours = 0.0
    settings = [
        ("0.2 % fail, lag-1 0.2", 0.002, 0.2, 0.3),
        ("0.2 % fail, lag-1 0.3", 0.002, 0.3, 0.3),
        ("at the target: 1 %, lag-1 0.3", 0.01, 0.3, 0.3),
        ("at the target: 1 %, lag-1 0.5", 0.01, 0.5, 0.5),
    ]
    for number, (what, share, correlation, declared) in enumerate(settings):
        pages = healthy_months(SEEDS[0] + number, months, share, correlation, declared, rows)
        for name, told in zip([f"ours ({declared})", *(f"{n} in a row" for n in rows)], pages, strict=True):
            mean, half = float(told.mean()), 2.576 * float(told.std(ddof=1)) / math.sqrt(months)
            table.append([what, name, mean, max(0.0, mean - half), mean + half])
        ours = max(ours, float(pages[0].mean()))
    print(f"\nfalse pages a month of {CHECKS} checks, mean of {months} months with its 99 % interval; budget: 1")
    bench.rows(["healthy", "rule", "pages", "from", "to"], table)
    bench.bar("false pages a month, the whole suite", ours, "pages", most=1)
    print("\nminutes until an outage is known (mean)")
    outages = (1.0, 0.5, CRITICAL)
    means = {f"ours, for lag-1 {d}": [delays(1, trials, f, d, [])[0] for f in outages] for d in (0.0, 0.3, 0.5)}
    means |= {f"{n} in a row": [delays(1, trials, f, 0.3, [n])[1] for f in outages] for n in rows}
    bench.rows(["rule", *WHEN], [[n, *m] for n, m in means.items()])
    mine, three = means["ours, for lag-1 0.3"], means["3 in a row"]
    bench.bar("minutes to know of the critical level, ours of 3 in a row", mine[2] / three[2], "ratio", most=1)
    print(
        f"not better in time: {mine[0] / three[0]:.2f} times as long at 100 %, {mine[1] / three[1]:.2f} times at 50 %"
    )


def main() -> int:
    """All three parts."""
    bench = Bench("detection", __doc__)
    quick = bench.quick
    _same()
    single_checks(bench, 2000 if quick else 20_000)
    suite(bench, 4 if quick else 100, 500 if quick else 5000)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
