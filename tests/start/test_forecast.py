"""What a month costs: the cron, billed minutes, reads, money; what is above the allowance is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone import catalog, cli
from dialtone.start import forecast
from dialtone.start.cron import CronError, starts_a_month
from dialtone.start.forecast import PRICES, Flow, flows

PROFILE = """
[target.production]
kind = "production"
base_url = "https://shop.example"
witnesses = ["https://one.example", "https://two.example"]
schedule = {{ every = "{every}" }}
[target.production.allowance]
{allowance}
[target.production.providers.stripe]
base_url = "https://api.stripe.example"
probe = "/v1/balance"
credential = "stripe"
quota = "{quota}/month"
[target.production.credentials]
stripe = "STRIPE_KEY"
"""
CHECKS = """
from dialtone import check

@check(runbook="payments", needs=["providers.stripe"], requests=3)
def test_stripe(ask):
    \"\"\"It answers.\"\"\"
"""
WORKFLOW = """
on:
  schedule:
    - cron: "{cron}"
jobs:
  checks:
    runs-on: ubuntu-latest
    steps: []
"""


def repository(
    folder: Path, *, cron: str = "7,37 * * * *", every: str = "30m", allowance: str = "", quota: int = 9000
) -> None:
    """A suite with one check that reads a provider, and its workflow."""
    (folder / "dialtone.toml").write_text(PROFILE.format(every=every, allowance=allowance, quota=quota))
    (folder / "checks").mkdir(exist_ok=True)
    (folder / "checks/test_it.py").write_text(CHECKS)
    (folder / ".github/workflows").mkdir(parents=True, exist_ok=True)
    (folder / ".github/workflows/checks.yml").write_text(WORKFLOW.format(cron=cron))


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the check declares, collected once."""
    folder = tmp_path_factory.mktemp("collected")
    repository(folder)
    return catalog.collected([str(folder / "checks")], "production", folder / "dialtone.toml")


@pytest.fixture(autouse=True)
def _known(collected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "collected", lambda *_: collected)


def told(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, object]]:
    """Exit code and document."""
    code = cli.main(["forecast", "--config", str(folder / "dialtone.toml"), "--json", *more])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("expression", "starts"),
    [
        ("7,37 * * * *", 2 * 24 * 365 / 12),
        ("*/5 * * * *", 12 * 24 * 365 / 12),
        ("0 6 * * 1", 52 / 12),
        ("41 5 3 1,4,7,10 *", 4 / 12),
        ("0 0 1 * sun", (12 + 52 - 2) / 12),  # 1 February and 1 March 2026 and 1 November are Sundays
        ("0 8-18/2 * * mon-fri", 6 * 261 / 12),
    ],
)
def test_a_cron(expression: str, starts: float) -> None:
    """Starts in a twelfth of a year."""
    assert starts_a_month(expression) == pytest.approx(starts, abs=0.1)


@pytest.mark.parametrize("expression", ["", "* * * *", "60 * * * *", "x * * * *", "5-1 * * * *", "*/0 * * * *"])
def test_no_cron(expression: str) -> None:
    """In words."""
    with pytest.raises(CronError):
        starts_a_month(expression)


@given(st.sets(st.integers(0, 59), min_size=1, max_size=6), st.sets(st.integers(0, 23), min_size=1, max_size=6))
def test_minutes_times_hours(minutes: set[int], hours: set[int]) -> None:
    """Every day of a year."""
    expression = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    assert starts_a_month(expression) == pytest.approx(len(minutes) * len(hours) * 365 / 12)


def test_within_the_allowance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs an hour of a minute each: 1,460 of 2,000 free minutes, no dollar."""
    repository(tmp_path, allowance="minutes = 2000\nmoney = 0.0\nlog_lines = 5000")
    code, found = told(tmp_path, capsys)
    assert (code, found["minutes"], found["money"], found["above"]) == (0, 1460, 0.0, [])
    assert found["reads"] == {"stripe": [1440, 9000]}
    assert found["requests"] == 1440 * 3


def test_what_is_above_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in words, with what is allowed; every five minutes is money."""
    allowance = "minutes = 2000\nmoney = 1.0\nlog_lines = 100"
    repository(tmp_path, cron="*/5 * * * *", every="5m", allowance=allowance, quota=1000)
    code, found = told(tmp_path, capsys)
    assert code == 1
    assert found["money"] == round((8760 - 2000) * PRICES["minute"].dollars, 2)
    assert found["above"] == [
        "minutes of GitHub Actions: 8,760, 2,000 allowed",
        "dollars: 40.56, 1.00 allowed",
        "lines in the target's logs: 25,920, 100 allowed",
        "reads of stripe: 8,640, 1,000 allowed",
    ]


def test_a_second_minute_is_billed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """61 seconds cost what 120 do; a public repository pays none."""
    repository(tmp_path, allowance="minutes = 2000")
    code, found = told(tmp_path, capsys, "--seconds", "checks=61")
    assert (code, found["minutes"]) == (1, 2920)
    repository(tmp_path, allowance="private = false")
    assert told(tmp_path, capsys, "--seconds", "checks=61")[1]["money"] == 0


def test_what_is_not_known_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pushes, a schedule that contradicts the workflow, a workflow of which only its time limit is known."""
    repository(tmp_path, every="15m")
    other = "on: [push, deployment_status]\njobs:\n  a:\n    timeout-minutes: 7\n    steps: []\n"
    (tmp_path / ".github/workflows/mine.yml").write_text(other)
    _, found = told(tmp_path, capsys)
    assert found["unknown"] == [
        "mine: starts with pushes, which nobody can foresee; it is not in the sum",
        "the profile says 2,880 rounds a month (schedule.every), the workflow starts 1,460",
    ]
    made, _ = flows(tmp_path / ".github/workflows", 60, {})
    assert Flow("mine", 60, 7, "its time limit: nothing is known of it") in made


def test_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sum, the price with its source and day, the refusal."""
    repository(tmp_path, allowance="minutes = 10")
    assert cli.main(["forecast", "--config", str(tmp_path / "dialtone.toml")]) == 1
    said = capsys.readouterr().out
    assert "1,460 minutes, 2,000 free: $0.00" in said
    assert "actions-standard-runner-prices.md, read 2026-11-26" in said
    assert said.endswith("above the allowance: minutes of GitHub Actions: 1,460, 10 allowed\n")


@pytest.mark.parametrize("text", ["jobs: [", "on: push", "hello"])
def test_no_workflow(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is none ends it with 4."""
    repository(tmp_path)
    (tmp_path / ".github/workflows/odd.yml").write_text(text)
    assert cli.main(["forecast", "--config", str(tmp_path / "dialtone.toml")]) == 4
    assert "not a workflow" in capsys.readouterr().err
