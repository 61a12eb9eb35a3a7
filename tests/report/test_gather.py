"""The document and the exit code, from reports alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.judging import Meta, Record
from dialtone.redact import secrets
from dialtone.report.gather import Gatherer, crashed, entry, write_json
from dialtone.verdict import Finding, Kind, Severity, Verdict

calm = settings(deadline=None, max_examples=100)
STATES = ["ok", "degraded", "undecided", "refused", "offline", "broken", "breach", "critical", "unarmed"]


def found(state: str, *, severity: str = "P2", experiment: bool = False) -> dict[str, Any]:
    """An entry in one state."""
    record = Record(Meta("x", Severity(severity), experiment=experiment))
    if state == "unarmed":
        record.notes["unarmed"] = "lacks a key"
    elif state in set(Kind):
        record.findings.append(Finding(Verdict.UNKNOWN, "why", Kind(state)))
    else:
        record.findings.append(Finding(Verdict(state), "why"))
    return entry("it", record.meta, record)


def report(nodeid: str, when: str = "call", outcome: str = "passed", **properties: Any) -> pytest.TestReport:
    """A report as it reaches the controller."""
    made = pytest.TestReport(nodeid, (nodeid, 1, nodeid), {}, outcome, None, when, duration=0.25)  # type: ignore[arg-type]
    made.user_properties = list(properties.items())
    return made


def gathered(*states: str | dict[str, Any]) -> Gatherer:
    """A gatherer that got one check in each state."""
    made = Gatherer()
    for number, state in enumerate(states):
        made.add(report(str(number), dialtone=found(state) if isinstance(state, str) else state))
    return made


@pytest.mark.parametrize(
    ("states", "pytests", "code"),
    [
        (["ok"], 0, 0),
        (["degraded"], 0, 0),
        (["ok", "undecided", "unarmed", "refused"], 0, 0),
        (["ok", "breach"], 1, 1),
        (["ok", "critical"], 0, 1),
        (["ok", "broken"], 1, 10),
        (["ok", "broken"], 0, 10),
        (["broken", "breach"], 1, 1),
        (["ok", "offline"], 0, 11),
        (["offline", "broken"], 1, 10),
        (["undecided", "unarmed"], 0, 13),
        (["unarmed"], 0, 13),
        (["ok", "broken"], 2, 2),
        (["ok"], 5, 5),
        (["ok"], 1, 1),
    ],
)
def test_exit_codes(states: list[str], pytests: int, code: int) -> None:
    """Ours replace success, or a failure that only broken checks caused; everything else is pytest's."""
    assert gathered(*states).exit_code(pytests) == code


def test_severity_and_kind_of_check_decide_about_refusals_and_experiments() -> None:
    """A P0 check that was refused, an experiment that is inconclusive."""
    assert gathered("ok", found("refused", severity="P0")).exit_code(0) == 12
    assert gathered("ok", found("undecided", experiment=True)).exit_code(0) == 14


@calm
@given(states=st.lists(st.sampled_from(STATES), min_size=1, max_size=8), pytests=st.sampled_from([0, 1, 2, 3, 4, 5]))
def test_nothing_but_good_news_is_success(states: list[str], pytests: int) -> None:
    """Whatever the mixture: 0 only if pytest says so, something was judged, and nothing is bad, broken or offline."""
    code = gathered(*states).exit_code(pytests)
    bad = {"breach", "critical", "broken", "offline"} & set(states)
    judged = {"ok", "degraded"} & set(states)
    assert (code == 0) == (pytests == 0 and not bad and bool(judged))
    assert code == pytests or pytests in (0, 1)


def test_a_failure_without_a_verdict_is_counted() -> None:
    """Another test, or a file that cannot be collected."""
    made = gathered("ok", "broken")
    made.add(report("other", outcome="failed"))
    assert made.exit_code(1) == 1
    made = gathered("ok", "broken")
    made.add(pytest.CollectReport("file", "failed", None, []))
    assert made.exit_code(1) == 1


@pytest.mark.parametrize(
    ("call", "teardown", "wanted"),
    [("ok", "broken", "broken"), ("breach", "broken", "breach"), ("undecided", "broken", "broken")],
)
def test_a_check_has_its_worst_verdict(call: str, teardown: str, wanted: str) -> None:
    """A clean-up that fails makes a good check broken and leaves a bad one bad."""
    made = Gatherer()
    made.add(report("a", "setup"))
    made.add(report("a", "call", dialtone=found(call)))
    made.add(report("a", "teardown", "failed", dialtone=found(teardown)))
    (one,) = made.all()
    assert (one["kind"] or one["verdict"]) == wanted
    assert one["seconds"] == 0.75


def test_the_worst_stands_first() -> None:
    """By verdict, severity and id."""
    breaches = [found("breach", severity=severity) for severity in ("P1", "P0")]
    made = gathered("ok", "unarmed", breaches[0], "critical", "broken", breaches[1])
    told = [(e["kind"] or e["verdict"], e["severity"]) for e in made.all()]
    assert told == [
        ("critical", "P2"), ("breach", "P0"), ("breach", "P1"), ("broken", "P2"), ("ok", "P2"), (None, "P2")
    ]  # fmt: skip


def test_a_level_gives_its_severity_to_the_entry() -> None:
    """An error rate past the critical level is P1 although its check is P2."""
    record = Record(Meta("x"), [Finding(Verdict.CRITICAL, "why", severity=Severity.P1)])
    assert entry("it", record.meta, record)["severity"] == "P1"


@pytest.mark.parametrize(
    ("value", "told"), [(Decimal("1.5"), 1.5), (3, 3.0), (float("nan"), None), (float("inf"), None), (None, None)]
)
def test_values_are_plain_numbers(value: Any, told: float | None) -> None:
    """A database's Decimal would end a worker of xdist; NaN is not JSON."""
    record = Record(Meta("x"), [Finding(Verdict.OK, "why", value=value)])
    one = entry("it", record.meta, record)
    assert one["value"] == told
    assert type(one["value"]) in (float, type(None))
    json.dumps(one, allow_nan=False)


def test_a_check_without_a_judgement_is_broken() -> None:
    """It could not have failed."""
    record = Record(Meta("x"))
    assert entry("it", record.meta, record)["kind"] == "broken"


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("checks/test_a.py::test_it", "it"),
        ("checks/test_a.py::TestX::test_it[a::b]", "it[a::b]"),
        ("checks/test_a.py::test_it[test_x]", "it[test_x]"),
    ],
)
def test_the_id_of_a_crashed_check(nodeid: str, name: str) -> None:
    """The same id as if it had ended well."""
    told = crashed(nodeid, {"severity": "P0", "runbook": "x"})
    assert (told["id"], told["kind"], told["severity"], told["armed"]) == (name, "broken", "P0", True)
    assert crashed(nodeid, None)["severity"] == "P2"


def test_documents_are_written_whole_and_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft takes the place of the old document at once."""
    monkeypatch.setattr(secrets, "_values", set())
    monkeypatch.setattr(secrets, "_pattern", None)
    secrets.add("hush-hush")
    path = tmp_path / "build" / "verdicts.json"
    write_json(path, {"a": "key hush-hush", "ü": [1]})
    assert json.loads(path.read_text()) == {"a": "key ‹secret›", "ü": [1]}
    assert [p.name for p in path.parent.iterdir()] == ["verdicts.json"]


def test_the_document_of_a_run() -> None:
    """Times in UTC with milliseconds."""
    begin, end = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 6, 500_000, tzinfo=UTC)
    document = gathered("ok").document("live", begin, end, 0)
    assert document | {"checks": []} == {
        "target": "live",
        "started": "2026-01-02T03:04:05.000Z",
        "finished": "2026-01-02T03:04:06.500Z",
        "exit_code": 0,
        "checks": [],
    }
