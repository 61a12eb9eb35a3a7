"""Made-up histories in which it is known what became of every duty, for tests and the bench."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from dialtone.drill import Answer, Duty, Entry, Outcome, Promise, Retry

NOW = 1_800_000_000.0
DUTIES = (
    Duty("row", "appointment", "rows"),
    Duty("charge", "appointment", "charges"),
    Duty("message", "appointment", "messages"),
    Duty("message of a call", "call", "messages"),
)


@dataclass
class History:
    """Promises, books and retries, and what was planted: (duty, key) -> outcome, without what was kept."""

    promises: list[Promise] = field(default_factory=list)
    books: dict[str, list[Entry]] = field(default_factory=lambda: {"rows": [], "charges": [], "messages": []})
    retries: list[Retry] = field(default_factory=list)
    planted: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    kept: int = 0

    def promise(self, kind: str, key: str, answer: Answer, fates: Sequence[str]) -> None:
        """A promise of which each duty meets a fate: kept, lost, pending, late (its retry was never run) or doubled."""
        self.promises.append(Promise(kind, key, NOW - 900, answer))
        for duty, fate in zip((d for d in DUTIES if d.of == kind), fates, strict=False):
            times, outcome = _fate(answer, fate)
            self._enter(duty.book, key, times)
            if fate in ("pending", "late") and times == 0:
                self.retries.append(Retry(duty.name, key, NOW + 60 if fate == "pending" else NOW - 7200))
            if outcome is Outcome.KEPT:
                self.kept += 1
            else:
                self.planted[duty.name, key] = outcome

    def stray(self, book: str, key: str) -> None:
        """Something that nobody was promised."""
        self._enter(book, key, 1)
        first = next(duty.name for duty in DUTIES if duty.book == book)
        self.planted[first, key] = Outcome.DOUBLED

    def read_twice(self, chooser: random.Random) -> None:
        """Books as a paged list gives them: in no order, and some entries twice."""
        for entries in self.books.values():
            entries += chooser.sample(entries, len(entries) // 3)
            chooser.shuffle(entries)
        chooser.shuffle(self.promises)

    def _enter(self, book: str, key: str, times: int) -> None:
        entries = self.books[book]
        entries += [Entry(key, f"{book}-{len(entries) + i}-{key}", NOW - 800) for i in range(times)]


def _fate(answer: Answer, fate: str) -> tuple[int, Outcome]:
    """How often it is done, and what that is."""
    if fate == "doubled":
        return {Answer.YES: 2, Answer.DOUBT: 2, Answer.NO: 1}[answer], Outcome.DOUBLED
    if fate == "kept":
        return {Answer.YES: 1, Answer.DOUBT: 1, Answer.NO: 0}[answer], Outcome.KEPT
    if answer is not Answer.YES:  # not done, as it may be
        return 0, Outcome.KEPT
    return 0, {"lost": Outcome.LOST, "late": Outcome.LOST, "pending": Outcome.PENDING}[fate]
