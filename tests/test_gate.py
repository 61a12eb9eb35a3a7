"""A gate: a preview beside production, on two services of loopback; what is required; what fails."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Server
from tests.hostile import closed_port

from dialtone.comparison import bounds, compare, looks_of, slower
from dialtone.watch import gate

if TYPE_CHECKING:
    from tests.conftest import Suite

MORE = """
gate = {{ required = ["errors", "named[a]"] }}
[target.preview.objectives.errors]
target = 10
alert = 40
critical = 60
unit = "%"
[target.production]
kind = "production"
base_url = "{base}"
witnesses = ["{base}", "{base}/two"]
timeouts = {{ connect = "2s", read = "3s", total = "5s" }}
budget = {{ requests = 101, window = "1m" }}
effects = ["reads", "writes"]
"""
CHECKS = """
@check(runbook="x", objective="errors", samples=True, gate=True)
def test_errors(sampler, objective):
    seen = sampler.outcomes(["/page"], objective.objective)
    objective.rate(seen.errors, seen.count, what="errors")

@check(runbook="x")
def test_not_of_the_gate(http):
    fail("not of the gate")

@pytest.mark.parametrize("case", ["a", "b"])
@check(runbook="x", gate=True)
def test_named(case, http):
    expect(http.get("/status/200")).status(200)
"""


class Flaky(dict[str, tuple[int, dict[str, str], bytes]]):
    """Pages of which one answer in four is a 500."""

    count = 0

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, _: str) -> tuple[int, dict[str, str], bytes]:
        self.count += 1
        return (500 if self.count % 4 == 0 else 200), {}, b""


@pytest.fixture
def production() -> Iterator[Server]:
    """The baseline."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def profile(suite: Suite, base: str) -> None:
    """A preview, and production there."""
    suite.profile(more=MORE.format(base=base))
    suite.checks(CHECKS)


def test_equal_builds_pass(suite: Suite, production: Server) -> None:
    """Both are asked the same, the baseline within its own budget; the figures stand in the verdicts."""
    profile(suite, production.url)
    result = suite.run("--gate", "--baseline=production")
    assert result.ret == 0
    assert suite.verdicts == {"errors": "ok", "named[a]": "ok", "named[b]": "ok"}
    assert production.asked == ["/page"] * 101
    assert suite.server.asked.count("/page") == 100
    compared = suite.check("errors")["baseline"]
    assert (compared["target"], compared["pairs"], compared["errors"]) == ("production", 100, [0, 0])


def test_more_errors_than_production_do_not_pass(suite: Suite, production: Server) -> None:
    """A quarter of its answers is wrong: not past its own alert level, and worse than what is live."""
    profile(suite, production.url)
    suite.server.pages = Flaky()
    result = suite.run("--gate", "--baseline=production", "-k", "errors")
    assert result.ret == 1
    assert suite.verdicts["errors"] == "breach"
    assert "/page: goes wrong more often than production: " in suite.check("errors")["reason"]
    assert suite.run("-k", "errors").ret == 0
    assert suite.verdicts == {"errors": "degraded"}


def test_errors_of_both_accuse_neither(suite: Suite, production: Server) -> None:
    """The same quarter at both: the preview's own objective alone speaks."""
    profile(suite, production.url)
    suite.server.pages, production.pages = Flaky(), Flaky()
    assert suite.run("--gate", "--baseline=production").ret == 0
    assert suite.verdicts["errors"] == "degraded"
    assert suite.run("--gate", "--baseline=production", "--fail-on=degraded").ret == 1


@pytest.mark.parametrize("trouble", ["down", "refuses"])
def test_a_baseline_in_trouble_is_never_the_previews(suite: Suite, production: Server, trouble: str) -> None:
    """Undecided with the reason; what needs no baseline is judged, and the gate is not red."""
    production.pages["/page"] = (429, {}, b"")
    profile(suite, f"http://127.0.0.1:{closed_port()}" if trouble == "down" else production.url)
    result = suite.run("--gate", "--baseline=production")
    assert result.ret == 0
    assert suite.verdicts == {"errors": "undecided", "named[a]": "ok", "named[b]": "ok"}
    assert "/page: not compared with production: " in suite.check("errors")["reason"]


def test_what_is_worse_than_its_baseline_is_red_though_its_objective_is_undecided(
    suite: Suite, production: Server
) -> None:
    """Too few samples for a level, and enough for a comparison."""
    profile(suite, production.url)
    suite.server.pages = Flaky()
    suite.checks(CHECKS.replace('objective.rate(seen.errors, seen.count, what="errors")', "undecided('few')"))
    assert suite.run("--gate", "--baseline=production", "-k", "errors").ret == 1
    assert "more often than production" in suite.check("errors")["reason"]


def test_what_is_required_is_armed(suite: Suite, production: Server) -> None:
    """Its exit code is its own, and the summary says which check and why; without --gate nothing is required."""
    profile(suite, production.url)
    suite.checks(
        CHECKS.replace('@check(runbook="x", gate=True)', '@check(runbook="x", gate=True, needs=["routes.none"])')
    )
    result = suite.run("--gate")
    assert result.ret == 18
    assert suite.document["exit_code"] == 18
    result.stdout.fnmatch_lines(["required, and not armed: named?a? (the profile has no routes.none)"])
    result.stdout.no_fnmatch_line("*required, and not armed: errors*")
    assert suite.run("-k", "named or errors").ret == 0
    assert suite.run("--gate", "-k", "named").ret == 18  # errors did not run at all


def test_a_verdict_milder_than_fail_on_passes(suite: Suite, production: Server) -> None:
    """A breach where only a critical one fails; a check that is broken is none of it."""
    profile(suite, production.url)
    bad = '@check(runbook="x", severity="{}")\ndef test_bad():\n    fail("no")\n'
    suite.checks(bad.format("P1"))
    assert [suite.run(f"--fail-on={level}").ret for level in ("critical", "breach")] == [0, 1]
    suite.checks(bad.format("P0"))
    assert suite.run("--fail-on=critical").ret == 1
    suite.checks(bad.format("P1") + '@check(runbook="x")\ndef test_broken():\n    1 / 0\n')
    assert suite.run("--fail-on=critical").ret == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--baseline=preview"], "--baseline preview: that is the target itself"),
        (["--baseline=sandbox"], "a sandbox is no baseline"),
        (["--baseline=elsewhere"], "there is no target 'elsewhere'"),
        (["--gate", "-k", "not_of"], "none of these checks is declared with @check(gate=True)"),
    ],
)
def test_a_gate_that_cannot_be_is_a_mistake(suite: Suite, production: Server, options: list[str], words: str) -> None:
    """Exit code 4, in words, before any request."""
    profile(suite, production.url)
    suite.profile(more=MORE.format(base=production.url) + '[target.sandbox]\nkind = "sandbox"\nbase_url = "http://x"\n')
    result = suite.run(*options)
    assert result.ret == 4
    assert words in result.stderr.str() + result.stdout.str()
    assert suite.server.asked == production.asked == []


def test_workers_share_the_bound_and_the_requirement(suite: Suite, production: Server) -> None:
    """With xdist it is the same gate."""
    profile(suite, production.url)
    suite.checks(CHECKS.replace('["a", "b"]', '["c"]'))
    result = suite.run("--gate", "--baseline=production", "-pxdist.plugin", "-n1", apart=True)
    assert result.ret == 18
    assert suite.verdicts == {"errors": "ok", "named[c]": "ok"}
    assert production.asked == ["/page"] * 101


def test_the_command_is_a_session_of_pytest() -> None:
    """What it is told is handed on, and it says what it is for."""
    from dialtone.cli import parser

    told = parser().parse_args(["gate", "--baseline", "production", "--fail-on", "critical", "--", "checks", "-n", "2"])
    assert gate.command(told)[1:] == [
        *("-m", "pytest", "--gate", "--target", "preview", "--fail-on", "critical"),
        *("--baseline", "production", "checks", "-n", "2"),
    ]
    assert gate.command(parser().parse_args(["gate"]))[-1] == "checks"


def test_the_command_ends_with_the_code_of_its_session(suite: Suite, production: Server) -> None:
    """As a CI sees it."""
    profile(suite, production.url)
    suite.checks(CHECKS.replace('["a", "b"]', '["c"]'))
    command = [sys.executable, "-m", "dialtone.cli", "gate", "--", "test_it.py", "-pdialtone.plugin", "-q"]
    done = subprocess.run(command, cwd=suite.pytester.path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 18, done.stdout + done.stderr


def test_bounds_are_the_test_turned_round() -> None:
    """What lies at a bound is just not refused; without pairs nothing is known."""
    logs = [0.02 * n - 0.1 for n in range(30)]
    from math import inf, log

    low, high = (log(bound) for bound in bounds(logs, 0.01))
    assert low < 0.19 < high
    assert slower([d - low for d in logs]) == pytest.approx(0.01, abs=0.004)
    assert slower([high - d for d in logs]) == pytest.approx(0.01, abs=0.004)
    assert bounds([], 0.01) == (0.0, inf)
    assert bounds([0.1], 0.01) == (0.0, inf)
    assert looks_of(300) == (75, 150, 300)
    assert looks_of(1) == (1,)
    assert compare([], [], (9, 0), 0.01, tries=40).worse == "errors"
