"""The course of a change: an application is deployed anew, well or badly, while customers ask all the while."""

from __future__ import annotations

import time
from collections.abc import Callable

from dialtone.drill.ledger import Ledger, Outcome, Promise
from dialtone.drill.recovery.course import Course, Said
from dialtone.drill.recovery.deployment import Deployment, quietly
from dialtone.judging import fail, ok, running
from dialtone.probes.journal import eventually
from dialtone.sandbox import SandboxError
from dialtone.verdict import Undecided

_PAUSE = 0.02  # seconds between two looks


class Change(Course):
    """One experiment. `balance(promises)` holds what customers were promised against every book."""

    def __init__(
        self,
        deployment: Deployment,
        ask: Callable[[], Said],
        balance: Callable[[list[Promise]], Ledger],
        *,
        within: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`within` is how long customers may be refused (s)."""
        super().__init__(deployment, ask, clock)
        self._balance, self._within = balance, within
        self._refused_from: float | None = None
        self._good_at = 0.0

    def _is_good(self) -> bool:
        return quietly(self.customer) and quietly(self.deployment.healthy)

    def steady(self) -> None:
        """What has to hold before."""
        holds = self._is_good()
        self._step("steady state", "customers are served", holds)
        if not holds:
            raise Undecided("inconclusive: the deployment was not well before anything was changed")

    def deploy(self, what: str, environment: dict[str, str] | None = None) -> None:
        """Deploy a revision: the application ends and starts again, with these variables. It has to start."""
        self._what = self._what or what
        self._since = self._clock() if not self._refused_from else self._since
        self._refused_from = self._refused_from or self._clock()
        self.deployment.broken = True
        try:
            self.deployment.redeploy(environment)
        except SandboxError as wrong:
            said = str(wrong).splitlines()
            fail(f"{what}: the application does not start: {said[0]} {said[-1] if said[1:] else ''}".rstrip())
        self._step("fault" if not self._good_at else "deployed", what)

    def served(self, what: str) -> float:
        """Wait until customers are served again; seconds for which they were not, since the first deployment."""
        begin = self._refused_from or self._clock()
        while not (good := self._is_good()) and self._clock() - begin < self._within:
            time.sleep(_PAUSE)
        took = self._clock() - begin
        self._step("recovery", f"{what}, after {took:.2f} s", good)
        if not good:
            fail(f"{what}: not within {self._within:g} s", value=took, unit="s")
        self._refused_from, self._good_at = None, self._clock()
        return took

    def settled(self, took: float) -> None:
        """Hold every promise against every book, after quiet, and judge."""
        found: Ledger = eventually(
            lambda: self._balance(self.promises),
            lambda ledger: ledger.balanced and not (ledger.count(Outcome.PENDING) or ledger.due),
            within=self._within,
            sleep=lambda pause: time.sleep(max(pause, 0.2)),
        )
        # What is still not done when the time is over is no better than lost.
        lost = found.count(Outcome.LOST) + found.count(Outcome.PENDING)
        doubled = found.count(Outcome.DOUBLED)
        told = "; ".join(str(found).splitlines())
        self._step("ledger", told, not lost and not doubled)
        self._keep(took, lost, doubled, found)
        if found.unknown:
            raise Undecided(f"inconclusive: the ledger: {'; '.join(found.unknown)}")
        if lost or doubled:
            fail(f"{self._what}: {lost} lost, {doubled} doubled ({told})", value=lost + doubled, unit="count")
        if found.due:
            raise Undecided(f"inconclusive: the ledger: {found.due} retries are still due after {self._within:g} s")
        self.deployment.broken = False
        ok(
            f"{self._what}: served again after {took:.2f} s, nothing lost, nothing doubled ({told})",
            value=took,
            unit="s",
        )

    def _keep(self, took: float, lost: int, doubled: int, found: Ledger) -> None:
        running().notes["experiment"] = {
            "seconds_to_detect": self._alerted,
            "seconds_to_alert": self._alerted,
            "seconds_to_recover": took,
            "lost": lost,
            "doubled": doubled,
            "started": self._begin,
            "steps": self.steps,
            "ledger": {duty: {str(o): n for o, n in counts.items()} for duty, counts in found.counts.items()},
        }
