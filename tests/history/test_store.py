"""The store: each result once, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.history.conftest import NOON, result, run

from dialtone.history import Result, Run, Store, StoreError
from dialtone.history.schema import NEWEST
from dialtone.verdict import Kind, Severity, Verdict


def contents(store: Store) -> tuple[list[Run], dict[str, list[Result]]]:
    """Everything that a history holds of production."""
    return store.runs("production"), {c: store.results("production", c) for c in store.series("production")}


def test_what_is_stored_is_read_again(store: Store) -> None:
    """Every field survives, and times to the millisecond."""
    full = result(
        "login[de]",
        NOON + 0.123,
        Verdict.UNKNOWN,
        kind=Kind.REFUSED,
        severity=Severity.P0,
        value=12.5,
        samples=90,
        bad=3,
        seconds=1.25,
        reason="turned away: “Größe”",
        latency=b"\x00\xff",
    )
    plain = result("health", NOON + 1)
    ran = run(deployment="abc", finished=NOON + 5, exit_code=1)
    assert store.add(ran, [full, plain]) == 2
    assert contents(store) == ([ran], {"health": [plain], "login[de]": [full]})
    assert store.targets() == ["production"]
    assert store.results("production", "nobody") == []


def test_the_same_result_sent_twice_is_one(store: Store, open_store: Callable[[], Store]) -> None:
    """From the same program or another one, alone or among others."""
    first = [result("a"), result("b")]
    assert store.add(run(), first) == 2
    assert store.add(run(), first) == 0
    assert open_store().add(run(), [*first, result("c")]) == 1
    assert {c: len(r) for c, r in contents(store)[1].items()} == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("seed", range(3))
def test_shards_and_repetitions_make_the_history_of_one_run(store: Store, seed: int, tmp_path: Path) -> None:
    """Two shards and a repeated round, merged in any order, give the same history as one run."""
    chance = random.Random(seed)  # noqa: S311 - an order that can be repeated
    results = [result(f"check_{i}", NOON + i, value=float(i)) for i in range(20)]
    whole = Store.open(tmp_path / "whole.db")
    whole.add(run("r1", finished=NOON + 30, exit_code=1), results)
    shards = [
        (run("r1", NOON + 2, finished=NOON + 30, exit_code=0), results[:12]),
        (run("r1", NOON, finished=NOON + 20, exit_code=1), results[12:]),
    ]
    sent = [*shards, *shards, (shards[0][0], results[5:9])]
    chance.shuffle(sent)
    for ran, part in sent:
        store.add(ran, part)
    assert contents(store) == contents(whole)
    whole.close()


def test_places_and_targets_are_kept_apart(store: Store) -> None:
    """The same check of the same round from two places is two results; another target is another series."""
    store.add(run(place="fra"), [result()])
    store.add(run(place="sfo"), [result()])
    store.add(Run("r1", "preview", NOON, NOON), [result()])
    assert len(store.results("production", "health")) == 2
    assert store.targets() == ["preview", "production"]


def test_a_run_that_was_killed_has_no_end(store: Store) -> None:
    """What it knew stays; that it did not finish can be seen."""
    store.add(run(), [result()])
    (ran,) = store.runs("production")
    assert (ran.finished, ran.exit_code) == (None, None)


def test_a_clock_that_is_set_back_loses_nothing(store: Store) -> None:
    """Results of an hour ago and of now stand beside each other, also in the same millisecond."""
    store.add(run("before"), [result(at=NOON)])
    store.add(run("after", NOON - 3600), [result(at=NOON - 3600), result(at=NOON)])
    assert [r.at for r in store.results("production", "health")] == [NOON - 3600, NOON, NOON]


def test_nothing_of_a_transaction_that_fails_is_there(store: Store) -> None:
    """A row that the database refuses takes the others along, and the next transaction works."""
    with pytest.raises(StoreError):
        store.add(run(), [result("a"), result("b", bad=None)])
    assert contents(store) == ([], {})
    assert store.add(run(), [result("a")]) == 1


def test_writers_at_once_wait_for_each_other(place: str) -> None:
    """Four writers with shared and own results: all is there, once."""
    Store.open(place).close()
    failed: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            mine = Store.open(place, patience=30)
            for i in range(15):
                shared, own = result("shared", NOON + i), result(f"own_{writer}", NOON + i)
                mine.add(run(f"r{i}", NOON + i), [shared, own] if writer % 2 else [own, shared])
            mine.close()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    store = Store.open(place)
    assert {c: len(r) for c, r in contents(store)[1].items()} == {"shared": 15, **{f"own_{n}": 15 for n in range(4)}}
    store.close()


def test_many_may_open_an_empty_history_at_once(place: str) -> None:
    """Migrations happen once."""
    opened: list[Store | BaseException] = []

    def make() -> None:
        try:
            opened.append(Store.open(place, patience=30))
        except BaseException as error:  # noqa: BLE001 - told to the test
            opened.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in opened:
        if isinstance(store, Store):
            store.close()
    assert [type(o) for o in opened] == [Store] * 4
    store = Store.open(place)
    assert store.engine.all("SELECT version FROM dialtone_schema") == [(n + 1,) for n in range(NEWEST)]
    assert store.engine.all("SELECT count(*) FROM dialtone_mark") == [(1,)]
    store.close()


def test_a_newer_schema_is_left_alone(store: Store, place: str) -> None:
    """A program that does not know it says so and changes nothing."""
    store.engine.many("INSERT INTO dialtone_schema VALUES (?, ?)", [(99, 0)])
    with pytest.raises(StoreError, match=f"schema 99, this program knows up to {NEWEST}: update pytest-dialtone"):
        Store.open(place)


def test_a_window_has_no_result_twice(store: Store) -> None:
    """`since` is in, `until` is out: windows side by side share nothing."""
    for i in range(10):
        store.add(run(f"r{i}", NOON + i), [result(at=NOON + i)])
    edges = [NOON, NOON + 4, NOON + 10]
    parts = [store.results("production", "health", a, b) for a, b in itertools.pairwise(edges)]
    assert [len(p) for p in parts] == [4, 6]
    assert len(store.runs("production", NOON, NOON + 4)) == 4
