"""The same run split over processes: the controller gathers, and a worker that dies takes nothing with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

MIXED = """
@check(runbook="site-down", severity="P0")
def test_good(http):
    expect(http.get("/status/200")).status(200)

@check(runbook="x", objective="days")
def test_degraded(objective):
    objective.value(20)

@check(runbook="x", severity="P1")
def test_breach():
    fail("bad")

@check(runbook="x")
def test_undecided():
    undecided("early")

@check(runbook="x", needs=["credentials.key"])
def test_unarmed(): ...

@check(runbook="x")
def test_broken():
    {}[1]
"""
CRASH = """
@check(runbook="worse", severity="P0", effect="reads", proof="signed")
@pytest.mark.parametrize("case", ["a::b"])
def test_crash(case):
    os._exit(3)
"""


@pytest.fixture
def spread(suite: Suite) -> Suite:
    """The suite, to be run with two workers."""
    pytest.importorskip("xdist")
    run = suite.run
    suite.run = lambda *args, **options: run(  # type: ignore[method-assign]
        "-pxdist.plugin", "-n2", *args, apart=True, **options
    )
    return suite


def test_verdicts_are_the_same_as_in_one_process(spread: Suite) -> None:
    """Verdicts, words, counts and exit code."""
    spread.checks(MIXED)
    result = spread.run()
    assert result.ret == 1
    assert spread.verdicts == {
        "good": "ok",
        "degraded": "degraded",
        "breach": "breach",
        "undecided": "undecided",
        "unarmed": "unarmed",
        "broken": "broken",
    }
    result.stdout.fnmatch_lines(
        ["6 checks: 1 breach, 1 broken, 1 undecided, 1 degraded, 1 ok, 1 unarmed; see build/verdicts.json"]
    )
    assert result.stdout.lines[-1].count("1 ") == 6
    assert spread.server.asked == ["/status/200"]


def test_a_worker_that_dies_breaks_its_check_only(spread: Suite) -> None:
    """The others are judged by the worker that takes its place; what the check declared is known all the same."""
    pytest.importorskip("allure_pytest")
    spread.checks(MIXED.replace('fail("bad")', 'ok("fine")') + CRASH)
    result = spread.run("-pallure_pytest.plugin", "--alluredir=allure")
    assert result.ret == 10
    assert spread.verdicts["crash[a::b]"] == "broken"
    assert len(spread.verdicts) == 7
    crash = spread.check("crash[a::b]")
    assert crash["reason"] == "the worker process died in test_it.py::test_crash[a::b]"
    assert (crash["severity"], crash["runbook"], crash["proof"]) == ("P0", "worse", "signed")
    found = [json.loads(f.read_text()) for f in spread.pytester.path.glob("allure/*-result.json")]
    (told,) = [r for r in found if r["name"] == "test_crash[a::b]"]
    labels = {label["name"]: label["value"] for label in told["labels"]}
    assert told["status"] == "broken"
    assert told["fullName"] == "test_it#test_crash"
    assert (labels["verdict"], labels["kind"], labels["severity"]) == ("unknown", "broken", "blocker")
    assert told["links"][0]["url"] == "https://runbook.example.com#worse"
    assert len(found) == 7


def test_a_crash_in_another_test_is_no_broken_check(spread: Suite) -> None:
    """pytest's own code stands: something else failed."""
    spread.checks(MIXED.replace('fail("bad")', 'ok("fine")'))
    spread.pytester.path.joinpath("test_other.py").write_text("import os\ndef test_other():\n    os._exit(3)\n")
    result = spread.run()
    assert result.ret == 1
    assert len(spread.verdicts) == 6


def test_a_crash_before_anything_was_told_is_broken_as_well(spread: Suite) -> None:
    """A fixture that kills its worker: the file holds checks, so a check it was."""
    spread.checks(
        "@pytest.fixture\ndef deadly():\n    os._exit(3)\n\n@check(runbook='x')\ndef test_a(deadly): ...\n"
        "@check(runbook='x')\ndef test_b():\n    ok('fine')\n"
    )
    assert spread.run().ret == 10
    assert spread.verdicts == {"a": "broken", "b": "ok"}


def test_a_wrong_profile_ends_the_run_before_any_worker(spread: Suite) -> None:
    """One message, exit code 4, no request."""
    spread.profile(more="sttle = 5\n")
    spread.checks(MIXED)
    result = spread.run()
    assert result.ret == 4
    text = result.stdout.str() + result.stderr.str()
    assert text.count("ERROR: dialtone.toml: target.preview.sttle: unknown key; did you mean 'settle'?") == 1
    assert "Traceback" not in text
    assert spread.server.asked == []


def test_two_checks_with_one_id_end_the_run(spread: Suite) -> None:
    """Workers collect, so a worker sees it first."""
    source = "@check(runbook='x')\ndef test_a(http):\n    expect(http.get('/status/200')).status(200)\n"
    spread.checks(source)
    spread.checks(source, "test_other.py")
    result = spread.run()
    assert result.ret == 4
    text = result.stdout.str() + result.stderr.str()
    assert text.count("ERROR: two checks have the id a: test_it.py::test_a and test_other.py::test_a") == 1
    assert "Traceback" not in text
    assert spread.server.asked == []


def test_an_offline_prober_is_one_line_here_too(spread: Suite) -> None:
    """Both workers find out by themselves; it is told once."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
    spread.profile(base=nowhere, witness=nowhere)
    spread.checks(
        "@pytest.mark.parametrize('n', range(6))\n@check(runbook='x')\n"
        "def test_many(http, n):\n    expect(http.get('/')).status(200)\n"
    )
    result = spread.run()
    assert result.ret == 11
    assert len([line for line in result.stdout.lines if "no witness answers" in line]) == 1


def test_the_budget_of_a_round_is_planned_alike_in_every_worker(spread: Suite) -> None:
    """Six requests for four checks of three: the two most severe ones run, wherever."""
    spread.profile(more='budget = { requests = 6, window = "1m" }\n')
    spread.checks(
        "".join(
            f"@check(runbook='x', severity='P{n}')\ndef test_p{n}(http):\n"
            "    for _ in range(3):\n        expect(http.get('/status/200')).status(200)\n"
            for n in range(4)
        )
    )
    assert spread.run().ret == 0
    assert spread.verdicts == {"p0": "ok", "p1": "ok", "p2": "unarmed", "p3": "unarmed"}
    assert len(spread.server.asked) == 6
