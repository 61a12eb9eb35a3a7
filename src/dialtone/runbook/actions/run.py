"""Carries an action out: a plan, shown; or each of its steps taken, and a second look whether anything is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialtone.probes.database import DatabaseFailure
from dialtone.probes.journal import eventually
from dialtone.runbook.actions.access import Access
from dialtone.runbook.actions.item import Action
from dialtone.runbook.actions.plan import Plan
from dialtone.runbook.actions.record import Record
from dialtone.runbook.actions.steps import Step, StepFailed
from dialtone.target import Target
from dialtone.verdict import Unarmed


class NotPossible(Exception):
    """The action cannot be used like this; the text says what is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A step, and what came of it: None while it was only shown. `failed` says that it did not do what it should."""

    what: str
    shown: Sequence[str]
    came: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was shown or done. `left` counts the steps that a second look still finds; None where nobody could look."""

    action: str
    target: str
    dry: bool
    steps: Sequence[Taken]
    said: Sequence[str]
    left: int | None = None

    @property
    def mended(self) -> bool:
        """Whether nothing failed and nothing is left to do."""
        return self.left == 0 and not any(step.failed for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the record."""
        steps = [{"what": s.what, "does": list(s.shown), "came": s.came, "failed": s.failed} for s in self.steps]
        about = {"action": self.action, "target": self.target, "dry_run": self.dry}
        return {
            **about,
            "steps": steps,
            "said": list(self.said),
            "left": self.left,
            "mended": None if self.dry else self.mended,
        }


class Doing:
    """One action on one target, with its words and options."""

    def __init__(
        self,
        action: Action,
        target: Target,
        words: Sequence[str] = (),
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.action, self.target = action, target
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self.words, self._options = _read(action, words)

    def show(self) -> Outcome:
        """What would be done now; nothing is changed. Raises NotPossible."""
        with Access(self.target) as access:
            plan = self._plan(access)
        steps = [Taken(step.what, step.shown()) for step in plan.steps]
        return Outcome(self.action.name, self.target.name, True, steps, plan.said)

    def take(self, record: Record, who: str, tell: Callable[[str], None] = lambda _: None) -> Outcome:
        """Do it, and look again: until nothing is left, or for the settle time of the target. Raises NotPossible.

        It is in the record before the first step, so that one that was killed has left a trace.
        """
        about: dict[str, Any] = {"who": who, "target": self.target.name, "action": self.action.name}
        about |= {"words": list(self.words), "options": dict(self._options)}
        with record.held(), Access(self.target) as access:
            plan = self._plan(access)
            if not plan.steps:
                return Outcome(self.action.name, self.target.name, False, [], plan.said, 0)
            record.add(self._clock(), state="begun", **about, steps=[s.what for s in plan.steps])
            steps: list[Taken] = []
            try:
                steps.extend(self._take(step, access, tell) for step in plan.steps)
                left, said = self._after(access)
            except BaseException:
                record.add(self._clock(), state="broken off", **about, done=[s.what for s in steps if not s.failed])
                raise
            said = list(dict.fromkeys((*plan.said, *said)))
            outcome = Outcome(self.action.name, self.target.name, False, steps, said, left)
            effect = "mended" if outcome.mended else "not mended"
            record.add(self._clock(), state="done", effect=effect, **about, **_only(outcome.as_json(), "steps", "left"))
        return outcome

    def _plan(self, access: Access) -> Plan:
        missing = self.target.lacks(self.action.needs)
        if missing:
            raise NotPossible(f"{self.action.name} cannot be used on {self.target.name}: {'; '.join(missing)}")
        plan = Plan(access, self.words, self._options, clock=self._clock)
        try:
            self.action.make(plan)
        except (Unarmed, StepFailed, ValueError) as wrong:
            raise NotPossible(f"{self.action.name}: {wrong}") from None
        except DatabaseFailure as wrong:
            raise NotPossible(f"{self.action.name}: {wrong.reason}") from None
        except Exception as wrong:  # noqa: BLE001 - its text may quote what was answered
            about = f"{self.action.name} itself failed: {type(wrong).__name__} at {place_of(wrong)}"
            raise NotPossible(f"{about}: an answer had another form than it expects, or it is wrong") from None
        return plan

    def _take(self, step: Step, access: Access, tell: Callable[[str], None]) -> Taken:
        tell(step.what)
        shown = step.shown()
        try:
            return Taken(step.what, shown, step.take(access))
        except (StepFailed, Unarmed) as wrong:
            return Taken(step.what, shown, str(wrong), failed=True)

    def _after(self, access: Access) -> tuple[int | None, list[str]]:
        """How many steps are still to be taken when the target had time to settle, and what is to be said then."""
        try:
            found: Plan = eventually(
                lambda: self._plan(access),
                lambda plan: not plan.steps,
                within=self.target.profile.settle,
                clock=self._monotonic,
                sleep=self._sleep,
            )
        except NotPossible as wrong:
            return None, [f"nobody can see whether anything is left: {wrong}"]
        return len(found.steps), found.said


def place_of(wrong: BaseException) -> str:
    """File and line where an error was raised."""
    place = wrong.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"


def _only(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _read(action: Action, words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Words and options of the command line. Raises NotPossible with the usage."""
    options, plain = dict(action.options), []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in options:
            options[name] = value
        elif equals and action.options and name.isidentifier():
            raise NotPossible(f"{action.name} has no option {name!r}: dialtone do {action.usage}")
        else:
            plain.append(word)
    if len(plain) < action.least or (plain and not action.takes):
        raise NotPossible(f"usage: dialtone do {action.usage}")
    return tuple(plain), options
