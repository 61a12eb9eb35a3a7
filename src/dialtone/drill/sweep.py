"""Single-fault mode: a path is observed once, then each class of fault is put on each call that it made, in turn.

As Filibuster does (Meiklejohn et al., "Service-Level Fault Injection Testing", SoCC 2021): what was called is taken
from the journal, not from what somebody remembers; on demand two calls fail at once.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialtone.drill.declared import Fault, fault
from dialtone.drill.story import Story
from dialtone.interceptor.client import Controller
from dialtone.probes.journal import eventually

_QUIET, _PATIENCE = 0.4, 10
"""Seconds without a call after which a path is over, and how often they are waited for."""
PAIRS = "DIALTONE_DRILL_PAIRS"
"""`N:SEED`: so many pairs of faults, drawn by the seed, after the single ones."""
CLASSES: Mapping[str, Mapping[str, Any]] = {
    "status": {"status": 503},
    "reset": {},
    "hang": {},
    "html": {},
    "truncate": {},
    "in-doubt": {"then": "reset"},
    "latency": {"seconds": 1.0},
}
"""Mechanism -> its parameters: no answer, a wrong one, half of one, one that is lost, one that is late."""
_NAME = re.compile(r"(?=[^/]*\d)[\w.@:+=-]{6,}|\d+|‹secret›|primary")
"""A segment of a path that names one thing: another tenant has another."""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One outgoing call of the path: where to, and the how manieth such call it was."""

    host: str
    method: str
    path: str
    nth: int = 1

    def __str__(self) -> str:
        again = f" (call {self.nth})" if self.nth > 1 else ""
        return f"{self.method} {self.path}{again}"

    def fault(self, kind: str) -> Fault:
        """This call, and no other, meets a fault of a class."""
        match = {"host": self.host, "method": self.method, "path": self.path, "nth": self.nth}
        return fault(kind, says=f"{kind} at {self.host}: {self}", **match, **CLASSES[kind])


def calls(lines: Sequence[Mapping[str, Any]], host: str | None = None) -> list[Call]:
    """The calls in lines of the interceptor's journal, in their order; names of things in paths are globs."""
    seen: dict[tuple[str, str, str], int] = {}
    found = []
    for line in lines:
        if line.get("kind") != "exchange" or not line.get("path") or host not in (None, line["host"]):
            continue
        path = "/".join("*" if _NAME.fullmatch(part) else part for part in line["path"].partition("?")[0].split("/"))
        key = (line["host"], line["method"], path)
        seen[key] = seen.get(key, 0) + 1
        found.append(Call(*key, seen[key]))
    return found


class Sweep:
    """The faults on one path, told as steps of a story."""

    def __init__(self, story: Story, controller: Controller, *, classes: Sequence[str] = tuple(CLASSES)) -> None:
        self._story, self._controller, self._classes = story, controller, classes

    def observe(self, path: Callable[[], Any], host: str | None = None) -> list[Call]:
        """Run the path without a fault; it has to hold. The calls that it made (to a host)."""
        since = self._controller.state()["journal"]
        self._story.steady("the path holds without a fault", path, within=0)
        return calls(self._after(since), host)

    def _after(self, since: int) -> list[dict[str, Any]]:
        """The journal when nothing has come for a moment: much of a path goes on after its answer."""
        lines = self._controller.journal(since)
        for _ in range(_PATIENCE):
            time.sleep(_QUIET)
            before, lines = len(lines), self._controller.journal(since)
            if len(lines) == before:
                break
        return lines

    def inject(self, found: Sequence[Call], path: Callable[[], Any], served: str) -> int:
        """Each class of fault on each call in turn; `path` answers whether the customer was served. How many acted.

        A fault that met nothing, because the path went another way, is told and is no cell.
        """
        acted = 0
        for call, kind in itertools.product(found, self._classes):
            acted += self._one([call.fault(kind)], f"{call}, {kind}", path, served)
        for pair in self._pairs(found):
            faults = [call.fault(kind) for call, kind in pair]
            acted += self._one(faults, " and ".join(f"{call}, {kind}" for call, kind in pair), path, served)
        return acted

    def _one(self, faults: Sequence[Fault], what: str, path: Callable[[], Any], served: str) -> bool:
        with self._story.fault(*faults, may_miss=True):
            holds = bool(path())
            met = bool(eventually(lambda: self._story.acted() >= len(faults), bool, within=_QUIET * 4))
            self._story.fallback(f"{served}: {what}", holds)
        return met

    def _pairs(self, found: Sequence[Call]) -> list[tuple[tuple[Call, str], tuple[Call, str]]]:
        number, _, seed = os.environ.get(PAIRS, "").partition(":")
        if not number or len(found) < 2:
            return []
        single = list(itertools.product(found, self._classes))
        every = [(a, b) for a, b in itertools.combinations(single, 2) if a[0] != b[0]]
        chooser = random.Random(seed)  # noqa: S311 - a choice that can be repeated
        return chooser.sample(every, min(int(number), len(every)))
