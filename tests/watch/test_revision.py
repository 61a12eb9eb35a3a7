"""Which commit is served: waited for, proved before and after; whatever else is served never passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone import cli
from dialtone.target import load
from dialtone.target.gate import Revision
from dialtone.watch.revision import PROOFS, Served, same

if TYPE_CHECKING:
    from tests.conftest import Suite

OLD, NEW = "a" * 40, "b" * 40
GATE = 'gate = { revision = { path = "/version", field = "build.sha" } }\n'


@dataclass
class Clock:
    """Moved by sleep alone."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Now, in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.pauses.append(seconds)
        self.now += seconds


class Versions(dict[str, Any]):
    """Pages of which `/version` says one after the other, the last for ever."""

    def __init__(self, *versions: object) -> None:
        super().__init__()
        self._left: Iterator[object] = iter(versions)
        self._last: object = None
        self.asked = 0

    def __contains__(self, path: object) -> bool:
        return path == "/version"

    def __getitem__(self, _: str) -> Any:
        self.asked += 1
        self._last = next(self._left, self._last)
        if isinstance(self._last, tuple):
            return self._last
        return 200, {"x-revision": str(self._last)}, json.dumps({"build": {"sha": self._last}}).encode()


@pytest.fixture
def served(suite: Suite) -> Any:
    """Asks the suite's server, by a clock of its own."""
    target = load(suite.pytester.path / "dialtone.toml", "preview", {})

    def ask(**more: Any) -> tuple[Served, Clock]:
        clock = Clock()
        told = {"path": "/version", "field": "build.sha", **more}
        return Served(target, Revision(**told), clock=clock, sleep=clock.sleep), clock

    return ask


def test_it_is_waited_for(suite: Suite, served: Any) -> None:
    """The old one first, then both in turn, then the new one all the time."""
    suite.server.pages = Versions(OLD, NEW, NEW, OLD, NEW)
    asked, clock = served()
    said: list[str] = []
    proof = asked.wait(NEW, 600, said.append)
    assert (proof.proved, proof.served) == (True, NEW)
    assert clock.pauses == [1, 2]
    assert proof.asked == 4 + PROOFS
    assert said == [f"waiting for {NEW[:12]}: {OLD}"]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (OLD, OLD),
        ((503, {}, b"{}"), "answers 503 without a revision"),
        ((401, {}, b"{}"), "is it protected"),
        ((302, {"location": "/login"}, b""), "is it protected"),
        ((200, {}, b"<html>"), "no JSON"),
        ((200, {}, b'{"build": "x"}'), "without a revision in the field build.sha"),
        ((200, {}, b'{"build": {"sha": "<script>"}}'), "without a revision"),
        ((200, {}, b'{"build": {"sha": 7}}'), "without a revision"),
    ],
)
def test_what_never_becomes_ready(suite: Suite, served: Any, page: object, words: str) -> None:
    """Bounded in time and in requests, and in words."""
    suite.server.pages = Versions(page)
    asked, clock = served()
    proof = asked.wait(NEW, 600, lambda _: None)
    assert not proof.proved
    assert words in proof.served
    assert clock.now <= 600
    assert proof.asked < 50


def test_a_header_says_it_too(suite: Suite, served: Any) -> None:
    """It counts before a field."""
    suite.server.pages = Versions(NEW)
    assert served(header="x-revision")[0].prove(NEW).proved
    assert not served(header="x-other")[0].prove(NEW).proved


@pytest.mark.parametrize(
    ("told", "wanted", "is_same"),
    [
        (NEW, NEW, True),
        (NEW[:7], NEW, True),
        (NEW, NEW[:7].upper(), True),
        (NEW[:6], NEW, False),
        (OLD, NEW, False),
        ("1.4.0", "1.4.0", True),
        ("1.4", "1.4.0", False),
        ("", "", False),
    ],
)
def test_one_commit_by_two_names(told: str, wanted: str, is_same: bool) -> None:
    """Seven digits of it at least; versions have to be equal."""
    assert same(told, wanted) is is_same


@given(st.text("0123456789abcdef", min_size=7, max_size=40), st.text("0123456789abcdef", min_size=7, max_size=40))
def test_another_commit_is_never_the_same(one: str, other: str) -> None:
    """Whatever is no beginning of it."""
    assert same(one, other) == (one.startswith(other) or other.startswith(one))


CHECKS = '@check(runbook="x", gate=True)\ndef test_good(http):\n    expect(http.get("/status/200")).status(200)\n'


def gate(suite: Suite, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """The command, in the suite's folder."""
    monkeypatch.chdir(suite.pytester.path)
    monkeypatch.setenv("PYTEST_PLUGINS", "dialtone.plugin")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return cli.main(["gate", *more, "--", "test_it.py", "-q", "-pno:cacheprovider"])


def test_the_gate_proves_it(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after; the history hears which one it was."""
    suite.profile(more=GATE)
    suite.checks(CHECKS + '    assert os.environ["DIALTONE_DEPLOYMENT"] == "' + NEW[:9] + '"\n')
    suite.server.pages = Versions(NEW)
    assert gate(suite, monkeypatch, "--revision", NEW[:9]) == 0
    outcome = json.loads((suite.pytester.path / "build/gate.json").read_text())
    assert (outcome["before"]["proved"], outcome["after"]["proved"], outcome["exit_code"]) == (True, True, 0)
    assert suite.server.asked.count("/status/200") == 1


def test_another_one_is_not_looked_at(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """19, and not one check ran."""
    suite.profile(more=GATE)
    suite.checks(CHECKS)
    suite.server.pages = Versions(OLD)
    assert gate(suite, monkeypatch, "--revision", NEW, "--within", "0s") == 19
    assert "/status/200" not in suite.server.asked


@pytest.mark.parametrize("good", [True, False])
def test_one_that_is_replaced_in_the_middle_does_not_pass(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    """19 whatever the checks said: nobody knows which of both they looked at."""
    suite.profile(more=GATE)
    suite.checks(CHECKS if good else CHECKS.replace("/200", "/500"))
    suite.server.pages = Versions(*[NEW] * PROOFS, OLD)
    assert gate(suite, monkeypatch, "--revision", NEW) == 19


def test_a_profile_that_does_not_say_where(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """4, with the lines to write."""
    assert gate(suite, monkeypatch, "--revision", NEW) == 4
    assert "[target.preview.gate.revision]" in capsys.readouterr().err


def test_what_was_asked_counts_against_the_budget(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's own limit counts it as well."""
    suite.profile(more=GATE + 'budget = { requests = 10, window = "15m" }\n')
    suite.checks(CHECKS.replace("gate=True", "gate=True, requests=3"))
    suite.server.pages = Versions(NEW)
    assert gate(suite, monkeypatch, "--revision", NEW) == 13  # two are left, the check needs three
    assert "/status/200" not in suite.server.asked
