"""Runs the tasks of a period, each for itself: one that fails says so and leaves the others alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dialtone.probes.database import DatabaseFailure
from dialtone.redact import secrets
from dialtone.runbook.actions.access import Access
from dialtone.runbook.actions.record import Record
from dialtone.runbook.actions.run import Taken, place_of
from dialtone.runbook.actions.steps import StepFailed
from dialtone.runbook.maintenance.item import Task
from dialtone.runbook.maintenance.kept import Kept
from dialtone.runbook.maintenance.work import Work
from dialtone.target import Target
from dialtone.verdict import Unarmed


class State(StrEnum):
    """What became of a task. Only `done` is ticked off."""

    DONE = "done"
    ATTENTION = "attention"  # it was done, and somebody should see to what it found
    WAITING = "waiting"  # it would change something: --yes
    PERSON = "person"  # the rest is a person's
    UNARMED = "unarmed"  # a setting or a credential is missing
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """One task with what it saw and did."""

    name: str
    line: str
    state: State
    notes: Sequence[str] = ()
    attentions: Sequence[str] = ()
    persons: Sequence[str] = ()
    steps: Sequence[Taken] = ()
    reason: str = ""

    @property
    def is_ticked(self) -> bool:
        """Whether nothing of it is left."""
        return self.state in (State.DONE, State.ATTENTION)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        steps = [{"what": s.what, "does": list(s.shown), "came": s.came, "failed": s.failed} for s in self.steps]
        lists = {"notes": self.notes, "attention": self.attentions, "person": self.persons}
        about = {"name": self.name, "line": self.line, "state": str(self.state), "reason": self.reason}
        return {**about, **{key: list(value) for key, value in lists.items()}, "steps": steps}


class Round:
    """The tasks of one period on one target. `folder` is where results are kept, `record` where changes are noted."""

    def __init__(
        self,
        target: Target,
        folder: Path,
        *,
        yes: bool = False,
        online: bool = False,
        record: Record | None = None,
        who: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.target, self._folder, self._yes, self._online = target, folder, yes, online
        self._record, self._who, self._clock = record, who, clock

    def run(self, tasks: Iterable[Task], tell: Callable[[str], None] = lambda _: None) -> list[Done]:
        """Do them one after the other."""
        done = []
        with Access(self.target) as access:
            for task in tasks:
                tell(task.summary)
                done.append(self._one(task, access))
        return done

    def _one(self, task: Task, access: Access) -> Done:
        kept = Kept(self._folder / "maintenance" / "kept" / self.target.name / f"{task.name}.jsonl")
        work = Work(access, kept, folder=self._folder, online=self._online, clock=self._clock)
        if missing := self.target.lacks(task.needs):
            return Done(task.name, task.summary, State.UNARMED, reason="; ".join(missing))
        if failed := _tried(lambda: task.do(work)):
            return Done(task.name, task.summary, failed[0], work.notes, reason=secrets.scrub(failed[1]))
        steps = self._steps(task, work, access)
        said = (work.notes, work.attentions, work.persons, steps)
        return Done(task.name, task.summary, _state(work, steps), *said)

    def _steps(self, task: Task, work: Work, access: Access) -> list[Taken]:
        if not self._yes or not work.steps:
            return [Taken(step.what, step.shown()) for step in work.steps]
        about: Mapping[str, Any] = {"who": self._who, "target": self.target.name, "action": f"maintenance {task.name}"}
        if self._record:
            self._record.add(self._clock(), state="begun", **about, steps=[s.what for s in work.steps])
        taken = []
        for step in work.steps:
            shown = step.shown()
            try:
                taken.append(Taken(step.what, shown, step.take(access)))
            except (StepFailed, Unarmed) as wrong:
                taken.append(Taken(step.what, shown, str(wrong), failed=True))
        if self._record:
            told = [{"what": t.what, "does": list(t.shown), "came": t.came, "failed": t.failed} for t in taken]
            effect = "not done" if any(t.failed for t in taken) else "done"
            self._record.add(self._clock(), state="done", effect=effect, **about, steps=told)
        return taken


def _tried(do: Callable[[], None]) -> tuple[State, str] | None:
    """Why a task could not be done; None when it could."""
    try:
        do()
    except Unarmed as wrong:
        return State.UNARMED, str(wrong)
    except (StepFailed, ValueError) as wrong:
        return State.FAILED, str(wrong)
    except DatabaseFailure as wrong:
        return State.FAILED, wrong.reason
    except Exception as wrong:  # noqa: BLE001 - its text may quote a row
        return State.FAILED, f"the task itself failed: {type(wrong).__name__} at {place_of(wrong)}"
    return None


def _state(work: Work, steps: Sequence[Taken]) -> State:
    if any(step.failed for step in steps):
        return State.FAILED
    if any(step.came is None for step in steps):
        return State.WAITING
    if work.persons:
        return State.PERSON
    return State.ATTENTION if work.attentions else State.DONE
