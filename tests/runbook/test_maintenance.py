"""Maintenance without a deployment: what is kept, compared, reported, and what a failing task does to the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.runbook.conftest import ROOT

from dialtone.runbook.maintenance.item import Task, task, tasks
from dialtone.runbook.maintenance.kept import MOST, Kept
from dialtone.runbook.maintenance.packages import review
from dialtone.runbook.maintenance.report import report, write
from dialtone.runbook.maintenance.run import Done, Round, State
from dialtone.runbook.maintenance.work import Work
from dialtone.target import Target, load
from dialtone.verdict import Verdict

PROFILE = """
[target.here]
kind = "preview"
base_url = "http://127.0.0.1:9"
witnesses = ["http://a.invalid", "http://b.invalid"]
statements = { wipe = "DELETE FROM t" }
repair_database = "url"
credentials = { url = "DATABASE" }
"""
DAY = 86_400.0


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A target whose database nobody serves."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE)
    return load(path, "here", {"DATABASE": "postgresql://someone:pass-0123456789@127.0.0.1:9/x"})


def _task(do: Callable[[Work], None], **options: Any) -> Task:
    declared = task(every="weekly", runbook="x", **options)(do)
    found = declared.__dialtone_item__  # type: ignore[attr-defined]
    assert isinstance(found, Task)
    return found


def good(work: Work) -> None:
    """Look at something."""
    work.note("it is there")


def worrying(work: Work) -> None:
    """Look at something else."""
    work.note("it is there")
    work.attention("it is too large")


def personal(work: Work) -> None:
    """Read something."""
    work.person("read it")


def changing(work: Work) -> None:
    """Change something."""
    work.statement("wipe it", "wipe")


def broken(work: Work) -> None:
    """Do something wrong."""
    raise KeyError("customer Canaria Finch")


def refused(work: Work) -> None:
    """Ask the database."""
    work.rows("wipe")


def unarmed(work: Work) -> None:
    """Never comes to it."""


ALL = [_task(good), _task(worrying), _task(personal), _task(changing), _task(broken), _task(refused)]


def test_each_task_stands_for_itself(target: Target, tmp_path: Path) -> None:
    """One that fails says so, without a word of what it was about; the others are done."""
    done = Round(target, tmp_path).run([*ALL, _task(unarmed, needs=["tools.host"])])
    states = [State.DONE, State.ATTENTION, State.PERSON, State.WAITING, State.FAILED, State.FAILED, State.UNARMED]
    assert [one.state for one in done] == states
    assert done[4].reason.startswith("the task itself failed: KeyError at test_maintenance.py:")
    assert "nobody listens there" in done[5].reason
    assert done[6].reason == "the profile has no tools.host"
    assert [one.is_ticked for one in done] == [True, True, False, False, False, False, False]


def test_the_report(target: Target, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    """Ticks, what was seen, and all that is left to a person at its end; a file for each day."""
    done = [one for one in Round(target, tmp_path).run(ALL) if one.name != "broken"]
    text = report("here", "weekly", done, 1_800_000_000, "docs/runbook.md")
    assert text == snapshot
    path = write(tmp_path, "here/there", "weekly", text, 1_800_000_000)
    assert path == tmp_path / "maintenance" / "2027-01-15-weekly-here-there.md"
    assert path.read_text() == text


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    """The last one, that of a month ago, and all; a line that is damaged is no line."""
    kept = Kept(tmp_path / "kept" / "x.jsonl")
    assert (kept.last(), kept.all()) == (None, [])
    for day in (1, 10, 40):
        kept.add(day * DAY, {"day": day})
    with (tmp_path / "kept" / "x.jsonl").open("a") as file:
        file.write('{"at": 50, "da\n[]\n')
    last, month = kept.last(), kept.last(older=25 * DAY, now=40 * DAY)
    assert (last and last.data, month and month.data) == ({"day": 40}, {"day": 10})
    assert kept.last(older=25 * DAY, now=20 * DAY) is None
    for number in range(MOST):
        kept.add(100 * DAY + number, {"number": number})
    assert len(kept.all()) == MOST
    assert kept.all()[0].data == {"number": 0}


def test_packages_are_compared_with_their_pins(tmp_path: Path) -> None:
    """Names are normalised; the index is asked only when told, and its silence is told."""
    pins = tmp_path / "constraints.txt"
    pins.write_text("# comment\nRuff==1.0\nallure_pytest[x]==2.0\ngone==1\n")

    def have() -> dict[str, str]:
        return {"ruff": "1.1", "allure-pytest": "2.0", "other": "3"}

    found = review(pins, have=have)
    assert (found.pinned, found.differing, found.unpinned) == (3, {"ruff": ("1.0", "1.1")}, ["other"])
    assert found.newer is None
    assert "--online" in found.why
    assert review(pins, online=True, have=have, ask=lambda: {"ruff": ("1.1", "2.0")}).newer == {"ruff": ("1.1", "2.0")}

    def silent() -> dict[str, tuple[str, str]]:
        raise TimeoutError

    assert review(pins, online=True, have=have, ask=silent).why == "the index could not be asked: TimeoutError"
    with pytest.raises(ValueError, match="nothing is pinned"):
        review(tmp_path / "none.txt")


def test_response_times_are_compared_with_last_month(target: Target, tmp_path: Path) -> None:
    """A fifth slower is told; yesterday's measurement is not last month's; another target's is none."""
    compare = tasks(ROOT / "checks")["compare-performance"]

    def run(day: float, value: float, of: str = "here") -> Done:
        checks = [{"id": "p95", "value": value, "unit": "ms"}, {"id": "rate", "value": 99.0, "unit": "%"}]
        (tmp_path / "verdicts.json").write_text(json.dumps({"target": of, "checks": checks}))
        return Round(target, tmp_path, clock=lambda: 1_800_000_000 + day * DAY).run([compare])[0]

    assert run(0, 100).notes == ["p95: 100 ms", "nothing is known of last month: there is nothing to compare with"]
    assert run(1, 300).state is State.DONE
    assert run(30, 140).notes == ["p95: 140 ms, -53 % since last month"]
    assert run(60, 200).attentions == ["p95 takes 200 ms, a month ago 140 ms"]
    other = run(61, 200, of="elsewhere")
    assert (other.state, "run the checks on it first" in other.reason) == (State.FAILED, True)


def test_a_history_of_runs_is_better(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample of a month against every sample of the month before, where runs have a history."""
    pytest.importorskip("hdrh")
    from dialtone.history import Result, Run, Store, latency

    now, place = 1_800_000_000.0, tmp_path / "history.db"
    store = Store.open(place, clock=lambda: now)
    for days, milliseconds in ((40, 100), (50, 100), (3, 300), (10, 300)):
        at = now - days * DAY
        histogram = latency.encode([milliseconds * 1_000_000] * 20)
        result = Result("p95", at, Verdict.OK, samples=20, latency=histogram)
        store.add(Run(f"run-{days}", "here", at, at), [result])
    store.close()
    monkeypatch.setenv("DIALTONE_HISTORY", str(place))
    done = Round(target, tmp_path, clock=lambda: now).run([tasks(ROOT / "checks")["compare-performance"]])[0]
    assert done.notes == ["p95: 300 ms, +200 % since last month"]
    assert done.attentions == ["p95 takes 300 ms, a month ago 100 ms"]
    place.write_text("no history")
    broken = Round(target, tmp_path, clock=lambda: now).run([tasks(ROOT / "checks")["compare-performance"]])[0]
    assert (broken.state, broken.reason.startswith("the history cannot be read")) == (State.FAILED, True)
