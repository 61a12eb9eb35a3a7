"""An experiment's story: steady state, fault, expected fallback, expected alert, recovery.

Each step is judged as it is told. A steady state that does not hold, or a fault that matched nothing, makes the
experiment inconclusive and never green; the fault is removed whatever happens, before the verdict is formed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from dialtone.judging import fail, ok, running
from dialtone.probes.journal import Journal
from dialtone.verdict import Undecided


class Story:
    """The steps of one experiment, kept with their times as evidence."""

    def __init__(self, journal: Journal, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal, self._clock = journal, clock
        self._begin = clock()
        self.steps: list[dict[str, Any]] = []
        running().notes["story"] = self.steps

    def _step(self, kind: str, what: str, holds: bool) -> None:
        self.steps.append({"at": round(self._clock() - self._begin, 3), "step": kind, "what": what, "holds": holds})

    def steady(self, what: str, look: Callable[[], Any]) -> None:
        """What must hold before the fault; else the experiment is inconclusive."""
        holds = bool(look())
        self._step("steady state", what, holds)
        if not holds:
            raise Undecided(f"inconclusive: the steady state does not hold: {what}")

    @contextlib.contextmanager
    def fault(self, what: str, **fault: Any) -> Iterator[None]:
        """A fault at a stand-in for as long as the block runs; its time-to-live ends it should nobody else."""
        name = self._journal.fault(**fault)
        self._step("fault", what, True)
        matched = 0
        try:
            yield
        finally:
            matched = next((int(f["matched"]) for f in self._journal.faults() if f["id"] == name), 0)
            self._journal.end_fault(name)
            self._step("fault ends", f"{what}: matched {matched} requests", matched > 0)
        if not matched:
            raise Undecided(f"inconclusive: the fault matched nothing: {what}")

    def fallback(self, what: str, holds: Any) -> None:
        """What the customer must still get while the fault lasts."""
        self._judge("fallback", what, bool(holds))

    def alert(self, what: str, look: Callable[[], Any]) -> None:
        """What must be told, seen at the receiving end."""
        self._judge("alert", what, bool(look()))

    def recovered(self, what: str, look: Callable[[], Any]) -> None:
        """What must hold again when the fault is gone."""
        self._judge("recovery", what, bool(look()))

    def _judge(self, kind: str, what: str, holds: bool) -> None:
        self._step(kind, what, holds)
        if not holds:
            fail(f"{kind} did not hold: {what}")
        ok(f"{kind}: {what}")
