"""A watch may run for years: rows and objects after many rounds are as many as after some."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
from tests.conftest import PROFILE

from dialtone.history import Store
from dialtone.watch.clerk import Clerk
from dialtone.watch.notify import Log
from dialtone.watch.pool import Slice
from dialtone.watch.resident import Resident
from dialtone.watch.schedule import Check
from dialtone.watch.starting import Settings

NOW, DAY, CHECKS = 1_780_272_000.0, 86_400.0, 5
NOISE = 300
"""Blocks of memory by which two counts of the same thing differ."""


@pytest.fixture
def clerk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clerk:
    """One that keeps results for a day, and has nothing to tell."""
    monkeypatch.chdir(tmp_path)
    more = (
        '[target.preview.history]\nraw = "1d"\n[channels.hook]\nkind = "slack-webhook"\nsecret = "T"\n'
        '[people.ada]\n[on_call]\nprimary = "ada"\n[routes.all]\nchannels = ["hook"]\n'
    )
    (tmp_path / "dialtone.toml").write_text(
        PROFILE.format(base="http://127.0.0.9:1", witness="http://127.0.0.9:1", more=more)
    )
    named = {"T": "http://127.0.0.9:1/hook", "DIALTONE_HISTORY": "history.db"}
    return Clerk(tmp_path / "dialtone.toml", "preview", named, folder=tmp_path, clock=lambda: NOW)


def slices(clerk: Clerk, at: float, count: int) -> None:
    """So many slices within a minute, each of all checks."""
    for number in range(count):
        now = at + number
        looks = [
            {"at": now, "measured": None, "entry": {
                "id": f"c{n}", "severity": "P2", "runbook": "x", "effect": "reads", "proof": None, "experiment": False,
                "verdict": "ok", "kind": None, "value": None, "unit": None, "samples": 1, "seconds": 0.1, "at": None,
                "levels": {"target": None, "alert": None, "critical": None}, "armed": True, "reason": f"{number}",
                "trace": None}}
            for n in range(CHECKS)
        ]  # fmt: skip
        clerk.take({"token": f"t-{now}", "planned": now, "started": now, "finished": now, "every": DAY,
                    "suite": CHECKS, "diagnosis": None, "looks": looks}, now)  # fmt: skip


def rows(path: Path) -> dict[str, int]:
    """Rows of every table of a history."""
    store = Store.open(path)
    names = [str(row[0]) for row in store.engine.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: int(store.engine.all(f"SELECT count(*) FROM {name}")[0][0]) for name in names}  # noqa: S608
    store.close()
    return found


def test_no_table_grows_by_rounds(clerk: Clerk, tmp_path: Path) -> None:
    """From day to day: a row a minute for rounds, minutes, hours and days of each check, and nothing else."""
    counts = []
    for day in range(14):
        slices(clerk, NOW + day * DAY, 12)
        clerk.tick(NOW + day * DAY + DAY / 2)
        if day in (10, 13):
            counts.append(rows(tmp_path / "history.db"))
    clerk.close()
    before, after = counts
    grown = {name: count - before[name] for name, count in after.items() if count != before[name]}
    assert grown == {"dialtone_run": 3, "dialtone_rollup": 3 * 3 * CHECKS}
    assert min(after["dialtone_absorbed"], after["dialtone_result"], after["dialtone_series"]) > 0


def blocks(work: Callable[[int], None], count: int) -> int:
    """Blocks of memory that `count` rounds leave behind, once as many have warmed everything up.

    The whole process is counted, threads of other tests' servers too: of three times at most the least.
    """
    work(0)
    work(count)
    left: list[int] = []
    while len(left) < 3 and (not left or left[-1] >= NOISE):
        gc.collect()
        before = sys.getallocatedblocks()
        work((2 + len(left)) * count)
        gc.collect()
        left.append(sys.getallocatedblocks() - before)
    return min(left)


def test_the_clerk_keeps_no_object_of_a_round(clerk: Clerk) -> None:
    """However many slices it takes in."""

    def work(begun: int) -> None:
        slices(clerk, NOW + begun, 150)
        clerk.tick(NOW + begun + 150)
        clerk.words.clear()  # told each time, by whoever runs it

    assert blocks(work, 150) < NOISE
    clerk.close()


@pytest.fixture
def nowhere() -> TextIO:
    """Lines that nobody reads."""
    return Path(os.devnull).open("w")


def test_the_resident_keeps_no_object_of_a_look(tmp_path: Path, nowhere: TextIO) -> None:
    """Neither of looks nor of verdicts that change nor of slices that the history has taken."""
    resident = Resident(Settings("preview", tmp_path, (), 4, None, tmp_path), Log({}, nowhere), {})
    resident._pool = SimpleNamespace(warm=SimpleNamespace(catalogue={"month": 1000.0}))  # type: ignore[assignment]
    resident._clerk = SimpleNamespace(talk=SimpleNamespace(send=lambda _: resident._waiting.clear()))  # type: ignore[assignment]
    checks = [Check(f"c{n}", f"c{n}", "P2", 60.0, 120.0) for n in range(10)]
    resident._schedule.update(checks, 0.0)

    def work(begun: int) -> None:
        for minute in range(begun, begun + 600):
            slice_ = Slice(minute, 0.0)
            for number, look in enumerate(resident._schedule.take(60.0 * minute)):
                entry: dict[str, Any] = {
                    "verdict": ("ok", "breach")[(minute + number) % 2], "armed": True, "severity": "P2", "kind": None,
                    "reason": f"{minute}",
                }  # fmt: skip
                resident._looked(look, minute + 0.5, entry, minute + 0.7)
                slice_.done.append((look, 0.0, entry, None))
            resident._told(slice_)
            resident._heard({"trouble": None, "undelivered": 0, "steps": minute}, [])
            resident.board.text() if minute % 20 == 0 else None

    assert blocks(work, 600) < NOISE
    assert len(resident.board.late.recent) == resident.board.late.recent.maxlen
    nowhere.close()
