"""The order of the rounds: the healthy one first, then each defect, the kept results where nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dialtone.sandbox.campaign import Steps, round_steps
from dialtone.sandbox.controller import Sandbox
from dialtone.sandbox.kept import Kept
from dialtone.sandbox.matrix import Claims, Defect, Outcome, Round, evaluate, of_healthy, of_round, possible
from dialtone.sandbox.source import source_hash

HEALTHY = "healthy"
_PAUSE = 0.05

RunRound = Callable[[Sandbox, "Defect | None", Sequence[str], Path], Steps]


class Campaign:
    """All rounds, `jobs` at a time, each job with a sandbox that stays up between its rounds."""

    def __init__(
        self,
        defects: Mapping[str, Defect],
        claims: Sequence[Claims],
        arguments: Sequence[str],
        build: Path,
        *,
        jobs: int = 1,
        fresh: bool = False,
        tell: Callable[[str], None] = print,
        root: Path | None = None,
        run: RunRound = round_steps,
        begin: Callable[[], Sandbox] = Sandbox.begin,
    ) -> None:
        self._defects = defects
        self._claims = claims
        self._arguments = arguments
        self._folder = build / "defects"
        self._jobs = jobs
        self._tell = tell
        self._run = run
        self._begin = begin
        self._sandboxes: list[Sandbox] = []
        source = source_hash(root or Path.cwd(), salt=" ".join(arguments))
        self._kept = Kept(build / "defects-cache.json", source, fresh=fresh)

    def run(self, chosen: Sequence[str]) -> Outcome:
        """The rounds of these defects. A healthy round that is not clean ends it: nothing after it means anything."""
        self._folder.mkdir(parents=True, exist_ok=True)
        rounds = {name: kept for name in chosen if (kept := self._kept.get(name)) is not None}
        due = [name for name in chosen if name not in rounds]
        if rounds:
            self._tell(f"{len(rounds)} of {len(chosen)} rounds are kept from unchanged sources")
        try:
            healthy = self._kept.get(HEALTHY)
            if due or healthy is None:
                self._sandboxes = [self._begin() for _ in range(max(1, min(self._jobs, len(due))))]
            if healthy is None:
                healthy = next(shown for _, shown in self._at_once([HEALTHY]))
                self._tell(f"without a defect: {'; '.join(of_healthy(healthy)) or 'nothing is red'}{_time(healthy)}")
                if of_healthy(healthy):
                    return Outcome({"defects": [], "never_red": []}, of_healthy(healthy))
            chosen, due = self._leave_out(healthy, chosen), [n for n in due if n in self._defects]
            for name, shown in self._at_once(due):
                rounds[name] = shown
                self._tell(f"{len(rounds):>3}/{len(chosen)} {self._line(name, shown)}")
        finally:
            for sandbox in self._sandboxes:
                sandbox.stop()
        return evaluate(self._defects, self._claims, healthy, rounds)

    def _leave_out(self, healthy: Round, names: Sequence[str]) -> list[str]:
        """The defects that can be found on this machine; of the others it is told what they need."""
        known = self._defects
        self._defects, self._claims = possible(self._defects, self._claims, healthy)
        for name in names:
            if name not in self._defects:
                self._tell(f"left out: {name}, which takes a {known[name].needs} to be found, and there is none here")
        return [name for name in names if name in self._defects]

    def _at_once(self, names: Sequence[str]) -> Iterator[tuple[str, Round]]:
        """Rounds as they end, one at a time on each sandbox."""
        waiting, idle = list(names), list(self._sandboxes)
        running: list[tuple[str, Sandbox, Steps]] = []
        try:
            while waiting or running:
                while waiting and idle:
                    name, sandbox = waiting.pop(0), idle.pop(0).wait()
                    defect = self._defects.get(name) if name != HEALTHY else None
                    running.append((name, sandbox, self._run(sandbox, defect, self._arguments, self._folder)))
                for entry in list(running):
                    name, sandbox, steps = entry
                    try:
                        next(steps)
                    except StopIteration as ended:
                        running.remove(entry)
                        idle.append(sandbox)
                        self._keep(name, ended.value)
                        yield name, ended.value
                time.sleep(_PAUSE)
        finally:
            for _, _, steps in running:
                steps.close()

    def _keep(self, name: str, shown: Round) -> None:
        """Keep what went as claimed; the rest is looked at again next time."""
        wrong = of_healthy(shown) if name == HEALTHY else of_round(self._defects[name], self._claims, shown)
        if not wrong:
            self._kept.put(name, shown)

    def _line(self, name: str, shown: Round) -> str:
        wrong = of_round(self._defects[name], self._claims, shown)
        by = ", ".join(shown.red[:3]) + (f" and {len(shown.red) - 3} more" if len(shown.red) > 3 else "")
        state = f"caught by {by}" if not wrong else "; ".join(line.removeprefix(f"{name}: ") for line in wrong)
        return f"{name}: {state}{_time(shown)}"


def _time(shown: Round) -> str:
    return f" ({shown.seconds:.1f} s)"
