"""Search for a schedule of faults and customers that breaks the books, shrunk to the shortest story.

A schedule is a list of acts: what customers or providers do, and the faults that last meanwhile. Hypothesis draws
schedules by a seed until one ends in a loss or a double; that one is made shorter for as long as it still does, single
acts under single faults first. Each is run for real, on tenants of its own. What is found is a file that `dialtone
drill replay` runs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dialtone.drill.declared import Fault
from dialtone.drill.ledger import Ledger, Line, Outcome
from dialtone.drill.schedule import Act, Actions, Schedule, alone, less, read, size
from dialtone.drill.story import Story
from dialtone.interceptor.client import Active, Controller
from dialtone.judging import running
from dialtone.verdict import Bad, Unarmed

SEARCH = "DIALTONE_DRILL_SEARCH"
"""`EXAMPLES:SEED:SECONDS`: search from nothing. Without it a drill runs the stories that are known."""
REPLAY = "DIALTONE_DRILL_REPLAY"
"""The file of a story: it is run, and nothing is searched."""
STORIES = Path("build/drill/stories")
_ACTS, _AT_ONCE = 3, 2
_LOST_FOR = 4.0
"""Seconds for which a promise has to be lost, with nothing on its way, before it counts."""
_AGAIN = 2
_PAUSE = 0.1


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
        self._told: set[tuple[str, str]] = set()
        self._stuck: frozenset[tuple[str, str]] = frozenset()
        self._passed_over = self._again = self._undecided = 0

    def __call__(
        self,
        begin: Callable[[], Actions],
        faults: Mapping[str, Fault],
        look: Callable[[], Ledger],
        *,
        known: Sequence[Schedule] = (),
        after: Callable[[], None] = lambda: None,
        within: float = 10.0,
    ) -> None:
        """Run the `known` stories, or search or replay as the environment says; what is found fails the experiment.

        `begin` makes the actions for customers that nobody has seen yet. When the faults of a schedule are gone,
        `after` does what others still do then (a provider delivers again), and the books have `within` seconds to
        come to rest. An action, and `after`, may say by `fail` what must not be.
        """
        self._begin, self._faults, self._look, self._after, self._within = begin, faults, look, after, within
        self._end_by = float("inf")
        alone = self.run((Act(next(iter(begin()))),))
        told = f" (it says: {alone})" if alone else ""
        self._story.steady(f"one action without a fault keeps the books{told}", lambda: not alone, within=0)
        if replayed := self._environ.get(REPLAY):
            schedule = read(Path(replayed), begin(), faults)
            self._found(schedule, self.run(schedule), "replayed", write=False)
            return
        if SEARCH not in self._environ:
            broken = next((schedule for schedule in known if self.run(schedule)), None)
            self._found(broken, self.ran.get(broken or (), ""), f"{len(known)} known stories", write=False)
            return
        examples, seed, seconds = (int(part) for part in self._environ[SEARCH].split(":"))
        began = self._clock()
        self._end_by = began + seconds
        found = self._explore(list(begin()), examples, seed)
        ran = len(self.ran) + self._again - self._passed_over
        self._found(found, self.ran.get(found or (), ""), f"{ran} schedules in {self._clock() - began:.1f} s")

    def run(self, schedule: Schedule) -> str:
        """Run one for real, once; what it broke, in words."""
        if schedule not in self.ran:
            late = self._clock() > self._end_by
            self._passed_over += late
            self.ran[schedule] = "" if late else self._run(schedule)
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
            running().findings.remove(found.finding)  # it is told with its story, and only at the end
            return str(found.finding.reason)
        finally:
            self._end(active, list(active))
        return self._broken()

    def _end(self, active: dict[str, Active], names: Sequence[str]) -> None:
        for name in names:
            put, fault = active.pop(name), self._faults[name]
            key = (self._story.named(fault.host), fault.kind)
            self._cells[key] = self._cells.get(key, 0) + put.acted()
            put.end()

    def _broken(self) -> str:
        """Ask the books until nothing of this schedule is on its way; what is lost or doubled then.

        The books hold the schedules before as well: what was told of those is told once, and what they still have on
        its way is not waited for again.
        """
        began, lost_since = self._clock(), None
        while True:
            ledger = self._look()
            new = [line for line in ledger.lines if (line.duty, line.key) not in self._told]
            doubled, lost = ([line for line in new if line.outcome is one] for one in (Outcome.DOUBLED, Outcome.LOST))
            coming, now = ledger.coming - self._stuck, self._clock()
            if lost and not coming:
                lost_since = now if lost_since is None else lost_since
            else:
                lost_since = None
            rests = lost_since is not None and now - lost_since >= _LOST_FOR
            if doubled or rests:
                self._told |= {(line.duty, line.key) for line in new}
                return _words(doubled or lost)
            if not (lost or coming):
                return ""
            if lost_since is None and now - began >= self._within:
                self._stuck |= coming
                self._undecided += 1
                return ""
            self._sleep(_PAUSE)

    def _explore(self, actions: Sequence[str], examples: int, seed: int) -> Schedule | None:
        try:
            import hypothesis
            from hypothesis import strategies as st
        except ImportError:
            raise Unarmed("a search needs hypothesis: pip install 'pytest-dialtone[search]'") from None
        # From none to all pairs: single faults come before pairs of them.
        sets = [c for n in range(_AT_ONCE + 1) for c in itertools.combinations(self._faults, n)]
        acts = st.builds(Act, st.sampled_from(actions), st.sampled_from(sets))

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[hypothesis.Phase.generate],  # its shrinking is made for functions that cost nothing
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
            drawn = min((one for one, broken in self.ran.items() if broken), key=size)
            return next((one for one in alone(drawn) if self.run(one)), None) or self._shorter(drawn)
        return None

    def _shorter(self, schedule: Schedule) -> Schedule:
        """Without any act and any fault that it does not take."""
        for one in sorted(less(schedule), key=size):
            for _ in range(_AGAIN if one else 0):  # what needs two at the same moment does not break each time
                if self.run(one):
                    return self._shorter(one)
                self._again += 1
                del self.ran[one]
        return schedule

    def _found(self, schedule: Schedule | None, broken: str, how: str, *, write: bool = True) -> None:
        cells = [
            {"host": host, "fault": kind, "matched": acted, "acted": acted}
            for (host, kind), acted in sorted(self._cells.items())
            if acted
        ]
        if not broken or schedule is None:
            open_ = f"; after {self._undecided} of them something was still on its way" if self._undecided else ""
            self._story.explored(f"{how}: the books hold{open_}", "", cells)
            return
        told = "; then ".join(map(str, schedule))
        where = f"; dialtone drill replay {self._write(schedule, broken)}" if write else ""
        self._story.explored(f"{how}: {told}", f"{broken}, after: {told} ({how}){where}", cells)

    def _write(self, schedule: Schedule, broken: str) -> Path:
        acts = [{"faults": [{"name": n, **self._faults[n].plan} for n in a.faults], "do": a.action} for a in schedule]
        text = json.dumps({"experiment": self._name, "found": broken, "acts": acts}, indent=1) + "\n"
        STORIES.mkdir(parents=True, exist_ok=True)
        path = STORIES / f"{self._name}-{hashlib.sha256(str(schedule).encode()).hexdigest()[:8]}.json"
        path.write_text(text)
        return path


class _BrokenError(Exception):
    """A schedule broke the books."""


def _words(lines: Sequence[Line]) -> str:
    duties = ", ".join(sorted({line.duty for line in lines}))
    return f"{len(lines)} {lines[0].outcome} ({duties})" if lines else ""
