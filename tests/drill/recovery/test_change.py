"""The verdict of a change: what is lost, done twice, or still not done when the time is over fails it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dialtone.drill.ledger import Duty, Entry, Ledger, Promise, Retry, reconcile
from dialtone.drill.recovery.change import Change
from dialtone.drill.recovery.rotation import renewed
from dialtone.verdict import Bad, Undecided


def _change(*entries: Entry, retries: tuple[Retry, ...] = (), books: tuple[str, ...] = ("rows",)) -> Change:
    deployment: Any = SimpleNamespace(
        target=SimpleNamespace(profile=SimpleNamespace(journal=None)), broken=False, healthy=lambda: True
    )
    duties = [Duty("row", "booking", "rows")]

    def balance(promises: list[Promise]) -> Ledger:
        return reconcile(promises, dict.fromkeys(books, entries), duties, retries=retries)

    answers = iter([("1", True), ("2", False), ("3", None)])
    change = Change(deployment, lambda: next(answers), balance, within=0.0)
    for _ in range(3):
        change.customer()
    return change


def test_what_was_promised_is_there() -> None:
    """A refusal and a doubt owe nothing; a doubt that was done is fine."""
    change = _change(Entry("1", "a"), Entry("3", "b"))
    change.settled(1.5)
    assert change.steps[-1]["what"].startswith("row: 3 kept")


@pytest.mark.parametrize(
    ("entries", "retries", "words"),
    [
        ((), (), "1 lost, 0 doubled"),
        ((Entry("1", "a"), Entry("1", "b")), (), "0 lost, 1 doubled"),
        ((Entry("1", "a"), Entry("2", "b")), (), "0 lost, 1 doubled"),
        ((), (Retry("row", "1", 0.0),), "1 lost, 0 doubled"),
    ],
    ids=["lost", "doubled", "refused-and-done", "still-pending"],
)
def test_what_is_not_as_promised_fails(entries: tuple[Entry, ...], retries: tuple[Retry, ...], words: str) -> None:
    """With the counts, and the steps hold none of it for good."""
    change = _change(*entries, retries=retries)
    with pytest.raises(Bad, match=words):
        change.settled(1.5)
    assert change.steps[-1]["holds"] is False


def test_what_is_kept_and_may_be_done_again_proves_nothing() -> None:
    """A retry is still due: whether it doubles nobody knows yet."""
    with pytest.raises(Undecided, match="1 retries are still due"):
        _change(Entry("1", "a"), retries=(Retry("row", "1", 0.0),)).settled(1.5)


def test_a_book_that_nobody_could_read_proves_nothing() -> None:
    """Inconclusive, never green."""
    with pytest.raises(Undecided, match="nobody could read rows"):
        _change(books=()).settled(1.0)


def test_a_renewed_secret_has_the_same_form() -> None:
    """Same length, same beginning, another end."""
    old = "sk_test_51" + "a" * 40
    new = renewed(old)
    assert (len(new), new[:-8]) == (len(old), old[:-8])
    assert new != old
