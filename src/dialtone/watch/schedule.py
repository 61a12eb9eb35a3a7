"""When the resident watch looks at which check: each at its own interval, spread evenly, never in step.

A check's moments are counted from its first one, never from its last look, so that nothing drifts; each is moved by a
few per cent of the interval, by an amount that its id and number decide. A check that is still waiting or being looked
at when its next moment comes has missed that one: a gap, which is not made up for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

JITTER = 0.05
"""By how much of its interval a moment may be late on purpose."""
FIRST = 60.0
"""Seconds over which first looks are spread, or a check's interval where that is shorter."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the watch knows of one armed check. `every` and `limit` are seconds."""

    id: str
    nodeid: str
    severity: str
    every: float
    limit: float


@dataclass(frozen=True, slots=True, order=True)
class Look:
    """One moment of one check, the most severe first. `slot` is the moment without its jitter."""

    severity: str
    due: float
    check: Check = field(compare=False)
    slot: float = field(compare=False)


@dataclass(slots=True)
class _Row:
    check: Check
    base: float
    number: int = 0
    busy: bool = False
    version: int = 0


class Schedule:
    """The moments of all checks, by the clock of whoever asks; `missed` counts gaps."""

    def __init__(self) -> None:
        self.missed = 0
        self._rows: dict[str, _Row] = {}
        self._heap: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def update(self, checks: Iterable[Check], now: float) -> None:
        """From now on these. Those that are known already and keep their interval keep their moments."""
        fresh = {check.id: check for check in checks}
        for gone in set(self._rows) - set(fresh):
            del self._rows[gone]
        for name, check in fresh.items():
            row = self._rows.get(name)
            if row is not None and row.check.every == check.every:
                row.check = check
                continue
            version = row.version + 1 if row else 0
            made = _Row(check, now + _share(name, "first") * min(check.every, FIRST), version=version)
            made.busy = row.busy if row else False
            self._rows[name] = made
            self._push(made)

    def take(self, now: float) -> list[Look]:
        """The looks whose moment has come, each once; `done` has to be told of every one."""
        taken = []
        while self._heap and self._heap[0][0] <= now:
            due, name, version = heapq.heappop(self._heap)
            row = self._rows.get(name)
            if row is None or row.version != version:
                continue
            slot = row.base + row.number * row.check.every
            row.number += 1
            self._push(row)
            if row.busy:
                self.missed += 1
                continue
            row.busy = True
            taken.append(Look(row.check.severity, due, row.check, slot))
        return taken

    def done(self, name: str) -> None:
        """A look at a check is over, however it went."""
        if name in self._rows:
            self._rows[name].busy = False

    @property
    def next(self) -> float | None:
        """When `take` has something again; None where there is no check."""
        return self._heap[0][0] if self._heap else None

    def _push(self, row: _Row) -> None:
        moved = _share(row.check.id, str(row.number)) * JITTER if row.number else 0.0
        due = row.base + (row.number + moved) * row.check.every
        heapq.heappush(self._heap, (due, row.check.id, row.version))


def _share(name: str, word: str) -> float:
    """A number from 0 to 1 that is always the same for the same words."""
    return int.from_bytes(sha256(f"{name}\0{word}".encode()).digest()[:6]) / 2**48
