"""`dialtone drill`: what it tells of an experiment and of the whole, and that what it starts ends with it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dialtone.drill import child, command
from dialtone.drill.choice import Known
from dialtone.drill.defects import Matrix, outcome
from dialtone.drill.record import PROGRESS
from dialtone.sandbox.matrix import Defect, Round

LINE = {"id": "pays[gone]", "armed": True, "verdict": "pass", "reason": "fine", "lost": 0, "doubled": 0}
TIMES = {"seconds_to_detect": 0.31, "seconds_to_alert": None, "seconds_to_recover": 2.0}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "  2/40 pass         pays[gone] (detect 0.3 s, recover 2.0 s)"),
        (
            {"verdict": "fail", "lost": 3, "reason": "ledger: 3 lost"},
            "  2/40 fail         pays[gone] (detect 0.3 s, recover 2.0 s, 3 lost)\n" + " " * 21 + "ledger: 3 lost",
        ),
        ({"armed": False, "reason": "no journal"}, "  2/40 not run       pays[gone]: no journal"),
    ],
)
def test_an_experiment_is_told_in_a_line(more: dict[str, Any], told: str) -> None:
    """With its times; with the reason where it did not pass."""
    assert command.shown({**LINE, **TIMES, **more}, 2, 40) == told


def test_the_end_names_what_newly_fails_and_the_holes() -> None:
    """Against the last drill of the same target."""
    document = {
        "target": "sandbox",
        "verdicts": {"fail": 1, "inconclusive": 0, "pass": 1},
        "experiments": [{"id": "a", "verdict": "fail"}, {"id": "b", "verdict": "pass"}],
        "unarmed": [{"id": "c", "reason": "no journal"}, {"id": "d", "reason": "no journal"}],
        "matrix": {"classes": {"pay": 2, "mail": 0}, "cells": [{}, {}], "faults": ["refuse", "hang"]},
    }
    before = [
        {"target": "sandbox", "experiments": {"a": {"verdict": "pass"}, "b": {"verdict": "fail"}}},
        {"target": "preview", "experiments": {"a": {"verdict": "fail"}}},
    ]
    assert command.summary(document, before, 61.2) == [
        "1 fail, 1 pass in 61 s",
        "newly failing: a",
        "no fault met mail",
        "2 cells of 2 hosts x 2 classes of fault",
        "not run: 2, no journal",
    ]


def _telling(*lines: str, then: str = "", marker: Path | None = None) -> list[str]:
    """A session that tells so much; with a marker it waits then, and leaves that when it is asked to end."""
    code = f"for line in {list(lines)!r}: os.write(int(os.environ[{PROGRESS!r}]), line.encode())"
    if marker:
        code = f"try:\n {code}\n time.sleep(60)\nexcept KeyboardInterrupt: open({str(marker)!r}, 'w').close()"
    return [sys.executable, "-c", f"import os, sys, time\n{code}\n{then}"]


def test_each_experiment_is_heard_of_as_it_ends(folder: Path) -> None:
    """Lines may come in pieces; the exit code is the session's; what it prints goes to the log."""
    heard: list[Mapping[str, Any]] = []
    words = _telling('{"id": "a"}\n{"i', 'd": "b"}\n', then="print('hello')\nsys.exit(7)")
    assert child.run(words, folder / "pytest.log", heard.append) == 7
    assert heard == [{"id": "a"}, {"id": "b"}]
    assert (folder / "pytest.log").read_text() == "hello\n"


@pytest.mark.parametrize("ours", [signal.default_int_handler, signal.SIG_IGN], ids=["", "started-by-a-script"])
def test_a_reason_to_stop_stops_it(folder: Path, ours: Any) -> None:
    """It is asked to end, as by Ctrl-C, and is gone before anybody hears; also where we ignore Ctrl-C ourselves."""
    marker, heard = folder / "ended", list[Mapping[str, Any]]()
    before = signal.signal(signal.SIGINT, ours)
    try:
        with pytest.raises(child.Stopped, match="errors is breach"):
            child.run(
                _telling("{}\n", marker=marker), folder / "log", heard.append,
                check=lambda: "errors is breach" if heard else None,
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert marker.exists()


def test_a_reason_in_the_last_line_counts(folder: Path) -> None:
    """A session that ends by itself before anybody could stop it has been stopped all the same."""
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(child.Stopped, match="nobody arrived"):
        child.run(_telling("{}\n"), folder / "log", heard.append, check=lambda: "nobody arrived" if heard else None)


def test_ctrl_c_ends_it_too(folder: Path) -> None:
    """Whatever is raised while it is followed."""
    marker = folder / "ended"

    def interrupt(_: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.run(_telling("{}\n", marker=marker), folder / "log", interrupt)
    assert marker.exists()


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (child.Stopped("errors is breach"), 1)])
def test_a_drill_that_ends_early_leaves_no_older_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException, code: int
) -> None:
    """Nobody takes last quarter's page for today's; what was before stays in the trend."""

    def run(*_: Any, **__: Any) -> int:
        raise end

    monkeypatch.setattr(child, "run", run)
    for name in ("drill.json", "drill.html", "drill.md", "drills.jsonl"):
        (folder / name).write_text("{}")
    (folder / "drill").mkdir()
    (folder / "drill" / "pytest.log").write_text("the last words")
    args = argparse.Namespace(build=folder, target="sandbox", jobs=1, pairs=None, json=False)
    assert command._drilled(args, [PAYS], None) == code
    assert sorted(path.name for path in folder.glob("drill*")) == ["drill", "drills.jsonl"]


def test_workers_only_where_they_save_time(folder: Path) -> None:
    """A single experiment needs no second sandbox."""
    assert "no:xdist" in child.arguments(["a"], "sandbox", folder, 2)
    assert "-n" in child.arguments(["a", "b", "c"], "sandbox", folder, 2)


def _known(name: str, *catches: str) -> Known:
    return Known(name, name.partition("[")[0], f"t::{name}", "pay", False, catches, "disrupts", ())


PAYS, RINGS, RECOVERS = _known("pays[a]", "d1"), _known("rings", "d2"), _known("recovers")
DEFECTS = {name: Defect(name, f"what {name} is", kind="resilience") for name in ("d1", "d2", "d3")}


def test_the_matrix_of_defects_says_what_is_wrong() -> None:
    """Caught by nobody, red without a claim, claimed by nobody, an experiment that nothing fails, a made-up name."""
    experiments = [PAYS, RINGS, RECOVERS, _known("other", "nonsense")]
    rounds = {"d1": Round(red=("pays[a]", "rings"), judged=3), "d2": Round(judged=3), "d3": Round(judged=3)}
    document, complaints = outcome(list(DEFECTS), DEFECTS, experiments, rounds, lambda _: experiments, None)
    assert complaints == [
        "nonsense is claimed, and there is no such resilience defect",
        "d1: rings is red without claiming it",
        "d2: d2 is caught by nobody: what d2 is",
        "d3: is claimed by no experiment",
        "other is failed by no defect",
        "recovers is failed by no defect",
    ]
    assert [entry["caught"] for entry in document["defects"]] == [True, False, False]


def test_of_a_part_only_its_own_can_be_missed() -> None:
    """A sample says nothing of experiments that claim none of it."""
    rounds = {"d1": Round(red=("pays[a]",), judged=3)}
    document, complaints = outcome(["d1"], DEFECTS, [PAYS, RINGS, RECOVERS], rounds, lambda _: [PAYS, RINGS], 1)
    assert complaints == []
    assert json.dumps(document)


def test_rounds_without_a_defect_do_not_depend_on_what_is_chosen(folder: Path) -> None:
    """So that what was clean is kept, whichever defects are run next."""
    experiments = [_known(f"e{number}", f"d{number % 3 + 1}") for number in range(45)]
    arguments = argparse.Namespace(build=folder, target="sandbox", seed=0, complete=False, fresh=False, jobs=1)
    matrix = Matrix(arguments, experiments, DEFECTS, print, lambda: None)  # type: ignore[arg-type, return-value]
    whole = matrix.without(["d1", "d2", "d3"])
    assert [len(part) for part in whole.values()] == [20, 20, 5]
    assert matrix.without(["d1"]).items() <= whole.items()


def test_a_round_is_kept_for_what_it_was_held_against(folder: Path) -> None:
    """One that was held against fewer, of a smaller scope, says nothing of the others."""
    experiments = [_known(f"e{number}", "d1") for number in range(4)]
    arguments = argparse.Namespace(build=folder, target="sandbox", seed=0, complete=False, fresh=False, jobs=1)
    few, all_, again = (
        Matrix(arguments, known, DEFECTS, print, lambda: None)  # type: ignore[arg-type, return-value]
        for known in (experiments[:2], experiments, experiments)
    )
    assert few._key("d1") != all_._key("d1") == again._key("d1")


def test_long_rounds_come_first(folder: Path) -> None:
    """Those that most experiments claim; of equals in the order of the list."""
    experiments = [_known("a", "d2"), _known("b", "d2", "d3"), _known("c", "d2", "d3"), _known("d", "d1")]
    arguments = argparse.Namespace(build=folder, target="sandbox", seed=0, complete=True, fresh=False, jobs=1)
    matrix = Matrix(arguments, experiments, DEFECTS, print, lambda: None)  # type: ignore[arg-type, return-value]
    assert matrix.longest_first(["d1", "d3", "d2"]) == ["d2", "d3", "d1"]
