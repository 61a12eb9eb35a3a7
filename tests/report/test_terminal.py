"""What a person reads, at two widths, with everything volatile replaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from dialtone.report.terminal import status

if TYPE_CHECKING:
    from tests.conftest import Suite

EVERYTHING = """
@check(runbook="site-down", severity="P0")
def test_home_page_answers(http):
    expect(http.get("/status/503")).status(200)

@check(runbook="response-time", severity="P1", objective="errors")
@pytest.mark.parametrize("route", ["home", "pricing"])
def test_error_rate(objective, route):
    objective.rate(30, 90, what="requests that failed:")

@pytest.mark.parametrize("n", range(6))
@check(runbook="webhook-acceptance", severity="P1")
def test_webhook_with_quite_a_long_name_is_accepted(n):
    fail("the event was accepted and its effect was not there within 5 s: the row, the outgoing call, the message")

@check(runbook="tls", objective="days")
def test_certificate(objective):
    objective.value(20, what="the certificate is valid for")

@check(runbook="response-time", objective="speed", samples=True)
def test_p95(objective):
    objective.quantile([100.0] * 40, what="p95 of the home page")

@check(runbook="x")
def test_refused(http):
    expect(http.get("/status/429")).status(200)

@pytest.mark.parametrize("n", range(5))
@check(runbook="x", needs=["credentials.key", "pages.home"])
def test_unarmed(n): ...

@check(runbook="x", effect="writes")
def test_writing(): ...

@check(runbook="x")
def test_broken(http):
    http.get("/json").json()["no such key"]

@check(runbook="x")
def test_fine():
    ok("fine")
"""


def shown(result: pytest.RunResult) -> str:
    """The output from the line of progress on, without ports and times."""
    text = "\n".join(result.stdout.lines)
    text = text[text.index("test_it.py ") :]
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"in [\d.]+s\b", "in TIME", text)
    return re.sub(r"=+", "=", text)  # their number depends on the time and the port


@pytest.fixture
def full(suite: Suite) -> Suite:
    """A suite with a check in every state."""
    suite.profile(
        more='[target.preview.objectives.errors]\nalert = 5\ncritical = 10\nunit = "%"\n'
        'severity = { critical = "P0" }\n'
        '[target.preview.objectives.speed]\nalert = 1000\nunit = "ms"\nquantile = 0.95\n'
    )
    suite.checks(EVERYTHING)
    return suite


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary(full: Suite, snapshot: Any, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Worst first, then what is not known and why; no line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    result = full.run()
    assert result.ret == 1
    own = result.stdout.lines[5:-1]  # pytest's own last line grows with the number of categories
    assert max(map(len, own)) <= width
    assert shown(result) == snapshot


def test_the_summary_of_a_good_run(suite: Suite, snapshot: Any) -> None:
    """Short."""
    suite.checks("@check(runbook='x')\ndef test_fine():\n    ok('fine')\n")
    assert shown(suite.run()) == snapshot


def test_the_summary_of_a_run_that_judged_nothing(suite: Suite, snapshot: Any) -> None:
    """Red by its exit code, which is explained."""
    suite.checks("@check(runbook='x', needs=['pages.home'])\ndef test_a(): ...\n")
    assert shown(suite.run()) == snapshot


def test_verbose_lines_carry_the_words(full: Suite, snapshot: Any) -> None:
    """With -v each check stands on its line with its own word."""
    lines = [line for line in full.run("-v").stdout.lines if line.startswith("test_it.py::")]
    assert [re.sub(r" +\[ *\d+%\]", "", line) for line in lines] == snapshot


def test_colours(full: Suite, snapshot: Any) -> None:
    """Red for what somebody has to act on, yellow for what is not good or not known, faint for the rest."""
    assert shown(full.run("--color=yes")) == snapshot


def test_reports_of_other_tests_have_no_word_of_ours() -> None:
    """pytest decides."""
    report = pytest.TestReport("a", ("a", 1, "a"), {}, "passed", None, "call")
    assert status(report) is None
    assert status(pytest.CollectReport("a", "passed", None, [])) is None
