"""A schedule: what customers and providers do, one after the other, and the faults that last meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Actions = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does, and the faults that last while it is done."""

    action: str
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{' and '.join(self.faults)}: {self.action}" if self.faults else self.action


Schedule = tuple[Act, ...]


def less(schedule: Schedule) -> Iterator[Schedule]:
    """The schedules with one act or one fault less."""
    for at, act in enumerate(schedule):
        before, behind = schedule[:at], schedule[at + 1 :]
        yield before + behind
        for name in act.faults:
            yield (*before, Act(act.action, tuple(n for n in act.faults if n != name)), *behind)


def alone(schedule: Schedule) -> list[Schedule]:
    """Each act by itself, without a fault and under one of its own, the shortest first: what most stories come to."""
    single = {(Act(act.action, faults),) for act in schedule for faults in ((), *((name,) for name in act.faults))}
    return sorted(single - {schedule}, key=size)


def size(schedule: Schedule) -> tuple[int, int, str]:
    """How long a story is: acts and faults, then acts; of two of one size always the same is the shorter."""
    return len(schedule) + sum(len(act.faults) for act in schedule), len(schedule), str(schedule)


class StoryFileError(ValueError):
    """A file that is no story, or names what there is not; the message says what."""


def read(path: Path, actions: Collection[str], faults: Collection[str]) -> Schedule:
    """The schedule in a file. Raises StoryFileError."""
    try:
        told = json.loads(path.read_text())
        acts = tuple(Act(str(a["do"]), tuple(str(f["name"]) for f in a["faults"])) for a in told["acts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoryFileError(f"{path} is no story of a search: {error}") from None
    for act in acts:
        for name, known in ((act.action, actions), *((fault, faults) for fault in act.faults)):
            if name not in known:
                raise StoryFileError(f"{path}: there is no {name!r}; there are {', '.join(known)}")
    if not acts:
        raise StoryFileError(f"{path}: no acts")
    return acts
