"""What every course on a deployment of one's own has: customers who ask all the while, steps with times, alerts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dialtone.drill.ledger import Answer, Promise
from dialtone.drill.recovery.deployment import Deployment
from dialtone.drill.recovery.measure import DUTY
from dialtone.judging import fail, running
from dialtone.verdict import Undecided

Said = tuple[str, bool | None]
"""What a customer wanted (a key) and was told: yes, no, or None where nobody can tell whether it was done."""


class Course:
    """Customers of a deployment; `ask()` has one ask for the next thing."""

    def __init__(self, deployment: Deployment, ask: Callable[[], Said], clock: Callable[[], float] = time.time) -> None:
        self.deployment, self._ask, self._clock = deployment, ask, clock
        self.promises: list[Promise] = []
        self.steps: list[dict[str, Any]] = []
        self._journal = deployment.journal() if deployment.target.profile.journal else None
        self._begin = self._since = clock()
        self._what = ""
        self._alerted: float | None = None
        running().notes["story"] = self.steps

    def _step(self, kind: str, what: str, holds: bool = True) -> None:
        self.steps.append({"at": round(self._clock() - self._begin, 3), "step": kind, "what": what, "holds": holds})

    def customer(self) -> bool:
        """One customer asks; whether the answer was yes."""
        key, told = self._ask()
        answer = Answer.YES if told else Answer.DOUBT if told is None else Answer.NO
        self.promises.append(Promise(DUTY.of, key, self._clock(), answer))
        return bool(told)

    def customers(self, count: int) -> None:
        """So many customers ask, one after the other; each has to hear a yes: nothing is wrong yet."""
        for _ in range(count):
            if not self.customer():
                raise Undecided("inconclusive: a customer was refused before anything was lost")

    def heard(self, provider: str) -> None:
        """The application's own alert arrives at `provider`, at the receiving end."""
        seen = self._journal.wait(provider=provider) if self._journal else []
        self._alerted = self._alerted or (self._clock() - self._since if seen else None)
        self._step("alert", f"{provider} hears of it", bool(seen))
        if not seen:
            fail(f"{self._what}, and the application told {provider} nothing")

    def close(self) -> None:
        """Give back what it holds; a deployment that was left broken is nobody's any more."""
        if self._journal is not None:
            self._journal.close()
