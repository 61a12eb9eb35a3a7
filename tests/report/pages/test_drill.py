"""The report of a drill: what it says, in which order, and that it is one file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.report.pages.drills import drill, experiment, line

from dialtone.report.pages import course, drilled
from dialtone.report.pages.drill_page import drill_page
from dialtone.report.pages.drill_text import drill_text
from dialtone.report.pages.written import drill_report

OLD = [
    line("2026-11-01T00:00:00+00:00", holds="pass", breaks="pass", ever="fail"),
    line("2026-11-10T00:00:00+00:00", target="preview", breaks="fail"),
    line("2026-11-20T00:00:00+00:00", holds="pass"),
]


@pytest.fixture
def told() -> dict[str, Any]:
    """Three experiments: one passes, one fails since this drill, one failed before as well."""
    return drill(experiment("ever", "fail"), experiment("breaks", "fail"), experiment("holds"))


def earlier(told: dict[str, Any]) -> list[dict[str, Any]]:
    """What was before it."""
    return drilled.before(told, [json.dumps(one) for one in [*OLD, {**OLD[0], "started": told["started"]}]])


def test_the_trend_is_of_the_same_target_and_earlier(told: dict[str, Any]) -> None:
    """Neither another target's drill nor the one that is told belongs to it; what cannot be read is left out."""
    assert [one["started"][:10] for one in earlier(told)] == ["2026-11-01", "2026-11-20"]
    half = {"target": "sandbox", "started": "2026-11-02", "experiments": {"a": {}}, "seconds": 1, "verdicts": {}}
    assert drilled.before(told, ["{", "[]", '{"target": "sandbox"}', json.dumps(half)]) == []


def test_newly_failing_comes_first(told: dict[str, Any]) -> None:
    """What passed when it was run last, be it some drills ago, before what failed then as well."""
    assert drilled.newly(told, earlier(told)) == ["breaks"]
    assert [e["id"] for e in drilled.ordered(told, earlier(told))] == ["breaks", "ever", "holds"]
    page, text = drill_page(told, earlier(told)), drill_text(told, earlier(told))
    assert re.findall(r'<details id="(\w+)"( open)?', page) == [("breaks", " open"), ("ever", " open"), ("holds", "")]
    assert "**Newly failing:** `breaks`" in text
    assert "newly failing" not in drill_page(told, []).lower()


def test_a_hole_is_shown_as_a_hole(told: dict[str, Any]) -> None:
    """In words, for each cell that nobody tried, and the host that no fault met; the worst outcome of a cell counts."""
    matrix = told["matrix"]
    assert drilled.columns(matrix) == ["refuse", drilled.OWN]
    assert drilled.cells(matrix)["api.stripe.com", drilled.OWN] == ("fail", 2)
    assert drilled.holes(matrix) == (2, 4, ["smtp"])
    assert drill_page(told, []).count(f"<i>{drilled.HOLE}</i>") == 2
    assert drill_text(told, []).count(f"_{drilled.HOLE}_") == 2


def test_what_cannot_be_is_no_hole(told: dict[str, Any]) -> None:
    """A webhook is not slow by the wire, and no provider is delivered twice: only the wire's cells can be missing."""
    matrix = told["matrix"]
    matrix["hosts"] = [*matrix["hosts"], "stripe webhook"]
    matrix["faults"] = [*matrix["faults"], "late"]
    by_hand = {"host": "stripe webhook", "fault": "late", "outcome": "pass", "experiments": ["holds"]}
    matrix |= {"by_hand": ["stripe webhook"], "cells": [*matrix["cells"], by_hand]}
    matrix["classes"]["stripe webhook"] = 1
    assert drilled.holes(matrix) == (2, 5, ["smtp"])
    empty = drilled.empty(matrix)
    assert {(empty["stripe webhook", "refuse"]), empty["smtp", "late"]} == {drilled.CANNOT}
    assert drill_page(told, []).count(f"<td>{drilled.CANNOT}") == 4


def test_plain_tcp_has_no_statuses(told: dict[str, Any]) -> None:
    """A provider's answer or a page of HTML cannot come from a mail server: only a refusal was not tried there."""
    matrix = told["matrix"]
    html = {"host": "api.stripe.com", "fault": "html", "outcome": "pass", "experiments": ["holds"]}
    matrix |= {"faults": ["html", *matrix["faults"]], "cells": [html, *matrix["cells"]]}
    assert drilled.holes(matrix) == (3, 6, ["smtp"])
    matrix |= {"tcp": ["smtp"], "http": ["html", "stripe.any.limited", "stripe.any.unavailable"]}
    assert drilled.holes(matrix) == (1, 4, ["smtp"])
    assert drilled.empty(matrix) == {
        ("smtp", "html"): drilled.CANNOT,
        ("smtp", "refuse"): drilled.HOLE,
        ("smtp", drilled.OWN): drilled.CANNOT,
    }
    assert drill_page(told, []).count(f"<td>{drilled.CANNOT}") == 2
    assert drill_text(told, []).count(f"_{drilled.HOLE}_") == 1


def test_times_are_held_against_objectives(told: dict[str, Any]) -> None:
    """One that is late says so in a word; one that was not measured is a dash, never 0."""
    slow = experiment("slow", seconds_to_alert=10.5, seconds_to_detect=None)
    page, text = drill_page(drill(slow), []), drill_text(drill(slow), [])
    assert "alert 10.5 s of 10 s, late" in page
    assert "| - | **10.5 s of 10 s** |" in text
    assert ", late" not in drill_page(drill(experiment("quick")), [])


def test_what_a_person_signs() -> None:
    """A line for each experiment that does not pass, for the holes, for what did not run, for what was lost."""
    recovery = {"loss": "a table is dropped", "promised": 9, "lost": 0, "rpo": 0.0, "seconds_to_recover": 2.0}
    told = drill(
        experiment("a", "fail"), experiment("b", "inconclusive"), experiment("c", recovery=recovery),
        unarmed=[{"id": "d", "reason": "no wire"}],
    )  # fmt: skip
    lines = drilled.to_sign(told)
    assert [
        sum(word in one for one in lines) for word in ("a fails", "b proved nothing", "1 experiments", "smtp", "RPO")
    ]
    page, text = drill_page(told, []), drill_text(told, [])
    assert page.count('type="checkbox"') == text.count("- [ ] ") == len(lines)
    assert "a table is dropped" in page
    assert "0 s of 0 s" in text
    assert "no wire" in page
    assert len(drilled.to_sign(drill(experiment("fine")))) < len(lines)


def test_the_course_has_the_fault_the_samples_and_the_alert_where_it_arrived() -> None:
    """The alert stands 0.5 s after the fault's begin, though it was noticed later; nothing is markup that was text."""
    one = experiment("x", "fail")
    drawing = course.drawn(one)
    span = 3.6 * 1.02
    assert f'<rect class="f" x="{round(60 / span, 2)}%"' in drawing
    assert f'<svg x="{round(100 * 1.1 / span, 2)}%"' in drawing
    assert (drawing.count('class="g"'), drawing.count('class="b"')) == (9, 1)
    assert "callers: 1 of 10 bad" in drawing
    assert "&lt;b&gt;appointments" in drill_page(drill(one), [])
    assert course.drawn(experiment("x", steps=[], fault=[])) == ""


def test_many_faults_in_turn_are_many_spans() -> None:
    """Single-fault mode puts dozens; several at once are one."""
    steps = [
        {"at": at, "step": kind, "what": "", "holds": True, "host": host, "fault": "reset"}
        for at, kind, host in [
            (1, "fault", "a"), (2, "fault", "b"), (3, "fault ends", "a"), (4, "fault ends", "b"), (6, "fault", "a"),
            (8, "fault ends", "a"),
        ]
    ]  # fmt: skip
    assert course._fault({"steps": steps, "fault": [1, 8]}, 9.0) == [(1.0, 4.0), (6.0, 8.0)]


def test_pages_stand_beside_the_data(told: dict[str, Any], tmp_path: Path) -> None:
    """One file that names no other; what is no drill is refused."""
    document = tmp_path / "drill.json"
    document.write_text(json.dumps(told))
    (tmp_path / "drills.jsonl").write_text("\n".join(map(json.dumps, OLD)))
    page, text = drill_report(document)
    assert (page.name, text.name) == ("drill.html", "drill.md")
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"', page.read_text()) == ["data:,"]
    assert "<script" not in page.read_text()
    document.write_text("{}")
    with pytest.raises(ValueError, match=r"no drill\.json"):
        drill_report(document)
