"""Allure results: verdict, severity, runbook, evidence where it is worse than ok, and no word that was not ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("allure_pytest")

if TYPE_CHECKING:
    from tests.conftest import Suite

SOURCE = """
import allure

@check(runbook="site-down", severity="P0")
def test_good(http):
    expect(http.get("/status/200")).status(200)

@check(runbook="x", severity="P1", proof="signed")
def test_breach(http):
    note("asked", "twice")
    expect(http.get("/status/500")).status(200)

@check(runbook="x", severity="P3", objective="days")
def test_degraded(objective):
    objective.value(20)

@check(runbook="x")
def test_undecided():
    undecided("early")

@check(runbook="x", needs=["credentials.key"])
def test_unarmed(): ...

@check(runbook="x")
def test_broken():
    with allure.step("look"):
        {}["jane-roe"]

@pytest.fixture
def spoilt():
    raise ValueError("jane-roe")

@pytest.fixture
def leaving():
    yield
    raise ValueError("jane-roe")

@check(runbook="x")
def test_spoilt(spoilt): ...

@check(runbook="x")
def test_leaving(leaving):
    print("jane-roe")
    ok("fine")
"""


@pytest.fixture
def results(suite: Suite) -> dict[str, dict[str, Any]]:
    """Allure's results of one run, by the name of the check, with their labels as a mapping."""
    suite.checks(SOURCE)
    result = suite.run("-pallure_pytest.plugin", "--alluredir=allure")
    assert result.ret == 1
    found = {}
    folder = suite.pytester.path / "allure"
    for path in folder.glob("*-result.json"):
        one = json.loads(path.read_text())
        names = [label["name"] for label in one["labels"]]
        assert max(names.count(name) for name in ("verdict", "kind", "severity", "effect")) == 1
        one["labels"] = {label["name"]: label["value"] for label in one["labels"]}
        one["evidence"] = [json.loads((folder / a["source"]).read_text()) for a in one.get("attachments", [])]
        found[one["name"].removeprefix("test_")] = one
    assert not [p.name for p in folder.iterdir() if "jane-roe" in p.read_text().replace('["jane-roe"]', "")]
    return found


def test_results(results: dict[str, dict[str, Any]]) -> None:
    """Status, labels, links and attachments of every state, from one run."""
    told = {name: (one["status"], one["labels"]["verdict"], one["labels"].get("kind")) for name, one in results.items()}
    assert told == {
        "good": ("passed", "ok", None),
        "degraded": ("passed", "degraded", None),
        "breach": ("failed", "breach", None),
        "undecided": ("skipped", "unknown", "undecided"),
        "unarmed": ("skipped", "unarmed", None),
        "broken": ("broken", "unknown", "broken"),
        "spoilt": ("broken", "unknown", "broken"),
        "leaving": ("broken", "unknown", "broken"),
    }
    severities = {name: one["labels"]["severity"] for name, one in results.items()}
    assert severities["good"] == "blocker"
    assert severities["breach"] == "critical"
    assert severities["undecided"] == "normal"
    assert severities["degraded"] == "minor"
    assert results["good"]["links"] == [
        {"type": "link", "url": "https://runbook.example.com#site-down", "name": "runbook: site-down"}
    ]
    assert results["good"]["labels"]["effect"] == "reads"
    assert [results[n]["labels"].get("proof") for n in ("good", "breach")] == [None, "signed"]
    assert [bool(results[n]["evidence"]) for n in ("good", "unarmed")] == [False, False]
    (evidence,) = results["breach"]["evidence"]
    assert evidence["check"] == "breach"
    assert evidence["findings"][-1]["verdict"] == "breach"
    assert evidence["notes"]["asked"] == "twice"
    (exchange,) = evidence["exchanges"]
    assert (exchange["request"], exchange["status"]) == ("GET /status/500", 500)
    assert results["degraded"]["evidence"][0]["findings"][0]["value"] == 20
    details = results["breach"]["statusDetails"]
    assert details["message"] == "dialtone.verdict.Bad: GET /status/500: answered 500, not 200"
    assert "Traceback" not in details["trace"]


def test_without_a_directory_nothing_is_written(suite: Suite) -> None:
    """allure-pytest is there and was not asked."""
    suite.checks("@check(runbook='x')\ndef test_a():\n    ok('fine')\n")
    assert suite.run("-pallure_pytest.plugin").ret == 0
    assert not suite.pytester.path.joinpath("allure").exists()


def test_an_experiment_tells_its_time_line() -> None:
    """Times, losses and each step, with the one that does not hold in capitals."""
    from dialtone.report.allure import story

    steps = [
        {"at": 0.3, "step": "steady state", "what": "a booking works", "holds": True},
        {"at": 2.9, "step": "ledger", "what": "1 lost", "holds": False},
    ]
    told = story({"seconds_to_detect": 0.5, "seconds_to_alert": None, "lost": 1, "doubled": 0, "steps": steps})
    assert told.splitlines() == [
        "detect 0.50 s, 1 lost, 0 doubled",
        "    0.30  steady state  a booking works",
        "    2.90  ledger        DOES NOT HOLD: 1 lost",
    ]
