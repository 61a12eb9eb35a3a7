"""When rounds run, by a clock that only the tests move."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Suite

from dialtone.watch import Round, rounds
from dialtone.watch.supervisor import arguments, exit_code


class Clock:
    """A clock that moves when somebody sleeps or works; it may begin anywhere."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The moment."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        assert seconds > 0
        self.now += seconds


def plan(every: float, total: float, takes: list[float]) -> list[Round]:
    """The rounds when each takes so long, the last of these for ever after."""
    clock, left = Clock(), iter(takes)

    def run(_: Round) -> int:
        clock.now += next(left, takes[-1])
        return 0

    return list(rounds(every, total, run, clock=clock, sleep=clock.sleep))


def test_rounds_begin_at_their_moments() -> None:
    """25 minutes of one a minute are 25 rounds, whatever each takes."""
    done = plan(60, 1500, [14.2, 59.9, 0.0, 60.0])
    assert [of.started for of in done] == [60.0 * n for n in range(25)]
    assert not any(of.missed for of in done)


def test_a_long_round_makes_gaps_and_no_pile() -> None:
    """150 seconds cover the moments of two more rounds: those are missed, and the next one is in time."""
    done = plan(60, 300, [150.0, 10.0])
    assert [(of.number, of.missed, of.started) for of in done] == [
        (0, False, 0.0),
        (1, True, None),
        (2, True, None),
        (3, False, 180.0),
        (4, False, 240.0),
    ]


@settings(deadline=None, max_examples=60)
@given(
    every=st.integers(1, 300),
    total=st.integers(1, 3000),
    takes=st.lists(st.floats(0, 1000), min_size=1, max_size=20),
)
def test_no_drift_and_nothing_lost(every: int, total: int, takes: list[float]) -> None:
    """Each moment of the plan is told once, in order; what runs begins exactly then, and never two at once."""
    done = plan(every, total, takes)
    assert [of.number for of in done] == list(range(math.ceil(total / every)))
    end = 0.0
    for of in done:
        assert of.due == of.number * every
        if of.started is not None:
            assert of.started == pytest.approx(of.due, abs=1e-6)
            assert of.started >= end - 1e-6
            end = of.ended or 0.0
        else:
            assert of.due < end + 1e-6


def test_rounds_without_sense_are_refused() -> None:
    """An interval of nothing would never end."""
    for every, total in ((0, 10), (-1, 10), (10, 0)):
        with pytest.raises(ValueError, match="rounds need"):
            next(rounds(every, total, lambda _: 0, clock=Clock(), sleep=lambda _: None))


def test_sessions_get_all_arguments_but_ours() -> None:
    """In both forms, and nothing that only looks like them."""
    given = ["checks", "--every", "60s", "-k", "x", "--for=25m", "--target", "production", "--every=5s", "--forked"]
    assert arguments(given) == ["checks", "-k", "x", "--target", "production", "--forked"]


def codes(*told: int | None) -> Iterator[Round]:
    """Rounds with these exit codes; None for a missed one."""
    for number, code in enumerate(told):
        yield Round(number, 0.0) if code is None else Round(number, 0.0, 0.0, 1.0, code)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [((0, 0), 0), ((0, 10, 1, 13), 1), ((0, 10, 0), 10), ((0, None, 0), 17), ((None, 1), 1), ((0, -9), 137), ((), 2)],
)
def test_the_exit_code_is_the_worst(told: tuple[int | None, ...], wanted: int) -> None:
    """Bad is worst; missed rounds are no success."""
    assert exit_code(list(codes(*told))) == wanted


def test_two_rounds_of_a_suite(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a session and a run in the history, with when it should have run; the file of rounds tells the same."""
    from dialtone.history import Store

    for name in ("ROUND", "PLANNED", "EVERY", "PLACE"):
        monkeypatch.delenv(f"DIALTONE_{name}", raising=False)
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    suite.checks('@check(runbook="x")\ndef test_it(target):\n    ok("fine")')
    result = suite.run("--every=1s", "--for", "1500ms", apart=True)
    assert result.ret in (0, 17), "a busy machine may miss the second one"
    result.stdout.fnmatch_lines(["round 1, due *exit code 0", "* of 2 rounds run*"])
    told = json.loads((suite.pytester.path / "build/rounds.json").read_text())
    ran = [of for of in told["rounds"] if not of["missed"]]
    store = Store.open(suite.pytester.path / "history.db")
    kept = store.runs("preview")
    assert [run.planned for run in kept] == pytest.approx([of["planned"] for of in ran], abs=0.002)
    assert {run.every for run in kept} == {1.0}
    assert len({run.token for run in kept}) == len(ran)
    store.close()


def test_an_interval_that_is_none_is_refused(suite: Suite) -> None:
    """In words, with pytest's code for a wrong command line."""
    suite.checks('@check(runbook="x")\ndef test_it(target):\n    ok("fine")')
    result = suite.run("--every=soon", apart=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--every and --for: a duration needs a number and a unit*"])
