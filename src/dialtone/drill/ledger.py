"""The ledger: what customers were promised, what providers accepted, what the database holds; reconciled after quiet.

Pure functions over plain records. A promise (an answer that a customer got) carries duties: an appointment owes one
row, one calendar event, one charge, one message. Each duty of each promise is exactly one of

- kept: done as often as was promised,
- lost: not done, and nothing will do it any more,
- pending: not done yet, but a retry is due that will,
- doubled: done more often than was promised.

An answer that never arrived leaves the promise *in doubt*: done once or not at all is both right, twice is not. An
answer that said no promises that nothing happens. What was done without any promise is a *stray*: where all promises
are known it is one too many and counts as doubled; where they are not (real traffic, seen through a window) it is
listed and decides nothing.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple


class Outcome(enum.StrEnum):
    """What became of one duty."""

    KEPT = "kept"
    LOST = "lost"
    PENDING = "pending"
    DOUBLED = "doubled"


class Answer(enum.StrEnum):
    """What the customer was told."""

    YES = "yes"
    NO = "no"
    DOUBT = "in doubt"


_LEAST = {Answer.YES: 1, Answer.NO: 0, Answer.DOUBT: 0}
_MOST = {Answer.YES: 1, Answer.NO: 0, Answer.DOUBT: 1}


class Promise(NamedTuple):
    """What a customer was told. `key` is what its effects can be told by; `at` is when, in seconds since the epoch."""

    kind: str
    key: str
    at: float = 0.0
    answer: Answer = Answer.YES


class Entry(NamedTuple):
    """Something that happened, in a book: `id` is the book's own, so that one entry read twice is one."""

    key: str
    id: str
    at: float = 0.0


class Retry(NamedTuple):
    """Something that is still going to be done: the duty, for which key, and when the next try is due (s)."""

    duty: str
    key: str
    due: float


@dataclass(frozen=True, slots=True)
class Duty:
    """What one kind of promise owes: one entry in a book (`charges`, `rows`, `messages`)."""

    name: str
    of: str
    book: str


class Line(NamedTuple):
    """A duty that was not simply kept."""

    outcome: Outcome
    duty: str
    key: str
    times: int
    promised_at: float | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The outcome: how many duties of each kind, and a line for each that was not kept."""

    counts: Mapping[str, Mapping[Outcome, int]]
    lines: Sequence[Line] = ()
    strays: Sequence[Line] = ()
    unknown: Sequence[str] = field(default=())
    coming: frozenset[tuple[str, str]] = frozenset()
    """Duty and key of each retry that is still to come, also of what is kept: it may do it a second time."""

    @property
    def due(self) -> int:
        """How many retries are still to come."""
        return len(self.coming)

    def of(self, outcome: Outcome, *, duty: str | None = None) -> list[Line]:
        """The lines with this outcome."""
        return [line for line in self.lines if line.outcome is outcome and duty in (None, line.duty)]

    def count(self, outcome: Outcome) -> int:
        """How many duties had this outcome, over all kinds."""
        return sum(counts.get(outcome, 0) for counts in self.counts.values())

    def lost_beyond(self, rpo: float, loss_at: float) -> list[Line]:
        """What was lost although it was promised more than `rpo` seconds before the loss, or after it.

        A recovery point objective excuses the last promises before a disaster, and nothing else.
        """
        return [
            line
            for line in self.of(Outcome.LOST)
            if line.promised_at is None or not loss_at - rpo <= line.promised_at <= loss_at
        ]

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing doubled, nothing that could not be told."""
        return not (self.count(Outcome.LOST) or self.count(Outcome.DOUBLED) or self.unknown)

    def __str__(self) -> str:
        """One line a duty: `charge: 12 kept, 1 lost, 1 doubled`."""
        told = []
        for duty, counts in self.counts.items():
            parts = [f"{counts[outcome]:,} {outcome}" for outcome in Outcome if counts.get(outcome)]
            told.append(f"{duty}: {', '.join(parts) or 'none promised'}")
        told += [f"{self.due:,} retries still due"] if self.due else []
        told += [f"{len(self.strays)} done without a promise that is known"] if self.strays else []
        return "\n".join([*told, *self.unknown])


def reconcile(
    promises: Iterable[Promise],
    books: Mapping[str, Iterable[Entry]],
    duties: Sequence[Duty],
    *,
    retries: Iterable[Retry] = (),
    now: float = 0.0,
    overdue: float = 300.0,
    closed: bool = True,
) -> Ledger:
    """Hold the promises against the books.

    `retries` that were due more than `overdue` seconds before `now` are not believed: nobody runs them any more. With
    `closed` all promises are known, so that a stray is one too many; without, strays are listed apart. A promise
    that is made twice with one key is one, with the firmer answer. A book that a duty names and
    nobody brought makes the ledger unknown, in words.
    """
    owed = _owed(promises)
    coming = frozenset((retry.duty, retry.key) for retry in retries if retry.due >= now - overdue)
    counts: dict[str, dict[Outcome, int]] = {}
    lines: list[Line] = []
    strays: list[Line] = []
    unknown: list[str] = []
    done_by_book = {name: _times(entries) for name, entries in books.items()}
    for duty in duties:
        if duty.book not in done_by_book:
            unknown.append(f"{duty.name}: nobody could read {duty.book}")
            continue
        done = done_by_book[duty.book]
        counts[duty.name] = _judged(duty, owed.get(duty.of, {}), done, coming, lines)
        stray = _strays(duty, owed, done, duties)
        if closed:
            counts[duty.name][Outcome.DOUBLED] = counts[duty.name].get(Outcome.DOUBLED, 0) + len(stray)
            lines += stray
        else:
            strays += stray
    return Ledger(counts, lines, strays, unknown, coming)


_FIRMNESS = {Answer.DOUBT: 0, Answer.NO: 1, Answer.YES: 2}


def _owed(promises: Iterable[Promise]) -> dict[str, dict[str, Promise]]:
    """Promises by kind and key; of two with one key the firmer: who asked again and heard yes was promised once."""
    owed: dict[str, dict[str, Promise]] = {}
    for promise in promises:
        of_kind = owed.setdefault(promise.kind, {})
        before = of_kind.get(promise.key)
        if before is None or _FIRMNESS[promise.answer] > _FIRMNESS[before.answer]:
            of_kind[promise.key] = promise
    return owed


def _times(entries: Iterable[Entry]) -> Counter[str]:
    """How often each key was done: an id that was read twice is one entry."""
    seen: dict[str, str] = {entry.id: entry.key for entry in entries}
    return Counter(seen.values())


def _judged(
    duty: Duty, owed: Mapping[str, Promise], done: Counter[str], coming: Set[tuple[str, str]], lines: list[Line]
) -> dict[Outcome, int]:
    counts = dict.fromkeys(Outcome, 0)
    name, times_of = duty.name, done.get
    for key, promise in owed.items():
        times = times_of(key, 0)
        answer = promise.answer
        if times > _MOST[answer]:
            outcome = Outcome.DOUBLED
        elif times >= _LEAST[answer]:
            counts[Outcome.KEPT] += 1
            continue
        else:
            outcome = Outcome.PENDING if (name, key) in coming else Outcome.LOST
        counts[outcome] += 1
        lines.append(Line(outcome, name, key, times, promise.at))
    return counts


def _strays(
    duty: Duty, owed: Mapping[str, Mapping[str, Promise]], done: Counter[str], duties: Sequence[Duty]
) -> list[Line]:
    """What stands in the book of a duty, and belongs to no promise of any kind that owes something to that book.

    Told once, by the first duty of the book.
    """
    sharing = [other for other in duties if other.book == duty.book]
    if sharing[0] is not duty:
        return []
    promised = [owed[other.of] for other in sharing if other.of in owed]
    return [
        Line(Outcome.DOUBLED, duty.name, key, times, None)
        for key, times in done.items()
        if not any(key in keys for keys in promised)
    ]
