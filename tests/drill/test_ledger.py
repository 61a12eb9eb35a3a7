"""The ledger's checker, on made-up histories with planted losses and doubles: none is missed, none invented."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drill.histories import DUTIES, NOW, History

from dialtone.drill import Answer, Duty, Entry, Outcome, Promise, Retry, reconcile

FATES = st.sampled_from(["kept", "kept", "lost", "pending", "late", "doubled"])
KINDS = st.sampled_from(["appointment", "call"])
STRAYS = st.lists(st.sampled_from(["rows", "charges", "messages"]), max_size=4)
PROMISES = st.lists(
    st.tuples(KINDS, st.sampled_from(Answer), st.lists(FATES, min_size=3, max_size=3)),
    max_size=25,
)
ROW = (Duty("row", "appointment", "rows"),)


@settings(deadline=None, max_examples=200)
@given(promises=PROMISES, strays=STRAYS, seed=st.randoms())
def test_what_was_planted_is_found_and_nothing_else(
    promises: list[tuple[str, Answer, list[str]]], strays: list[str], seed: random.Random
) -> None:
    """Whatever the order and however often an entry is read."""
    history = History()
    for number, (kind, answer, fates) in enumerate(promises):
        history.promise(kind, f"{kind}-{number}", answer, fates)
    for number, book in enumerate(strays):
        history.stray(book, f"stray-{number}")
    history.read_twice(seed)
    ledger = reconcile(history.promises, history.books, DUTIES, retries=history.retries, now=NOW)
    assert {(line.duty, line.key): line.outcome for line in ledger.lines} == history.planted
    assert len(ledger.lines) == len(history.planted)
    assert ledger.count(Outcome.KEPT) == history.kept
    bad = {Outcome.LOST, Outcome.DOUBLED} & set(history.planted.values())
    assert ledger.balanced is (not bad)


@settings(deadline=None, max_examples=60)
@given(promises=PROMISES)
def test_every_duty_has_one_outcome(promises: list[tuple[str, Answer, list[str]]]) -> None:
    """Kept, lost, pending and doubled add up to what was owed."""
    history = History()
    for number, (kind, answer, fates) in enumerate(promises):
        history.promise(kind, str(number), answer, fates)
    ledger = reconcile(history.promises, history.books, DUTIES, retries=history.retries, now=NOW)
    owed = sum(1 for promise in history.promises for duty in DUTIES if duty.of == promise.kind)
    assert sum(ledger.count(outcome) for outcome in Outcome) == owed


def test_an_answer_that_never_arrived() -> None:
    """Once or not at all is both right; twice is the charge that a customer pays twice."""
    promise = [Promise("appointment", "a", 0.0, Answer.DOUBT)]
    for times, outcome in ((0, Outcome.KEPT), (1, Outcome.KEPT), (2, Outcome.DOUBLED)):
        entries = [Entry("a", str(i)) for i in range(times)]
        assert reconcile(promise, {"rows": entries}, ROW).count(outcome) == 1


def test_asked_again_and_heard_yes() -> None:
    """A customer whose first answer was lost, and who heard yes to the second, was promised one."""
    asked = [Promise("appointment", "a", 0.0, Answer.DOUBT), Promise("appointment", "a", 1.0)]
    assert reconcile(asked, {"rows": []}, ROW).count(Outcome.LOST) == 1
    assert reconcile(asked, {"rows": [Entry("a", "1"), Entry("a", "2")]}, ROW).count(Outcome.DOUBLED) == 1


def test_strays_where_not_all_promises_are_known() -> None:
    """In real traffic seen through a window they are told, and decide nothing."""
    books = {"rows": [Entry("from before", "1")]}
    ledger = reconcile([], books, ROW, closed=False)
    assert ledger.balanced
    assert [stray.key for stray in ledger.strays] == ["from before"]
    assert "1 done without a promise that is known" in str(ledger)
    assert not reconcile([], books, ROW).balanced


def test_a_book_that_nobody_could_read() -> None:
    """What cannot be told is not balanced, and says so."""
    ledger = reconcile([Promise("appointment", "a")], {}, ROW)
    assert not ledger.balanced
    assert str(ledger) == "row: nobody could read rows"


@pytest.mark.parametrize(("promised", "beyond"), [(-20.0, 1), (-5.0, 0), (1.0, 1)])
def test_recovery_point(promised: float, beyond: int) -> None:
    """An objective of ten seconds excuses what was promised in the last ten seconds before the loss, no more."""
    ledger = reconcile([Promise("appointment", "a", 1000.0 + promised)], {"rows": []}, ROW)
    assert len(ledger.lost_beyond(10.0, 1000.0)) == beyond


def test_a_retry_that_nobody_runs_any_more() -> None:
    """It was due long ago: what it would have done is lost."""
    promise, books = [Promise("appointment", "a")], {"rows": []}
    due = reconcile(promise, books, ROW, retries=[Retry("row", "a", NOW - 10)], now=NOW)
    overdue = reconcile(promise, books, ROW, retries=[Retry("row", "a", NOW - 301)], now=NOW)
    other = reconcile(promise, books, ROW, retries=[Retry("charge", "a", NOW)], now=NOW)
    assert [ledger.lines[0].outcome for ledger in (due, overdue, other)] == ["pending", "lost", "lost"]


def test_in_words() -> None:
    """One line a duty, in the order of the duties."""
    promises = [Promise("appointment", key) for key in "abc"]
    books = {"rows": [Entry("a", "1"), Entry("b", "2"), Entry("b", "3")]}
    ledger = reconcile(promises, books, (*ROW, Duty("note", "letter", "rows")))
    assert str(ledger) == "row: 1 kept, 1 lost, 1 doubled\nnote: none promised"
