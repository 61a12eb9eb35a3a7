"""Search for a schedule of faults and customers that breaks the books, shrunk to the shortest story.

A schedule is a list of acts: what customers or providers do, and the faults that last meanwhile. Hypothesis draws
schedules by a seed and shrinks one that ends in a loss or a double; each is run for real, on tenants of its own, and a
schedule that was run once is not run again. What is found is a file that `dialtone drill replay` runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialtone.drill.declared import Fault
from dialtone.drill.ledger import Ledger, Outcome
from dialtone.drill.story import Story
from dialtone.interceptor.client import Active, Controller
from dialtone.verdict import Bad, Unarmed

SEARCH = "DIALTONE_DRILL_SEARCH"
"""`EXAMPLES:SEED:SECONDS`; without it a drill tries a few schedules of seed 0."""
REPLAY = "DIALTONE_DRILL_REPLAY"
"""The file of a story: it is run, and nothing is searched."""
STORIES = Path("build/drill/stories")
_DEFAULT = "5:0:60"
_ACTS, _AT_ONCE = 3, 2
_LOST_FOR = 1.2
"""Seconds for which a promise has to be lost, with nothing on its way, before it counts."""
_PAUSE = 0.1

Actions = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does, and the faults that last while it is done."""

    action: str
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{' and '.join(self.faults)}: {self.action}" if self.faults else self.action


Schedule = tuple[Act, ...]


def _less(schedule: Schedule) -> Iterator[Schedule]:
    """The schedules with one act or one fault less."""
    for at, act in enumerate(schedule):
        before, behind = schedule[:at], schedule[at + 1 :]
        yield before + behind
        for name in act.faults:
            yield (*before, Act(act.action, tuple(n for n in act.faults if n != name)), *behind)


def size(schedule: Schedule) -> tuple[int, int, str]:
    """How long a story is: acts and faults, then acts; of two of one size always the same is the shorter."""
    return len(schedule) + sum(len(act.faults) for act in schedule), len(schedule), str(schedule)


class Search:
    """Runs schedules against the target and remembers what became of each.

    `begin` makes the actions anew, for customers that nobody has seen; `look` reconciles what was promised since.
    """

    def __init__(
        self,
        story: Story,
        controller: Controller,
        name: str = "story",
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._story, self._controller, self._name, self._environ = story, controller, name, environ
        self._clock, self._sleep = clock, sleep
        self.ran: dict[Schedule, str] = {}
        """Schedule -> what it broke, or nothing."""
        self._cells: dict[tuple[str, str], int] = {}

    def __call__(
        self,
        begin: Callable[[], Actions],
        faults: Mapping[str, Fault],
        look: Callable[[], Ledger],
        *,
        after: Callable[[], None] = lambda: None,
        within: float = 10.0,
    ) -> None:
        """Search as the environment says, or replay; what is found fails the experiment.

        `begin` makes the actions for customers that nobody has seen yet. When the faults of a schedule are gone,
        `after` does what others still do then (a provider delivers again), and the books have `within` seconds to
        come to rest. An action, and `after`, may say by `fail` what must not be.
        """
        self._begin, self._faults, self._look, self._after, self._within = begin, faults, look, after, within
        self._end_by = float("inf")
        self._story.steady("a story without a fault keeps the books", lambda: not self.run((Act(next(iter(begin()))),)))
        if replayed := self._environ.get(REPLAY):
            schedule = read(Path(replayed), begin(), faults)
            self._found(schedule, self.run(schedule), "replayed", write=False)
            return
        examples, seed, seconds = (int(part) for part in self._environ.get(SEARCH, _DEFAULT).split(":"))
        self._end_by = self._clock() + seconds
        began = self._clock()
        found = self._explore(list(begin()), examples, seed)
        self._found(found, self.ran.get(found or (), ""), f"{len(self.ran)} schedules in {self._clock() - began:.0f} s")

    def run(self, schedule: Schedule) -> str:
        """Run one for real, once; what it broke, in words."""
        if schedule not in self.ran:
            self.ran[schedule] = "" if self._clock() > self._end_by else self._run(schedule)
        return self.ran[schedule]

    def _run(self, schedule: Schedule) -> str:
        actions = self._begin()
        active: dict[str, Active] = {}
        try:
            for act in schedule:
                self._end(active, [name for name in active if name not in act.faults])
                for name in act.faults:
                    if name not in active:
                        active[name] = self._faults[name].put(self._controller)
                actions[act.action]()
            self._end(active, list(active))
            self._after()
        except Bad as found:
            return str(found.finding.reason)
        finally:
            self._end(active, list(active))
        return self._broken()

    def _end(self, active: dict[str, Active], names: Sequence[str]) -> None:
        for name in names:
            put, fault = active.pop(name), self._faults[name]
            key = (fault.host, fault.kind)
            self._cells[key] = self._cells.get(key, 0) + put.acted()
            put.end()

    def _broken(self) -> str:
        """Ask the books until nothing is on its way; what is lost or doubled then."""
        began, lost_since = self._clock(), None
        while True:
            balance = self._look()
            if balance.count(Outcome.DOUBLED):
                return _words(balance, Outcome.DOUBLED)
            open_ = balance.count(Outcome.PENDING)
            lost = balance.count(Outcome.LOST) and not open_
            lost_since = (lost_since if lost_since is not None else self._clock()) if lost else None
            if lost_since is not None and self._clock() - lost_since >= _LOST_FOR:
                return _words(balance, Outcome.LOST)
            if not lost and not open_:
                return ""
            if self._clock() - began >= self._within:
                return _words(balance, Outcome.LOST) if balance.count(Outcome.LOST) else ""
            self._sleep(_PAUSE)

    def _explore(self, actions: Sequence[str], examples: int, seed: int) -> Schedule | None:
        try:
            import hypothesis
            from hypothesis import strategies as st
        except ImportError:
            raise Unarmed("a search needs hypothesis: pip install 'pytest-dialtone[search]'") from None
        names = st.lists(st.sampled_from(list(self._faults)), max_size=_AT_ONCE, unique=True).map(tuple)
        acts = st.builds(Act, st.sampled_from(actions), names)

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )
        @hypothesis.given(st.lists(acts, min_size=1, max_size=_ACTS).map(tuple))
        def explore(schedule: Schedule) -> None:
            if self.run(schedule):
                raise _BrokenError

        try:
            explore()
        except _BrokenError:
            return self._shorter(min((one for one, broken in self.ran.items() if broken), key=size))
        return None

    def _shorter(self, schedule: Schedule) -> Schedule:
        """Without any act and any fault that it does not take: no shrinking by draws promises that."""
        for one in sorted(_less(schedule), key=size):
            if one and self.run(one):
                return self._shorter(one)
        return schedule

    def _found(self, schedule: Schedule | None, broken: str, how: str, *, write: bool = True) -> None:
        cells = [
            {"host": host, "fault": kind, "matched": acted, "acted": acted}
            for (host, kind), acted in sorted(self._cells.items())
            if acted
        ]
        if not broken or schedule is None:
            self._story.explored(f"{how}: the books hold", "", cells)
            return
        told = "; then ".join(map(str, schedule))
        where = ""
        if write:
            where = f"; dialtone drill replay {self._write(schedule, broken)}"
        self._story.explored(f"{how}: {told}", f"{broken}, after: {told}{where}", cells)

    def _write(self, schedule: Schedule, broken: str) -> Path:
        acts = [{"faults": [{"name": n, **self._faults[n].plan} for n in a.faults], "do": a.action} for a in schedule]
        text = json.dumps({"experiment": self._name, "found": broken, "acts": acts}, indent=1) + "\n"
        STORIES.mkdir(parents=True, exist_ok=True)
        path = STORIES / f"{self._name}-{hashlib.sha256(str(schedule).encode()).hexdigest()[:8]}.json"
        path.write_text(text)
        return path


class _BrokenError(Exception):
    """A schedule broke the books."""


class StoryFileError(ValueError):
    """A file that is no story, or names what there is not; the message says what."""


def read(path: Path, actions: Actions, faults: Mapping[str, Fault]) -> Schedule:
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


def _words(balance: Ledger, outcome: Outcome) -> str:
    duties = sorted({line.duty for line in balance.of(outcome)})
    return f"{balance.count(outcome)} {outcome} ({', '.join(duties)})"
