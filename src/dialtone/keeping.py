"""From the verdicts of a run to its history: what the controller hands on, and when.

A test is over when its teardown is, which may still make it broken; what a crash left without one is handed on at the
end. Without an open target, or without a history for it, nothing happens here.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dialtone.report.gather import EXIT_HISTORY, EXIT_UNHEARD, Gatherer

if TYPE_CHECKING:
    from dialtone.environment import Environment
    from dialtone.history import Recorder
    from dialtone.target import Profile

MEASURED = "dialtone-measured"
ROUND, PLACE, PLANNED, EVERY, DEPLOYMENT = (
    f"DIALTONE_{name}" for name in ("ROUND", "PLACE", "PLANNED", "EVERY", "DEPLOYMENT")
)
LEFT = pytest.StashKey[list[pytest.Item]]()
"""The checks of other shards: quotas and the budget of false pages are held against all."""
_COMMITS = (DEPLOYMENT, "GITHUB_SHA", "VERCEL_GIT_COMMIT_SHA")


def every(profile: Profile) -> float | None:
    """Seconds from one round to the next: as the supervisor of rounds says, else as the profile does."""
    told = os.environ.get(EVERY)
    return float(told) if told else profile.schedule.every if profile.schedule else None


class Keeping:
    """The history of this run, in the controller only. `trouble` is for people, None when there is none."""

    def __init__(self, environment: Environment, gatherer: Gatherer, started: float) -> None:
        self.trouble: str | None = None
        self.alerts: list[str] = []
        self._place = ""
        self._environment, self._gatherer, self._started = environment, gatherer, started
        self._recorder: Recorder | None = None
        self._opened = False
        self._measured: dict[str, Any] = {}
        self._told: set[str] = set()

    def notice(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """A report arrived: keep what was measured, which nobody else needs."""
        measured = dict(getattr(report, "user_properties", ())).get(MEASURED)
        if measured:
            self._measured[report.nodeid] = json.loads(measured) if isinstance(measured, str) else measured

    def take(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """The gatherer has a report."""
        if getattr(report, "when", None) == "teardown":
            self._tell(report.nodeid)

    def finish(self, exit_code: int, config: Path, diagnosis: Mapping[str, Any] | None = None) -> int:
        """The run is over; its exit code, or one of our own in place of 0 when the history is in trouble."""
        for nodeid in self._gatherer.entries:
            self._tell(nodeid)
        unheard = False
        if self._recorder is not None:
            from dialtone.incidents.after_run import AfterRun

            after = AfterRun(config, self._environment.target, self._place, self.alerts)
            self._recorder.finish(exit_code, after.takes(self._recorder.run, self._gatherer.all(), diagnosis))
            self.trouble = self._recorder.trouble
            unheard = after.send()
        if exit_code == 0 and unheard:
            return EXIT_UNHEARD
        return EXIT_HISTORY if self.trouble and exit_code == 0 else exit_code

    def _tell(self, nodeid: str) -> None:
        entry = self._gatherer.entries.get(nodeid)
        if entry is None or nodeid in self._told:
            return
        self._told.add(nodeid)
        if not self._opened:
            self._open()
        if self._recorder is not None and not entry["experiment"]:
            self._recorder.add(entry, self._measured.pop(nodeid, None))

    def _open(self) -> None:
        self._opened = True
        if not self._environment.opened:
            return
        target = self._environment.target
        table = target.profile.history
        from dialtone.history import HOLDS, Recorder, Retention, Run, StoreError, where

        try:
            place = where(target, os.environ)
        except StoreError as refused:
            self.trouble = str(refused)
            return
        if place is None:
            return
        run = Run(
            os.environ.get(ROUND) or f"{self._started:.0f}-{secrets.token_hex(4)}",
            target.name,
            float(os.environ.get(PLANNED) or self._started),
            self._started,
            os.environ.get(PLACE, ""),
            every(target.profile) or HOLDS,
            next((os.environ[name] for name in _COMMITS if os.environ.get(name)), None),
        )
        self._place = place
        self._recorder = Recorder(place, run, keep=Retention(raw=table.raw))
