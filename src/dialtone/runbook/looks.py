"""Looks: what the runbook's diagnosis looks at, declared beside the checks as decorated functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dialtone.runbook.items import ItemsError, collect, hang, summary

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at: for which sections of the runbook, what it needs of the profile, and how.

    `facts` marks a look whose rows are facts of the deployment: they are kept with an ok run and compared by the
    next diagnosis.
    """

    name: str
    what: str
    sections: tuple[str, ...]
    needs: tuple[str, ...]
    facts: bool
    function: Callable[..., Any]

    @property
    def wants(self) -> tuple[str, ...]:
        """The names of what it asks for."""
        return tuple(inspect.signature(self.function).parameters)

    def is_about(self, section: str) -> bool:
        """Whether it belongs to the diagnosis of a section; `*` belongs to each."""
        return section in self.sections or "*" in self.sections


def look(*sections: str, needs: Sequence[str] = (), facts: bool = False) -> Callable[[F], F]:
    """Declare a function as a step of the diagnosis of these sections (anchors of the runbook; `*` for every one).

    It asks for what it needs by name, as a check does (docs/diagnosis.md lists what there is), only ever reads, and
    returns rows (a list of mappings, or a mapping), a sentence, or None for nothing to tell.
    """

    def mark(function: F) -> F:
        name = getattr(function, "__name__", "look")
        hang(function, Look(name, summary(function), sections or ("*",), tuple(needs), facts, function))
        return function

    return mark


def declared(folders: Iterable[Path]) -> list[Look]:
    """The looks in the files of these folders. Raises ItemsError, also for two of one name."""
    found: dict[str, Look] = {}
    for folder in folders:
        for name, one in collect(folder, Look).items():
            if name in found:
                raise ItemsError(f"declared twice among the looks: {name}")
            found[name] = one
    return list(found.values())
