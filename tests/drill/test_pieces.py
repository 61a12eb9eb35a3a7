"""The pieces of a drill: load, canaries, books, the document, which experiments are chosen, what stops one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.drill.conftest import Customer

from dialtone.drill import Answer, Entry, Promise, Retry
from dialtone.drill import record as records
from dialtone.drill.books import Books
from dialtone.drill.canary import prove
from dialtone.drill.choice import Known, for_defect, named, smoke
from dialtone.drill.load import MOST, Load
from dialtone.drill.production import RefusedError, every, guard
from dialtone.drill.receiving import CHANNELS, PEOPLE
from dialtone.interceptor.client import Controller
from dialtone.standins.mail import Mail
from dialtone.standins.pagerduty import PagerDuty
from dialtone.standins.resend import Resend
from dialtone.standins.sentry import Sentry
from dialtone.standins.slack import Slack
from dialtone.target.books import Book
from dialtone.verdict import Bad, Finding, Undecided, Verdict


class Told:
    """An answer with a `success`."""

    def __init__(self, success: bool) -> None:
        self.success = success


def test_a_sample_is_good_when_the_customer_was_served() -> None:
    """By the truth of what came back, or its `success`; whatever is raised was no service."""
    down = Bad(Finding(Verdict.CRITICAL, "down"))
    answers: list[Any] = [True, Told(success=True), None, Told(success=False), ZeroDivisionError(), down]

    def call() -> Any:
        answer = answers[len(load.samples)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    load = Load("customers", call)
    for _ in answers:
        load.once()
    assert [s.good for s in load.samples] == [True, True, False, False, False, False]
    assert [s.what for s in load.samples] == ["", "", "refused", "refused", "ZeroDivisionError", "critical"]
    assert load.shown(0)["bad"] == 4


def test_a_long_series_is_thinned_for_the_report() -> None:
    """And says how many there were."""
    load = Load("customers", lambda: True)
    for _ in range(2 * MOST + 1):
        load.once()
    told = load.shown(0)
    assert told["samples"] == 2 * MOST + 1
    assert len(told["points"]) <= MOST


def test_canaries_prove_that_every_host_is_led(controller: Controller, customer: Customer, folder: Path) -> None:
    """One that is never called by design is excused by name; the others are named, and nothing starts."""
    others = set(controller.state()["hosts"]) - {"api.test", "tcp.test"}
    never: dict[str, Callable[[], object] | None] = dict.fromkeys(others)
    waited: list[float] = []
    with pytest.raises(Undecided, match=r"no call to tcp\.test arrived"):
        prove(controller, {"a visit": customer.served, **never}, folder, within=0.2, sleep=waited.append)
    assert waited
    prove(controller, {"a visit": customer.served, **never, "tcp.test": None}, folder)
    prove(controller, {}, folder)  # remembered


def test_without_canaries_nothing_starts(controller: Controller) -> None:
    """And the words say what to write."""
    with pytest.raises(Undecided, match="give the fixture `canaries`"):
        prove(controller, {}, within=0)


def _books(**answers: Any) -> Books:
    books = {
        "row": Book(of="order", sql="rows"),
        "charge": Book(
            of="order",
            provider="pay",
            path="/c?of={{customer}}",
            items="data.lines",
            key="meta.order",
            translate="known",
        ),
        "message": Book(
            of="order",
            accepted={"provider": "sms"},
            key="body.text",
            part=r"\d+",
            id="seq",
            whose={"body.shop": "customer"},
        ),
    }

    def rows(sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        assert params == {"tenants": ["t"]}
        return list(answers.get(sql, []))

    def listed(provider: str, path: str) -> Any:
        assert (provider, path) == ("pay", "/c?of=cus")
        if isinstance(answers.get("charges"), Exception):
            raise answers["charges"]
        return answers.get("charges", {})

    return Books(
        books, rows=rows, listed=listed, accepted=lambda **asked: answers.get(asked["provider"], []), retries="retries"
    )


TENANT = {"id": "t", "customer": "cus", "note": None}


def test_books_are_read_each_in_its_way() -> None:
    """Rows; a provider's list, its lines joined and its keys translated; what a stand-in accepted."""
    books = _books(
        rows=[{"key": "1", "id": "a", "at": 5.0}],
        known=[{"key": "a", "known": "1"}],
        charges={"data": [{"lines": [{"id": "x", "meta": {"order": "a"}}]}, {"lines": []}]},
        sms=[
            {"seq": 1, "accepted": True, "body": {"text": "order 1", "shop": "cus"}},
            {"seq": 2, "accepted": False, "body": {"text": "order 1", "shop": "cus"}},
            {"seq": 4, "accepted": True, "body": {"text": "order 1", "shop": "another"}},
            {"seq": 3, "accepted": True, "body": {"text": "hello", "shop": "cus"}},
        ],
    )
    assert books.read([TENANT]) == {
        "row": [Entry("1", "a", 5.0)], "charge": [Entry("1", "x")], "message": [Entry("1", "1")],
    }  # fmt: skip
    assert books.balance([Promise("order", "1", 0, Answer.YES)], TENANT).balanced


def test_what_will_be_done_is_pending_as_long_as_it_is_due() -> None:
    """By the SQL that tells of it."""
    books = _books(
        rows=[{"key": "1", "id": "a", "at": 5.0}],
        sms=[{"seq": 1, "accepted": True, "body": {"text": "1", "shop": "cus"}}],
        retries=[{"duty": "charge", "key": "1", "due": 1000.0}],
    )
    assert books.due([TENANT]) == [Retry("charge", "1", 1000.0)]
    assert books.balance([Promise("order", "1")], TENANT, now=900).counts["charge"]["pending"] == 1
    assert books.balance([Promise("order", "1")], TENANT, now=2000).counts["charge"]["lost"] == 1


def test_the_targets_clock_may_be_off_by_a_minute() -> None:
    """What it says is due a minute ago, or in a minute, is due: only promises and messages are timed, by our clock."""
    for due in (840.0, 960.0):
        books = _books(
            rows=[{"key": "1", "id": "a", "at": 960.0}],
            sms=[{"seq": 1, "accepted": True, "body": {"text": "1", "shop": "cus"}}],
            retries=[{"duty": "charge", "key": "1", "due": due}],
        )
        assert books.balance([Promise("order", "1", 900.0)], TENANT, now=900).counts["charge"]["pending"] == 1


def test_an_entry_without_a_key_makes_the_ledger_unknown() -> None:
    """It could be the charge that is missed, or one too many."""
    books = _books(charges={"data": [{"lines": [{"id": "x", "meta": {}}]}]})
    assert books.balance([], TENANT).unknown == ["charge: 1 without meta.order"]


def test_a_book_that_cannot_be_read_makes_the_ledger_unknown() -> None:
    """Never empty, which would be a loss."""
    balance = _books(charges=Undecided("no answer")).balance([], TENANT)
    assert balance.unknown == ["charge: nobody could read charge"]


@pytest.mark.parametrize("given", [{}, {"sql": "x", "provider": "y", "path": "/"}, {"provider": "y"}])
def test_a_book_has_one_source(given: dict[str, str]) -> None:
    """None, two, or a provider without a path are refused with the profile."""
    with pytest.raises(ValueError, match="is needed"):
        Book(of="order", **given)


def _entry(name: str, verdict: str | None, **more: Any) -> dict[str, Any]:
    told = {"id": name, "experiment": True, "armed": verdict is not None, "verdict": verdict, "kind": None}
    return {**told, "reason": "why", "severity": "P1", "runbook": "x", "seconds": 1.0, **more}


def _told(cells: list[tuple[str, str]], **more: Any) -> dict[str, Any]:
    shown = [{"host": host, "fault": kind, "matched": 1, "acted": 1} for host, kind in cells]
    return {"dependency": "api", "cells": shown, "hosts": ["a", "b", "c"], "lost": 0, "doubled": 0, **more}


def test_the_document_of_a_drill(folder: Path) -> None:
    """Worst first; what is unknown is inconclusive; a cell is as bad as the worst experiment on it; holes are holes."""
    drill = records.Drill()
    drill.take("t::1", [(records.PROPERTY, json.dumps(_told([("a", "refuse")], seconds_to_alert=1.5)))])
    drill.take("t::2", [(records.PROPERTY, _told([("a", "refuse"), ("b", "hang")], lost=2))])
    entries = {
        "t::1": _entry("first", "ok"),
        "t::2": _entry("second", "breach"),
        "t::3": _entry("third", "unknown", kind="undecided"),
        "t::4": _entry("fourth", None),
        "t::5": _entry("a check", "ok", experiment=False),
    }
    drill.finish(entries, folder / "verdicts.json", "sandbox", 1_000.0)
    told = json.loads((folder / "drill.json").read_text())
    assert [(e["id"], e["verdict"]) for e in told["experiments"]] == [
        *(("second", "fail"), ("third", "inconclusive"), ("first", "pass"))
    ]
    assert told["verdicts"] == {"fail": 1, "inconclusive": 1, "pass": 1}
    assert told["unarmed"] == [{"id": "fourth", "reason": "why"}]
    assert [e["seconds_to_alert"] for e in told["experiments"]] == [None, None, 1.5]
    assert told["experiments"][0]["lost"] == 2
    assert {(c["host"], c["fault"]): c["outcome"] for c in told["matrix"]["cells"]} == {
        ("a", "refuse"): "fail",
        ("b", "hang"): "fail",
    }
    assert told["matrix"]["classes"] == {"a": 1, "b": 1, "c": 0}
    assert told["matrix"]["by_hand"] == []
    (line,) = records.trend(folder)
    assert line["experiments"]["first"]["verdict"] == "pass"
    assert "second" in (folder / "drill.html").read_text()
    assert "second" in (folder / "drill.md").read_text()


def test_what_is_disturbed_by_hand_has_no_host(folder: Path) -> None:
    """No interceptor stands before a webhook: its row is there, and said to be by hand."""
    made = records.matrix([{"id": "x", "verdict": "pass", **_told([("a", "refuse"), ("stripe webhook", "late")])}])
    assert (made["hosts"], made["by_hand"]) == (["a", "b", "c", "stripe webhook"], ["stripe webhook"])


def test_what_cannot_be_on_plain_tcp_is_said() -> None:
    """By the mechanisms themselves: a status needs HTTP, bytes and connections are everywhere."""
    cells = [("a", "refuse"), ("a", "html"), ("a", "freeze"), ("b", "pay.any.down"), ("stripe webhook", "twice")]
    one = {"id": "x", "verdict": "pass", **_told(cells)}
    made = records.matrix([one, {**one, "tcp": ["c"]}])
    assert (made["tcp"], made["http"]) == (["c"], ["html", "pay.any.down"])
    assert records.matrix([one])["http"] == []


def test_the_trend_keeps_the_last_drills(folder: Path) -> None:
    """And overlooks a line that was cut short."""
    (folder / records.TREND).write_text("{nonsense\n")
    document = records.Drill().document({}, target="sandbox", started=0.0, finished=1.0)
    for _ in range(records.KEPT + 5):
        records.keep(folder, document)
    assert len(records.trend(folder)) == records.KEPT


def test_no_experiment_leaves_no_document(folder: Path) -> None:
    """A run of checks is no drill, nor one in which nothing was armed."""
    entries = {"a": _entry("a", None), "b": _entry("b", "ok", experiment=False)}
    records.Drill().finish(entries, folder / "verdicts.json", "sandbox", 0.0)
    assert not list(folder.iterdir())


def _known(name: str, dependency: str, *, smoke: bool = False, catches: tuple[str, ...] = ()) -> Known:
    return Known(name, name.partition("[")[0], f"t::{name}", dependency, smoke, catches, "disrupts", ())


EXPERIMENTS = [
    _known("pays[a]", "stripe", smoke=True, catches=("d1",)),
    _known("pays[b]", "stripe", smoke=True),
    _known("calls", "retell", smoke=True),
    *[_known(f"other{i}", "rest") for i in range(8)],
]


def test_the_short_drill_takes_one_case_of_each() -> None:
    """The first."""
    assert [e.id for e in smoke(EXPERIMENTS)] == ["pays[a]", "calls"]


def test_experiments_are_named_by_id_function_or_dependency() -> None:
    """A word that names nothing is told, with the dependencies that there are."""
    assert [e.id for e in named(EXPERIMENTS, ["stripe", "calls"])] == ["pays[a]", "pays[b]", "calls"]
    with pytest.raises(LookupError, match="called 'strip'; dependencies: rest, retell, stripe"):
        named(EXPERIMENTS, ["strip"])


def test_a_defect_is_held_against_its_own_and_a_quarter_of_the_rest() -> None:
    """All of the dependency of who claims it; the same seed draws the same quarter."""
    held = for_defect("d1", EXPERIMENTS, seed=1)
    assert [e.id for e in held][:2] == ["pays[a]", "pays[b]"]
    assert len(held) == 2 + round(9 / 4)
    assert held == for_defect("d1", EXPERIMENTS, seed=1)
    assert len({tuple(e.id for e in for_defect("d1", EXPERIMENTS, seed=s)) for s in range(8)}) > 1


def test_a_guard_stops_at_its_end_time_and_looks_now_and_then() -> None:
    """What is bad before the first experiment begins nothing."""
    now, looks = [100.0], ["", "", "errors is breach"]
    looked: list[str] = []

    def look() -> str | None:
        looked.append(looks[len(looked)])
        return looked[-1] or None

    check = every(look, 200.0, wall=lambda: now[0], seconds=2.0)
    assert (check(), check(), len(looked)) == (None, None, 2)
    now[0] += 2
    assert check() == "errors is breach"
    now[0] = 200.0
    assert check() == "its end time has come"
    with pytest.raises(RefusedError, match="not begun: down"):
        every(lambda: "down", 200.0)


SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
ALL = {"production": "live", "really": "live", "guard": "errors", "blast_radius": 0.1, "until": SOON}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "say --production live --really live"),
        ({**ALL, "really": "other"}, "say --production live --really live"),
        ({**ALL, "guard": None, "until": None}, "say also --guard, --until"),
        ({**ALL, "blast_radius": 0.9}, "not above 0.5"),
        ({**ALL, "until": "tomorrow"}, "is no time"),
        ({**ALL, "until": "2030-01-01T00:00:00"}, "in which time zone"),
        ({**ALL, "until": "2020-01-01T00:00:00+00:00"}, "is over"),
        ({**ALL, "target": "nowhere"}, "there is no target 'nowhere'"),
        (ALL, "no indicator 'errors'"),
    ],
)
def test_production_takes_more_than_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    """Twice its name, a guard, a radius, an end; each missing word is named, and nothing runs."""
    (tmp_path / "dialtone.toml").write_text(
        '[target.live]\nkind = "production"\nbase_url = "https://app.example.com"\n'
        'witnesses = ["https://a.example", "https://b.example"]\n'
    )
    monkeypatch.setenv("DIALTONE_CONFIG", str(tmp_path / "dialtone.toml"))
    with pytest.raises(RefusedError, match=said):
        guard(argparse.Namespace(**{**dict.fromkeys(ALL), "target": "live", **given}))


def test_channels_are_heard_where_their_stand_ins_write() -> None:
    """By the very names: silence at a name that nobody has would always hold."""
    names = {Mail.name, Slack.name, Sentry.name, PagerDuty.name, Resend.name}
    assert set(CHANNELS.values()) == names
    assert set(PEOPLE) < set(CHANNELS)
