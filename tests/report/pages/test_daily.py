"""The page of every day and the status page: what they say of a history, and what they do not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report.pages.drills import drill, experiment

from dialtone import cli
from dialtone.history import Result, Run, Store, tidy
from dialtone.history.days import Day, days, gaps, last
from dialtone.incidents.lifecycle import Incident, Sign, State
from dialtone.incidents.records import Records
from dialtone.report.pages.daily import NOT_SEEN, RETIRED, SPAN, gather
from dialtone.report.pages.daily_page import daily_page
from dialtone.report.pages.paint import badge
from dialtone.report.pages.status import status, status_page
from dialtone.report.pages.strip import said, strip, tone
from dialtone.report.public import COMPONENT, INCIDENT, STATUS, says
from dialtone.verdict import Kind, Severity, Verdict

DAY, EVERY = 86_400.0, 3_600.0
NOW = 20_000 * DAY + 43_200.0
CANARY = "canary-7f3a"


def entry(name: str, **more: Any) -> dict[str, Any]:
    """A check of verdicts.json."""
    told = {"id": name, "armed": True, "verdict": "ok", "kind": None, "severity": "P1", "reason": CANARY}
    return {**told, "runbook": "site-down", "experiment": False, **more}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Ten days of hourly rounds with a gap of one day; `web` was bad on one of them, `gone` ended nine days ago."""
    made = Store.open(tmp_path / "h.db", clock=lambda: NOW)
    for hour in range(240):
        at = NOW - 240 * EVERY + hour * EVERY
        if 100 <= hour < 124:
            continue
        bad = Verdict.BREACH if 30 <= hour < 33 else Verdict.OK
        results = [
            Result("web", at + 1, bad, reason=CANARY if bad.is_bad else ""),
            Result("calls", at + 2, Verdict.UNKNOWN, Kind.UNDECIDED, Severity.P0, reason="3 of 9"),
        ]
        results += [Result("gone", at + 3, Verdict.OK)] if hour < 10 else []
        results += [Result("stalled", at + 3, Verdict.OK)] if hour < 230 else []
        made.add(Run(f"r{hour}", "production", at, at, every=EVERY, finished=at + 5, exit_code=0), results)
    yield made
    made.close()


@pytest.mark.parametrize("rolled", [False, True])
def test_days_are_the_same_before_and_after_roll_up(store: Store, rolled: bool) -> None:
    """Whether the roll-up has been made or not; a day in the gap is no day."""
    if rolled:
        tidy(store, NOW)
    found = days(store, "production", NOW - 20 * DAY, NOW)
    first = int((NOW - 240 * EVERY) // DAY)
    assert min(found["web"]) == first
    assert sum(day.bad for day in found["web"].values()) == 3
    assert sum(day.good for day in found["web"].values()) == 240 - 24 - 3
    assert sum(day.observed for day in found["web"].values()) == pytest.approx((240 - 24) * EVERY)
    assert all(day.unknown and not day.observed for day in found["calls"].values())
    newest = last(store, "production")
    assert newest["web"].at == NOW - EVERY + 1
    assert newest["calls"].kind is Kind.UNDECIDED


def test_time_without_a_round_is_told(store: Store) -> None:
    """The longest first; what was before the first round is no gap."""
    found = gaps(store, "production", NOW - 90 * DAY, NOW)
    assert [(round(b - a) // 3600) for a, b in found] == [24]
    assert gaps(store, "production", NOW - 90 * DAY, NOW + 7 * EVERY)[1][1] == NOW + 7 * EVERY


def test_the_page_of_every_day(store: Store) -> None:
    """A check that stopped is not seen, whatever it said last; one that ended a week ago is no longer run."""
    found = gather(store, "production", NOW, verdicts={}, objectives={}, told=(drill(experiment("a")), []))
    state = {c.id: c.state for c in found.checks}
    assert state == {"web": "ok", "calls": "undecided", "stalled": NOT_SEEN, "gone": RETIRED}
    assert [c.id for c in found.checks] == ["stalled", "calls", "web", "gone"]
    page = daily_page(found)
    assert "<h1>1 not seen, 1 undecided, 1 ok</h1>" in page
    assert "1 span without any round in 90 days" in page
    assert "The history begins at" in page
    assert "1 pass" in page
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"', page) == ["data:,"]


def test_a_run_counts_where_there_is_no_history() -> None:
    """Fresh it is what it says; two rounds later nobody knows; unarmed ones stand apart with their reason."""
    told = {
        "target": "production", "started": "2026-11-26T12:00:00.000Z", "finished": "2026-11-26T12:00:09.000Z",
        "checks": [entry("web"), entry("pay", armed=False, verdict=None, reason="no key"), entry("x", experiment=True)],
    }  # fmt: skip
    at = 1_795_694_409.0
    fresh = gather(None, "production", at + 60, verdicts=told, objectives={})
    stale = gather(None, "production", at + 3 * 900, verdicts=told, objectives={})
    assert [c.state for c in fresh.checks] == ["ok"]
    assert [c.state for c in stale.checks] == [NOT_SEEN]
    assert fresh.unarmed == {"no key": ["pay"]}
    assert "There is no history." in daily_page(fresh)
    assert gather(None, "preview", at, verdicts=told, objectives={}).checks == []


def test_incidents_are_told(store: Store) -> None:
    """Open ones on the page; customers hear of them by component alone."""
    records = Records(store.engine)
    sign = Sign("web", NOW - 600, Verdict.BREACH, reason=CANARY)
    records.put(Incident("i1", "production", "web", NOW - 600, Severity.P1, State.OPEN, members={"web": sign}), None)
    records.put(Incident("i2", "production", "web", NOW - 900, Severity.P1, State.SUSPECTED), None)
    records.put(Incident("i3", "production", "team_only", NOW - 900, Severity.P1, State.OPEN), None)
    found = gather(store, "production", NOW, verdicts={}, objectives={})
    assert [i.id for i in found.incidents] == ["i1", "i3"]
    assert "10 min, not over" in daily_page(found)
    told = status(found, {"Website": ["web"]})
    assert [i["components"] for i in told["incidents"]] == [["Website"]]


def test_customers_see_what_the_list_allows(store: Store) -> None:
    """No id, reason, severity, value; what no component claims does not exist for them."""
    found = gather(store, "production", NOW, verdicts={}, objectives={}, figures=False)
    told = status(found, {"Website": ["web"], "Phone <calls>": ["calls"]})
    assert set(told) == set(STATUS)
    assert all(set(part) == set(COMPONENT) for part in told["components"])
    assert all(set(one) == set(INCIDENT) for one in told["incidents"])
    assert [part["state"] for part in told["components"]] == ["up", "unknown"]
    assert told["state"] == "unknown"
    web = told["components"][0]["days"]
    assert (len(web), web.count("down"), web.count("up"), web[0]) == (SPAN, 1, 10, "unknown")
    text = json.dumps(told) + status_page(told)
    assert not any(word in text for word in (CANARY, "stalled", "P0", "undecided", "3 of 9"))
    assert "Phone &lt;calls&gt;" in status_page(told)
    assert "We do not know at the moment" in status_page(told)


@given(st.lists(st.sampled_from(["ok", "degraded", "critical", "undecided", NOT_SEEN]), max_size=9))
def test_unknown_is_never_up(words: list[str]) -> None:
    """A component is up only when nothing in it is bad and most of it is known."""
    bad, good = words.count("critical"), words.count("ok") + words.count("degraded")
    found = says(words)
    if found == "up":
        assert not bad
        assert 2 * good >= len(words) > 0
    assert (found == "down") == (bad > 0 and not good)


def test_a_strip_tells_by_height_and_words() -> None:
    """Neighbours that are alike are one rectangle; a day that nobody observed is none."""
    row = [Day(good=2), Day(good=1), None, Day(bad=1, good=9), Day(degraded=1), Day(unknown=4)]
    assert [tone(day) for day in row] == ["o", "o", "", "x", "d", "u"]
    drawn = strip(row)
    assert re.findall(r'd="([^"]*)"', drawn) == ["M0 6h2v4h-2z", "M3 0h1v10h-1z", "M4 3h1v7h-1z", "M5 9h1"]
    assert said(row) == "6 days: 1 with something bad, 1 degraded, 2 good, 2 not observed"


def test_a_badge_says_the_state() -> None:
    """In a word as well as in colour, and one of nobody knows what is grey."""
    assert "status: down" in badge("down")
    assert "#57606a" in badge("<odd>")
    assert "<odd>" not in badge("<odd>")


def test_the_command(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writes the page, or what customers may see; says what is missing."""
    here = ["report", "--build", str(tmp_path), "--config", str(tmp_path / "dialtone.toml")]
    (tmp_path / "dialtone.toml").write_text(
        '[target.production]\nkind = "production"\nbase_url = "https://shop.example"\ncomponents = { Web = ["w*"] }\n'
    )
    named = ["--store", str(tmp_path / "h.db")]
    (tmp_path / "drill.json").write_text(json.dumps(drill(experiment("a"))))
    assert cli.main([*here, *named]) == 0
    assert cli.main([*here, *named, "--public", "--to", str(tmp_path / "public"), "--title", "Shop"]) == 0
    assert sorted(p.name for p in (tmp_path / "public").iterdir()) == ["badge.svg", "status.html", "status.json"]
    assert json.loads((tmp_path / "public/status.json").read_text())["components"][0]["name"] == "Web"
    written = capsys.readouterr().out.split()
    assert {Path(path).name for path in written} >= {"report.html", "drill.html", "drill.md", "status.html"}
    assert cli.main([*here, "--store", str(tmp_path / "none.db")]) == 4
    (tmp_path / "drill.json").unlink()
    assert cli.main([*here, *named, "--target", "preview"]) == 1
    assert "nothing is known of preview" in capsys.readouterr().err


@pytest.mark.parametrize(("every", "state"), [("", "unknown"), ('every = "1h"', "up"), ("every = 9", None)])
def test_how_long_a_run_without_history_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], every: str, state: str | None
) -> None:
    """For two rounds, which are as far apart as the profile says; one that cannot be read is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIALTONE_HISTORY", raising=False)
    monkeypatch.delenv("DIALTONE_EVERY", raising=False)
    (tmp_path / "dialtone.toml").write_text(
        f'[target.production]\nkind = "production"\n[target.production.schedule]\n{every}\n'
    )
    ended = datetime.fromtimestamp(time.time() - 3600, UTC).isoformat()
    told = {"target": "production", "started": ended, "finished": ended, "checks": [entry("web")]}
    (tmp_path / "build").mkdir()
    (tmp_path / "build/verdicts.json").write_text(json.dumps(told))
    assert cli.main(["report", "--public"]) == (4 if state is None else 0)
    if state:
        assert json.loads((tmp_path / "build/status.json").read_text())["state"] == state
    else:
        assert "schedule.every: a duration needs a number and a unit" in capsys.readouterr().err


@pytest.mark.parametrize("named", [True, False])
def test_a_damaged_history_is_not_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    """Where it usually lies it may be missing, and not be unreadable, whether a workflow names that place or nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIALTONE_HISTORY", raising=False)
    if named:
        monkeypatch.setenv("DIALTONE_HISTORY", "build/history.db")
    told = {"target": "production", "started": "", "finished": "", "checks": [entry("web")]}
    (tmp_path / "build").mkdir()
    (tmp_path / "build/verdicts.json").write_text(json.dumps(told))
    assert cli.main(["report"]) == 0
    (tmp_path / "build/history.db").write_bytes(b"no database" * 99)
    assert cli.main(["report"]) == 4
    assert "history.db" in capsys.readouterr().err
