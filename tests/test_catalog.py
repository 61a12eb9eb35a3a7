"""The table of all checks: what each does on a target, what it reads in a month, and what it needs there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialtone import cli
from dialtone.catalog import document, markdown, rows, standing, text, totals
from dialtone.target.load import describe

PROFILE = """
[target.live]
kind = "production"
base_url = "${LIVE_URL}"
database = "db"
effects = ["reads"]
witnesses = ["https://a.example", "https://b.example"]
schedule = { every = "1h" }
[target.live.providers.stripe]
base_url = "https://api.stripe.com"
credential = "stripe"
quota = "2000/month"
[target.live.providers.upstash]
base_url = "${REDIS_URL?}"
[target.live.credentials]
db = "LIVE_DB"
stripe = "LIVE_STRIPE"
"""


def entry(id_: str, **more: Any) -> dict[str, Any]:
    """What a check declares, as the catalogue has it."""
    told = {"id": id_, "function": id_.partition("[")[0], "severity": "P2", "effect": "reads", "runbook": "payments"}
    return {**told, "needs": [], "reads": {}, "objective": None, "experiment": False, **more}


ENTRIES = [
    entry("one", needs=["database"]),
    entry("asks[stripe]", reads={"stripe": 1}, severity="P0"),
    entry("asks[nobody]", reads={"nobody": 1}, severity="P0"),
    entry("charges", needs=["database", "providers.stripe"], reads={"stripe": 2}, effect="costs"),
    entry("bursts", effect="disrupts"),
    entry("judged", objective="speed", runbook="speed", needs=["routes.home"]),
]


@pytest.fixture
def target(tmp_path: Path) -> Any:
    """The production of that profile, with nothing in the environment."""
    (tmp_path / "dialtone.toml").write_text(PROFILE)
    return describe(tmp_path / "dialtone.toml", "live", {})


def test_what_is_armed_here_and_now(target: Any) -> None:
    """By the environment as it is; those that are not, by their reason."""
    armed, unarmed = standing(ENTRIES, replace(target, credentials={"stripe": "x"}))
    assert armed == ["asks[stripe]", "asks[nobody]"]
    assert unarmed == {
        "LIVE_DB is not set": ["one"],
        "live does not allow costs: effects in its profile": ["charges"],
        "live does not allow disrupts: effects in its profile": ["bursts"],
        "the profile has no routes.home and objectives.speed": ["judged"],
    }


def test_rows(target: Any) -> None:
    """By section and severity; reads are those of what can run, over a month of rounds."""
    found = {row.id: row for row in rows(ENTRIES, target)}
    assert list(found) == ["asks", "bursts", "charges", "one", "judged"]
    assert found["one"].variables == ["LIVE_DB"]
    assert found["asks"].cases == ["stripe", "nobody"]
    assert found["asks"].reads == {"stripe": 720}
    assert found["asks"].runs
    assert found["charges"].refused == "costs in effects"
    assert found["charges"].variables == ["LIVE_DB", "LIVE_STRIPE"]
    assert found["bursts"].refused == "production is never disrupted"
    assert found["judged"].lacks == ["the profile has no routes.home and objectives.speed"]
    assert totals(list(found.values())) == {"stripe": 720}


@pytest.mark.parametrize("width", [80, 60])
def test_the_table_fits(target: Any, width: int) -> None:
    """No line is wider than the terminal, and every check is there with its words."""
    told = text(rows(ENTRIES, target), target, width)
    assert max(map(len, told.splitlines())) <= width
    words = " ".join(told.split())
    assert "P0 reads asks (2 cases) reads a month: stripe 720" in words
    assert "charges does not run; needs costs in effects, LIVE_DB, LIVE_STRIPE" in words
    assert "never runs: production is never disrupted" in words
    assert "stripe: 720 reads in 720 rounds a month, of 2,000 allowed" in words


def test_page_and_data_say_the_same(target: Any) -> None:
    """Markdown holds a line for each; JSON says who can run, and the sums."""
    found = rows(ENTRIES, target)
    page = markdown(found, target)
    assert "| `one` | P2 | reads | none | needs LIVE_DB |" in page
    data = document(found, target)
    assert {row["id"]: row["runs"] for row in data["checks"]}["charges"] is False
    assert data["reads"] == {"stripe": {"reads": 720, "quota": 2000}}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It collects without running, needs nothing of the environment, and says what is wrong with exit code 4."""
    (tmp_path / "dialtone.toml").write_text(PROFILE)
    (tmp_path / "test_it.py").write_text(
        "from dialtone import check\n@check(runbook='x', needs=['database'])\ndef test_it(db): raise SystemExit\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIALTONE_CONFIG", raising=False)
    assert cli.main(["checks", "--target", "live", "--json", "test_it.py"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["variables"]) for row in data["checks"]] == [("it", ["LIVE_DB"])]
    assert cli.main(["checks", "--target", "nobody"]) == 4
    assert "there is no target 'nobody'" in capsys.readouterr().err
    assert cli.main(["checks", "--target", "live", "nowhere"]) == 4
    assert "the checks cannot be collected" in capsys.readouterr().err
