"""What another objective or rule would have done, over a history whose outages are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.history.conftest import NOON, result, run

from dialtone.cli import parser
from dialtone.history import Store, backtest, backtest_command, latency
from dialtone.objective import Objective
from dialtone.verdict import Levels, Verdict

CHANGED = """
[target.production]
kind = "production"
[target.production.objectives]
speed = { target = 500, alert = 1000, critical = 2000, unit = "ms", quantile = 0.5 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of one round a minute: an outage of an hour, blips of three minutes, and half an hour at 1.5 s."""
    made = tmp_path_factory.mktemp("recorded")
    store = Store.open(made / "h.db", clock=lambda: NOON)
    quick, slow = latency.encode([300_000_000] * 9), latency.encode([1_500_000_000] * 9)
    outage, blips = range(600, 660), {n for start in (100, 300, 900) for n in range(start, start + 3)}
    for n in range(1440):
        planned = NOON - 86_400 + 60 * n
        bad = n in outage or n in blips
        speed = slow if 1000 <= n < 1030 else quick
        measured = result("speed", planned, latency=speed, samples=9, value=300.0, objective="speed")
        store.add(
            run(f"r{n}", planned),
            [
                result("health", planned, Verdict.CRITICAL if bad else Verdict.OK),
                *([measured] if 950 <= n < 1050 else []),
            ],
        )
    store.close()
    (made / "changed.toml").write_text(CHANGED)
    return made


def told(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, float]]:
    """Run the command at noon; its document."""
    options = ["backtest", "--store", str(folder / "h.db"), "--days", "1", "--json", *arguments]
    assert backtest_command.run(parser().parse_args(options), lambda: NOON) == 0
    document: dict[str, dict[str, float]] = json.loads(capsys.readouterr().out)
    return document


def test_a_rule_that_waits_sends_fewer_pages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three in a row page for each blip; the detector pages for the outage alone, ten minutes later."""
    found = told(folder, capsys, "health", "--was", "3", "--rule", "detector")
    assert (found["was"]["pages"], found["was"]["idle"], found["was"]["missed"]) == (4, 3, 0)
    assert found["was"]["minutes"] == pytest.approx(2)
    assert (found["would be"]["pages"], found["would be"]["idle"], found["would be"]["missed"]) == (1, 0, 0)
    assert 3 < found["would be"]["minutes"] < 20
    assert found["was"]["a_week"] == 28


def test_a_rule_that_waits_too_long_misses_the_outage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An outage of sixty rounds has no seventy in a row."""
    found = told(folder, capsys, "health", "--rule", "70")
    assert (found["would be"]["pages"], found["would be"]["missed"], found["would be"]["minutes"]) == (0, 1, None)


def test_a_changed_objective_judges_the_samples_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was ok as recorded is past the new level: the histograms know."""
    found = told(folder, capsys, "speed", "--rule", "3", "--config", str(folder / "changed.toml"))
    assert (found["was"]["pages"], found["would be"]["pages"]) == (0, 1)


def test_results_are_judged_again_by_their_kind() -> None:
    """Rates by their counts, values by themselves, and what has neither as it was."""
    rate = Objective("errors", Levels(1, 5, 10), "%")
    assert backtest.judged(result(samples=100, bad=30), rate) is Verdict.CRITICAL
    assert backtest.judged(result(samples=200, bad=100), Objective("x", Levels(99, 95, 90), "%", "above")).is_bad
    days = Objective("days", Levels(21, 14, 3), "days", "above")
    assert backtest.judged(result(value=5.0), days) is Verdict.BREACH
    assert backtest.judged(result(verdict=Verdict.DEGRADED), None) is Verdict.DEGRADED


def test_what_cannot_be_replayed_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that is none, a check that nobody recorded."""
    for arguments, code, words in (
        (["--rule", "soon"], 4, "a rule is"),
        (["nobody"], 1, "nothing is recorded of nobody"),
    ):
        options = ["backtest", "--store", str(folder / "h.db"), *arguments]
        assert backtest_command.run(parser().parse_args(options), lambda: NOON) == code
        assert words in capsys.readouterr().err


def test_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each rule, and the difference."""
    options = ["backtest", "--store", str(folder / "h.db"), "--days", "1", "health"]
    assert backtest_command.run(parser().parse_args(options), lambda: NOON) == 0
    was, would, difference = capsys.readouterr().out.splitlines()
    assert was == "was       28.0 pages a week, 3 of 4 about nothing; 0 of 1 outages missed, 2.0 min to a page"
    assert would.startswith("would be  7.0 pages a week, 0 of 1 about nothing; 0 of 1 outages missed")
    assert difference.endswith(" minutes later")
