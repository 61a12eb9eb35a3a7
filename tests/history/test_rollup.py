"""Roll-ups say the same as the raw results that they are made of, whenever those come; what is old goes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.history.conftest import NOON, result, run

from dialtone.history import Result, Retention, Store, latency, tidy
from dialtone.history.days import gaps
from dialtone.history.rollup import DAY, HOUR, MINUTE, counts
from dialtone.history.windows import tally
from dialtone.verdict import Verdict

MIDNIGHT = NOON - 12 * 3600
KEEP = Retention(raw=3 * 86400, minutes=10 * 86400, hours=20 * 86400)


def week(chance: random.Random, days: int = 4, step: float = 900.0) -> list[tuple[str, float, Result]]:
    """Rounds of some days before noon, a tenth of them missing, with verdicts and latencies of all kinds."""
    made = []
    for i in range(int(days * 86400 / step)):
        planned = NOON - days * 86400 + i * step
        if chance.random() < 0.1:
            continue
        verdict = chance.choices(list(Verdict), [20, 3, 2, 1, 1])[0]
        values = [round(chance.lognormvariate(19, 0.4)) for _ in range(chance.randrange(4))]
        blob = latency.encode(values)
        bad = chance.randrange(3)
        made.append((f"r{i}", planned, result(at=planned + 5, verdict=verdict, samples=5, bad=bad, latency=blob)))
    return made


def fill(store: Store, rounds: list[tuple[str, float, Result]]) -> None:
    """Store rounds of a quarter of an hour."""
    for name, planned, found in rounds:
        store.add(run(name, planned, every=900.0), [found])


def test_windows_say_the_same_before_and_after_roll_up(store: Store) -> None:
    """Whatever the window: counts and observed time exactly, quantiles to the last digit of the histogram."""
    chance = random.Random(5)  # noqa: S311 - a week that can be repeated
    rounds = week(chance)
    fill(store, rounds)
    windows = [(NOON - chance.uniform(0.1, 4) * 86400, NOON - chance.uniform(0, 0.1) * 86400) for _ in range(12)]
    before = [tally(store, "production", "health", *w) for w in windows]
    tidy(store, NOON)
    assert store.marks()[0] == NOON * 1000 - HOUR
    assert store.engine.all("SELECT count(*) FROM dialtone_rollup WHERE step = ?", [DAY])[0][0] == 5
    assert [tally(store, "production", "health", *w) for w in windows] == before
    assert any(t.judged for t in before)


def test_results_that_come_late_are_in_their_hour(store: Store, tmp_path: Path) -> None:
    """Stored in any order, before or after the roll-up: the same roll-ups in the end."""
    chance = random.Random(7)  # noqa: S311 - a week that can be repeated
    rounds = week(chance, days=2)
    other = Store.open(tmp_path / "in_order.db", clock=lambda: NOON)
    fill(other, rounds)
    tidy(other, NOON)
    mixed = chance.sample(rounds, len(rounds))
    fill(store, mixed[:100])
    tidy(store, NOON)
    fill(store, mixed[100:])
    fill(store, mixed[90:110])
    columns = "step, at, ok, degraded, unknown, breach, critical, samples, bad, observed"
    query = f"SELECT {columns} FROM dialtone_rollup ORDER BY 1, 2"  # noqa: S608 - names of ours
    assert store.engine.all(query) == other.engine.all(query)
    other.close()


def test_old_results_become_minutes_and_go(store: Store) -> None:
    """Raw ones after their time, then minutes, then hours; days stay. What is told of a day does not change."""
    rounds = week(random.Random(9), days=6)  # noqa: S311 - a week that can be repeated
    fill(store, rounds)
    day = (MIDNIGHT - 5 * 86400, MIDNIGHT - 4 * 86400)
    before = tally(store, "production", "health", *day)
    tidy(store, NOON, KEEP)
    kept = store.results("production", "health")
    assert min(r.at for r in kept) >= MIDNIGHT - 3 * 86400
    assert tally(store, "production", "health", *day) == before
    minutes = store.engine.all("SELECT count(*), sum(samples) FROM dialtone_rollup WHERE step = ?", [MINUTE])[0]
    gone = [r for _, _, r in rounds if r.at < MIDNIGHT - 3 * 86400]
    assert (minutes[0], int(minutes[1])) == (len(gone), 5 * len(gone))
    tidy(store, NOON + 30 * 86400, KEEP)
    steps = store.engine.all("SELECT DISTINCT step FROM dialtone_rollup")
    assert steps == [(DAY,)]
    assert tally(store, "production", "health", *day) == before


def test_old_rounds_leave_one_a_minute(store: Store) -> None:
    """Enough to tell when nobody looked; those of yesterday are all there, and none is older than the hours."""
    day = NOON - 6 * 86400
    for n in (*range(5), *range(35, 40)):  # two rounds of each kind in a minute, and half an hour between
        at = day + 60 * n
        for name, shift, every in (("a", 0, 60.0), ("b", 30, 60.0), ("c", 10, 15.0), ("d", 20, 15.0)):
            store.add(run(f"{name}{n}", at + shift, every=every))
            store.add(run(f"late-{name}{n}", NOON - 86400 + 60 * n + shift, every=every))
    seen = gaps(store, "production", day, day + 7200)
    tidy(store, NOON, KEEP)
    left = store.runs("production", day, day + 7200)
    assert [r.token for r in left] == [f"a{n}" for n in (*range(5), *range(35, 40))]
    found = gaps(store, "production", day, day + 7200)
    assert [(round(b - a), round(d - c)) for (a, b), (c, d) in zip(seen, found, strict=True)] == [
        (4770, 4800),  # to the end of what was asked for
        (1770, 1800),
    ]
    assert len(store.runs("production", NOON - 86400)) == 40
    tidy(store, NOON + 30 * 86400, KEEP)
    assert store.runs("production") == []


def test_rounds_that_an_earlier_version_left_are_thinned_too(store: Store) -> None:
    """It had purged their results and noted so, and kept every round itself: nothing comes back to that day."""
    for days in (15, 6):
        for n in range(3):
            store.add(run(f"a{days}-{n}", NOON - days * 86400 + 60 * n))
            store.add(run(f"b{days}-{n}", NOON - days * 86400 + 60 * n + 20))
    with store.engine.transaction():
        store.engine.many("UPDATE dialtone_mark SET purged = ?", [(round(MIDNIGHT - 4 * 86400) * 1000,)])
    assert len(store.runs("production")) == 12
    tidy(store, NOON, KEEP)
    assert [r.token for r in store.runs("production")] == ["a15-0", "a15-1", "a15-2", "a6-0", "a6-1", "a6-2"]


def test_what_is_older_than_the_raw_results_is_counted_and_not_stored(store: Store) -> None:
    """It could not be told from what its hour holds already."""
    fill(store, week(random.Random(9), days=6))  # noqa: S311 - a week that can be repeated
    tidy(store, NOON, KEEP)
    store.add(run("late", NOON - 5 * 86400), [result(at=NOON - 5 * 86400)])
    assert store.too_old == 1
    assert store.add(run("now"), [result(at=NOON)]) == 1


def test_tidying_again_changes_nothing(store: Store) -> None:
    """Twice, and after a tidying that was killed before it had noted how far it came."""
    fill(store, week(random.Random(3), days=2))  # noqa: S311 - a week that can be repeated
    tidy(store, NOON)
    everything = "SELECT * FROM dialtone_rollup ORDER BY series, step, at"
    before = store.engine.all(everything)
    tidy(store, NOON)
    store.engine.do("UPDATE dialtone_mark SET rolled = 0")
    tidy(store, NOON)
    assert [tuple(map(_plain, row)) for row in store.engine.all(everything)] == [tuple(map(_plain, r)) for r in before]


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def test_time_is_observed_once(store: Store) -> None:
    """Two places in one slot observe it once; a slot in which nothing could be judged was not observed."""
    for place in ("fra", "sfo"):
        store.add(run("a", NOON, place=place), [result(at=NOON + 3)])
    store.add(run("b", NOON + 60), [result(at=NOON + 63, verdict=Verdict.UNKNOWN)])
    store.add(run("c", NOON + 120), [result(at=NOON + 123)])
    series = store.series("production")["health"]
    (row,) = counts(store.engine, series, HOUR, 0, 2**60)
    assert row[1:] == (3, 0, 1, 0, 0, 4, 0, 120_000)


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_quantiles_of_merged_histograms_are_nearest_rank(quantile: float) -> None:
    """Within 0.1 % of the exact ones, whatever the values were split into."""
    from dialtone import evidence

    chance = random.Random(1)  # noqa: S311 - values that can be repeated
    values = [round(chance.lognormvariate(16, 3)) + 50_000 for _ in range(999)]
    parts = [latency.encode(values[i::7]) for i in range(7)]
    (found,) = latency.quantiles([p for p in parts if p], quantile)
    assert found == pytest.approx(evidence.quantile(values, quantile), rel=0.001)
    assert latency.quantiles([latency.merge(p for p in parts if p) or b""], quantile) == [found]


def test_values_past_a_level_are_counted() -> None:
    """Up to the width of one bucket."""
    blob = latency.encode([1_000_000] * 5 + [3_000_000] * 2)
    assert blob is not None
    assert latency.slower([blob], 2_000_000) == (2, 7)
    assert latency.encode([]) is None
    assert latency.merge([]) is None
