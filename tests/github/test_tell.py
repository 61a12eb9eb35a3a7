"""Where the outcome is told: in place, by the latest run, as text that is only text."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.github import payloads
from tests.github.conftest import TOKEN, Site, environment
from tests.github.payloads import SHA

from dialtone.github import tell, text
from dialtone.github.job import Job
from dialtone.standins.wire import Answer, Request


def job(folder: Path, site: Site, run: int = 41) -> Job:
    """A job."""
    made = Job({**environment(folder, site, "schedule", payloads.schedule(), run), "GITHUB_TOKEN": TOKEN})
    return site.kept.enter_context(closing(made))


def entry(name: str = "health", verdict: str = "critical", **more: Any) -> dict[str, Any]:
    """One check of a verdicts document."""
    told = {"id": name, "verdict": verdict, "kind": None, "severity": "P0", "armed": True, "runbook": "site-down"}
    return {**told, "reason": f"{name} is {verdict}", "at": f"checks/test_{name}.py:7", "experiment": False, **more}


def document(*entries: dict[str, Any], code: int = 1) -> dict[str, Any]:
    """A verdicts document."""
    return {"target": "production", "started": "s", "finished": "f", "exit_code": code, "checks": list(entries)}


def test_one_comment_by_the_latest_run(tmp_path: Path, site: Site) -> None:
    """Written in place; a run that is overtaken leaves it."""
    assert tell.comment(job(tmp_path, site), 7, "gate", "one") == "comment written"
    assert tell.comment(job(tmp_path, site, 43), 7, "gate", "three") == "comment updated"
    assert "later run" in tell.comment(job(tmp_path, site, 42), 7, "gate", "two")
    assert tell.comment(job(tmp_path, site, 42), 7, "other", "another key") == "comment written"
    assert [c["body"].partition("\n")[2] for c in site.github.held.comments] == ["three", "another key"]


def test_a_mark_that_a_person_copied_is_not_ours(tmp_path: Path, site: Site) -> None:
    """A comment of a user is never written over."""
    theirs = {"id": 1, "issue": 7, "body": text.marked("gate", (99, 1), "hm"), "user": {"type": "User"}}
    site.github.held.comments.append(theirs)
    assert tell.comment(job(tmp_path, site), 7, "gate", "ours") == "comment written"
    assert [c["body"].partition("\n")[2] for c in site.github.held.comments] == ["hm", "ours"]


def test_two_runs_at_once_leave_one_comment(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run's comment comes between our look and our writing."""
    real = site.github.answer

    def raced(request: Request) -> Answer:
        if request.method == "POST" and not site.github.held.comments:
            other = {"id": 5, "issue": 7, "body": text.marked("gate", (40, 1), "theirs"), "user": {"type": "Bot"}}
            site.github.held.comments.append(other)
        return real(request)

    monkeypatch.setattr(site.github, "answer", raced)
    assert tell.comment(job(tmp_path, site), 7, "gate", "ours") == "comment updated"
    assert [c["body"].partition("\n")[2] for c in site.github.held.comments] == ["ours"]


def test_a_check_run_with_many_annotations(tmp_path: Path, site: Site) -> None:
    """Fifty a request, and the conclusion with the last."""
    made = job(tmp_path, site)
    number = tell.begin(made, "dialtone gate", SHA)
    lines = text.at_lines(document(*(entry(f"c{n}") for n in range(120))), full=True)
    tell.complete(made, number, "failure", "t", "s", lines)
    (run,) = site.github.held.check_runs
    assert (run["conclusion"], len(run["annotations"])) == ("failure", 120)
    assert sum("PATCH" in line for line in site.github.asked) == 3


@pytest.mark.parametrize(
    ("code", "status", "blocked", "how"),
    [
        (0, "success", "", "success"),
        (1, "failure", "", "failure"),
        (18, "failure", "", "failure"),
        (19, "failure", "", "timed_out"),
        (13, "failure", "", "failure"),
        (None, "failure", "", "failure"),
        (None, "success", "", "failure"),
        (0, "cancelled", "", "cancelled"),
        (None, "success", "a fork", "action_required"),
    ],
)
def test_success_is_one_thing_alone(code: int | None, status: str, blocked: str, how: str) -> None:
    """A job that did not get to its checks lets nothing pass; neither neutral nor skipped is ever said."""
    assert tell.conclusion(code, status, blocked) == how


def test_an_issue_keeps_what_people_ticked(tmp_path: Path, site: Site) -> None:
    """And is one for each quarter."""
    assert tell.issue(job(tmp_path, site), "drill:2026-Q4", "Drill", "- [ ] a\n- [ ] b") == "issue 1 written"
    site.github.held.issues[0]["body"] = site.github.held.issues[0]["body"].replace("- [ ] b", "- [X] b\r")
    assert (
        tell.issue(job(tmp_path, site, 42), "drill:2026-Q4", "Drill", "- [ ] a\n- [ ] b\n- [ ] c") == "issue 1 updated"
    )
    assert site.github.held.issues[0]["body"].endswith("- [ ] a\n- [x] b\n- [ ] c")
    assert tell.issue(job(tmp_path, site, 43), "drill:2027-Q1", "Drill", "- [ ] a") == "issue 2 written"


def test_what_everybody_sees_is_what_is_allowed() -> None:
    """No reason and no place of a secret's text in a public table or annotation."""
    told = document(entry(reason="canary-value"), entry("slow", "degraded", reason="canary-value"))
    for full, there in ((True, True), (False, False)):
        said = text.table(told, full=full) + str(text.at_lines(told, full=full)) + text.headline(told, 1)
        assert ("canary" in said) == there
        assert "critical" in said


def test_long_outcomes_are_cut(tmp_path: Path, site: Site) -> None:
    """GitHub refuses more than 65,535 characters."""
    told = document(*(entry(f"check_{n}", reason="x" * 3000) for n in range(300)))
    body = text.page("Checks", [text.table(told, full=True)])
    assert len(body) < 65_000
    assert tell.comment(job(tmp_path, site), 7, "gate", body) == "comment written"
    commands = text.commands(text.at_lines(told, full=True))
    assert len(commands) == 10


@given(st.text())
def test_text_is_only_text(reason: str) -> None:
    """Whatever a reason holds: one cell of one line, no markup, no call of a person, no workflow command."""
    plain = text.plain(reason)
    assert "\n" not in plain
    assert "<" not in plain
    assert "::" not in plain
    row = text.table(document(entry(reason=reason)), full=True).splitlines()
    assert len(row) == 3
    (command,) = text.commands(text.at_lines(document(entry(reason=reason)), full=True))
    assert len(command.splitlines()) <= 1 or not {"\n", "\r"} & set(command)


def test_words_of_the_outcome() -> None:
    """Counts, and what an exit code of our own means."""
    told = document(entry(), entry("a", "ok"), entry("b", None, armed=False), code=18)  # type: ignore[arg-type]
    assert text.headline(told, 18).startswith("1 critical, 1 ok, 1 unarmed; exit code 18: a check that the gate")
    assert text.headline(None, 4) == "no verdicts (exit code 4)"
    assert text.worst(told) == "critical"
    assert text.worst(document(entry("x", "unknown", kind="refused"))) == "unknown"
    assert text.worst(None) == "none"
