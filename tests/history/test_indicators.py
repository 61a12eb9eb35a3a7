"""Windows, budgets, changes and what people and programs read of them."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.history.conftest import NOON, result, run

from dialtone.cli import parser
from dialtone.history import Store, commands, latency, show
from dialtone.history.changes import change_point
from dialtone.history.indicators import flaps, summary
from dialtone.objective import Objective
from dialtone.verdict import Levels, Verdict

OBJECTIVES = {
    "error_rate": Objective("error rate", Levels(1, 5, 10), "%"),
    "response_time_p95": Objective("response time p95", Levels(500, 1000, 2000), "ms", quantile=0.95),
    "uptime": Objective("uptime", Levels(99.9, 99, 95), "%", "above"),
}


def hours(store: Store, count: int, *, bad_last: int = 0, slow_last: int = 0) -> None:
    """Rounds once a minute for so many hours up to noon; the last minutes fail, or are slow since a deployment."""
    chance = random.Random(1)  # noqa: S311 - values that can be repeated
    total = count * 60
    for n in range(total):
        left = total - n
        planned = NOON - 60 * left
        verdict = Verdict.BREACH if left <= bad_last else Verdict.OK
        values = [round((300 if left > slow_last else 1500) * chance.lognormvariate(0, 0.2) * 1e6) for _ in range(3)]
        deployment = "new" if left <= slow_last else "old"
        errors = 5 if left <= bad_last else 0
        store.add(
            run(f"r{n}", planned, deployment=deployment),
            [
                result("health", planned + 5, verdict),
                result("errors", planned + 6, samples=20, bad=errors, value=5.0 * errors, objective="error_rate"),
                result(
                    "speed",
                    planned + 7,
                    samples=3,
                    bad=sum(v > 1e9 for v in values),
                    value=max(values) / 1e6,
                    latency=latency.encode(values),
                    objective="response_time_p95",
                ),
            ],
        )


def verdicts(store: Store, check: str) -> dict[str, str]:
    """The verdicts of a check's windows at noon."""
    figures = summary(store, "production", check, OBJECTIVES, NOON).figures
    return {name: str(f.finding.kind or f.finding.verdict) for name, f in figures.items()}


def test_windows_are_held_against_the_objective_of_the_check(store: Store) -> None:
    """Every kind of check; a month of which two hours were observed says nothing."""
    hours(store, 2, bad_last=10, slow_last=20)
    assert verdicts(store, "errors") == {"5m": "critical", "1h": "undecided", "24h": "undecided", "30d": "undecided"}
    assert verdicts(store, "speed") == {"5m": "breach", "1h": "breach", "24h": "undecided", "30d": "undecided"}
    assert verdicts(store, "health") == {"5m": "critical", "1h": "critical", "24h": "undecided", "30d": "undecided"}


def test_unobserved_time_is_not_uptime(store: Store) -> None:
    """All that was seen was good, and half of the hour was not seen: undecided, with its coverage."""
    for n in range(30):
        planned = NOON - 3600 + 60 * n
        store.add(run(f"r{n}", planned), [result(at=planned + 5, samples=1)])
    found = summary(store, "production", "health", OBJECTIVES, NOON).figures["1h"]
    assert found.coverage == pytest.approx(0.5)
    assert found.finding.verdict is Verdict.UNKNOWN
    assert found.finding.value == 100
    assert found.finding.reason.startswith("50% of the window observed, 80% needed: uptime: 100% (30 of 30)")


def test_an_error_budget_burns(store: Store) -> None:
    """A quarter of all answers for an hour goes 25 times as fast as one in a hundred may."""
    hours(store, 6, bad_last=60)
    burning = summary(store, "production", "errors", OBJECTIVES, NOON).burn
    assert burning.alert == "fast"
    assert burning.rates["5m"] == pytest.approx(25)
    assert burning.rates["6h"] == pytest.approx(25 / 6)
    assert burning.left == pytest.approx(1 - 25 / 6)


def test_one_failure_of_a_few_is_no_alert(store: Store) -> None:
    """It burns a hundred times too fast, and the bound says that this may be nothing."""
    store.add(run("a", NOON - 60), [result(at=NOON - 50, verdict=Verdict.BREACH, samples=3, bad=1)])
    burning = summary(store, "production", "health", OBJECTIVES, NOON).burn
    assert burning.rates["5m"] == pytest.approx(1000)
    assert burning.alert is None


def test_a_change_of_level_names_its_deployment(store: Store) -> None:
    """Found to within a few rounds, with the medians before and after."""
    hours(store, 3, slow_last=60)
    found = summary(store, "production", "speed", OBJECTIVES, NOON)
    assert found.change is not None
    assert found.changed_at == pytest.approx(NOON - 3600, abs=180)
    assert found.deployment == "new"
    assert found.change.after > 3 * found.change.before


def test_changes_that_are_none_are_rarely_found() -> None:
    """Of a thousand series without a change, two at most; of a hundred with one, all."""
    chance = random.Random(2)  # noqa: S311 - series that can be repeated
    same = [[chance.lognormvariate(0, 0.4) for _ in range(100)] for _ in range(1000)]
    assert sum(change_point(values) is not None for values in same) <= 2
    moved = [[chance.lognormvariate(0.5 * (i >= 60), 0.4) for i in range(100)] for _ in range(100)]
    found = [change_point(values) for values in moved]
    assert sum(c is not None and abs(c.index - 60) <= 10 for c in found) >= 95
    assert change_point([1.0] * 100) is None
    assert change_point([1.0, 2.0]) is None


def test_flapping_is_counted() -> None:
    """Good again after bad; what could not be judged is neither."""
    ok, bad, unknown = Verdict.OK, Verdict.BREACH, Verdict.UNKNOWN
    assert flaps([ok, bad, unknown, ok, bad, bad, ok]) == 2
    assert flaps([unknown, bad]) == 0


def test_a_sparkline() -> None:
    """From the smallest to the largest, gaps blank."""
    assert show.sparkline([0, 1, None, 7, 8]) == "▁▂ ██"
    assert show.sparkline([None, None]) == "  "
    assert show.sparkline([3, 3]) == "▁▁"


PROFILE = """
[target.production]
kind = "production"
base_url = "${NOT_NEEDED}"
[target.production.objectives]
error_rate = { target = 1, alert = 5, critical = 10, unit = "%" }
response_time_p95 = { target = 500, alert = 1000, critical = 2000, unit = "ms", quantile = 0.95 }
"""


def told(folder: Path, *arguments: str) -> int:
    """Run the command at noon."""
    (folder / "dialtone.toml").write_text(PROFILE)
    options = ["history", "--store", str(folder / "h.db"), "--config", str(folder / "dialtone.toml")]
    return commands.run(parser().parse_args([*options, *arguments]), lambda: NOON)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the history of three hours."""
    made = tmp_path_factory.mktemp("shown")
    store = Store.open(made / "h.db", clock=lambda: NOON)
    hours(store, 3, bad_last=10, slow_last=60)
    store.close()
    return made


@pytest.mark.parametrize("check", ["", "errors", "speed"])
def test_what_people_read(
    folder: Path, check: str, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    """The table of all checks, and one check with its reasons."""
    assert told(folder, *filter(None, [check])) == 0
    assert capsys.readouterr().out == snapshot


def test_what_programs_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures as JSON, and as OpenMetrics text by its grammar; the dashboard asks for what there is."""
    assert told(folder, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [c["id"] for c in document["checks"]] == ["errors", "health", "speed"]
    errors = document["checks"][0]
    assert errors["windows"]["5m"]["value"] == pytest.approx(25)
    assert errors["windows"]["5m"]["verdict"] == "critical"
    assert told(folder, "--openmetrics") == 0
    text = capsys.readouterr().out
    *lines, end, nothing = text.split("\n")
    assert (end, nothing) == ("# EOF", "")
    sample = re.compile(r'[a-z_]+\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\} -?[0-9.e+-]+')
    assert [line for line in lines if not line.startswith("# ") and not sample.fullmatch(line)] == []
    assert 'dialtone_value{target="production",check="errors",window="5m",unit="%"} 25' in lines
    names = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert names == set(show.METRICS)
    dashboard = json.loads((Path(__file__).parents[2] / "docs/grafana.json").read_text())
    asked = set(re.findall(r"dialtone_\w+", json.dumps([p["targets"] for p in dashboard["panels"]])))
    assert asked <= names
    assert asked


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check, a target, a history; no new file is made by looking."""
    assert told(folder, "speeed") == 1
    assert "did you mean speed?" in capsys.readouterr().err
    assert told(folder, "--target", "preview") == 1
    assert "the history knows production" in capsys.readouterr().err
    assert told(tmp_path) == 4
    assert "there is no history at" in capsys.readouterr().err
    assert not (tmp_path / "h.db").exists()
