"""Causes: what on-call would say is wrong, which red checks point to it, and which cause is the likeliest.

The likeliest cause is the one that accounts for most of what is red, by severity: its own signs and those of the
causes that follow from it (`explains`). Of two that account for the same, the one wins that a look has seen itself;
then the one that stands first in its file. Nothing is named on any other ground.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dialtone.runbook.items import ItemsError, listed

_WEIGHT = {"P0": 8, "P1": 4, "P2": 2, "P3": 1}
_BAD, _WELL = ("breach", "critical"), ("ok", "degraded")

Entry = Mapping[str, Any]
"""One check of verdicts.json."""


@dataclass(frozen=True, slots=True)
class When:
    """A sign: a red check whose id matches `check` (`*` for any text), and whose reason `reason` is found in.

    `also` are checks one of which has to be red too for each pattern, `well` checks that have to be ok (all that a
    pattern names, and at least one).
    """

    check: str
    reason: str = ""
    also: Sequence[str] = ()
    well: Sequence[str] = ()

    def seen(self, entries: Sequence[Entry]) -> list[str]:
        """The ids of the red checks that this sign is seen in; those of `also` count among them."""
        found = [e["id"] for e in entries if is_red(e) and fits(self.check, e["id"]) and self._says(e["reason"])]
        if not found:
            return []
        for pattern in self.well:
            named = [e for e in entries if fits(pattern, e["id"]) and e["armed"]]
            if not named or any(e["verdict"] not in _WELL for e in named):
                return []
        for pattern in self.also:
            more = [e["id"] for e in entries if is_red(e) and fits(pattern, e["id"])]
            if not more:
                return []
            found += more
        return list(dict.fromkeys(found))

    def _says(self, reason: str) -> bool:
        return not self.reason or re.search(self.reason, reason) is not None


@dataclass(frozen=True, slots=True)
class Cause:
    """One way in which the service is known to fail. `id` is `component.key`, both in words that on-call uses.

    `says` is a sentence without its full stop, `first` the first step to take, `seen` its signs, `explains` ids
    (or patterns) of causes that are only its consequences, `contact` whose support to turn to.
    """

    id: str
    says: str
    first: str
    seen: Sequence[When] = ()
    explains: Sequence[str] = ()
    contact: str | None = None

    def signs(self, entries: Sequence[Entry]) -> list[str]:
        """The ids of the red checks that point to it."""
        return list(dict.fromkeys(check for when in self.seen for check in when.seen(entries)))


@dataclass(slots=True)
class Candidate:
    """A cause that something points to: `checks` it accounts for, its own signs among them, and what looks saw."""

    id: str
    says: str
    first: str
    contact: str | None = None
    explains: tuple[str, ...] = ()
    signs: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    because: list[str] = field(default_factory=list)


def is_red(entry: Entry) -> bool:
    """Whether a check of verdicts.json is in breach or critical."""
    return bool(entry["armed"]) and entry["verdict"] in _BAD


def fits(pattern: str, check: str) -> bool:
    """Whether a check's id matches; brackets stand for themselves, `*` for any text, `name` for all its cases."""
    literal = pattern.replace("[", "[[]")
    return fnmatchcase(check, literal) or ("[" not in pattern and fnmatchcase(check.partition("[")[0], literal))


def declared(folders: Iterable[Path]) -> list[Cause]:
    """The causes in the lists named CAUSES in the files of these folders. Raises ItemsError, also for two of one id."""
    found = [cause for folder in folders for cause in listed(folder, "CAUSES")]
    ids = [cause.id for cause in found]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ItemsError(f"declared twice among the causes: {', '.join(twice)}")
    return found


def candidates(
    causes: Sequence[Cause],
    signs: Mapping[str, Sequence[str]],
    entries: Sequence[Entry],
    seen: Mapping[str, Sequence[str]],
) -> list[Candidate]:
    """All causes that something points to, likeliest first.

    `signs` are the red checks that point to a cause (`Cause.signs`), `seen` is what looks saw, as sentences; both by
    the cause's id.
    """
    weights = {e["id"]: _WEIGHT.get(e["severity"], 1) for e in entries if is_red(e)}
    found = [
        Candidate(
            c.id, c.says, c.first, c.contact, tuple(c.explains), [*signs.get(c.id, ())], [], [*seen.get(c.id, ())]
        )
        for c in causes
        if signs.get(c.id) or seen.get(c.id)
    ]
    for candidate in found:
        candidate.checks = _accounts(candidate, found)
    order = {c.id: n for n, c in enumerate(found)}

    def likelihood(c: Candidate) -> tuple[Any, ...]:
        explained = any(_explains(other, c) for other in found)
        return (-sum(weights.get(check, 0) for check in c.checks), explained, not c.because, order[c.id])

    return sorted(found, key=likelihood)


def _explains(one: Candidate, other: Candidate) -> bool:
    return one is not other and any(fnmatchcase(other.id, pattern) for pattern in one.explains)


def _accounts(candidate: Candidate, found: Sequence[Candidate]) -> list[str]:
    """Its own signs, and those of every cause that follows from it, however far."""
    reached, waiting = {candidate.id: candidate}, [candidate]
    while waiting:
        one = waiting.pop()
        for other in found:
            if other.id not in reached and _explains(one, other):
                reached[other.id] = other
                waiting.append(other)
    return list(dict.fromkeys(check for one in reached.values() for check in one.signs))
