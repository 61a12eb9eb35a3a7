"""What a task of maintenance gets: everything that a plan has, what was seen at earlier times, and ways to say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialtone.probes.status_page import StatusPages
from dialtone.runbook.actions.access import Access
from dialtone.runbook.actions.plan import Plan
from dialtone.runbook.maintenance.history import Months, months
from dialtone.runbook.maintenance.kept import Kept, Seen
from dialtone.runbook.maintenance.packages import Review, review
from dialtone.runbook.maintenance.restore import Restore

AGAIN = 43_200.0
"""Seconds within which a run is the same time once more, such as with --yes after it was shown."""
MONTH = 25 * 86_400.0
"""Seconds after which what was seen counts as last month's: months are run early now and then."""


class Work(Plan):
    """One task on one target at one time."""

    def __init__(
        self,
        access: Access,
        kept: Kept,
        *,
        folder: Path = Path("build"),
        online: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(access, clock=clock)
        self._kept, self._folder, self._online = kept, folder, online
        self.notes: list[str] = []
        self.attentions: list[str] = []
        self.persons: list[str] = []

    # saying

    def note(self, text: str) -> None:
        """A fact for the report."""
        self.notes.append(text)

    def attention(self, text: str) -> None:
        """Something that somebody should see to."""
        self.attentions.append(text)

    def person(self, text: str) -> None:
        """What is left to a person, with the facts that they need for it."""
        self.persons.append(text)

    # remembering

    def before(self) -> Seen | None:
        """What was kept last time, which is half a day ago or earlier; None the first time."""
        return self._kept.last(older=AGAIN, now=self.clock())

    def last_month(self) -> Seen | None:
        """What was kept about a month ago or earlier, the newest of it."""
        return self._kept.last(older=MONTH, now=self.clock())

    def history(self) -> list[Seen]:
        """Everything that was kept, oldest first."""
        return self._kept.all()

    def keep(self, data: Mapping[str, Any]) -> None:
        """Keep this for the next time. JSON types only."""
        self._kept.add(self.clock(), data)

    # looking

    def status_pages(self) -> dict[str, str | None]:
        """What the status page of each provider says; None where all is well."""
        pages = StatusPages(self.target)
        found = {}
        for name in pages.named():
            status = pages.of(name)
            found[name] = pages.explanation(name) or (f"unknown: {status.reason}" if status.level is None else None)
        return found

    def packages(self) -> Review:
        """The installed packages against those that the project pins in `constraints.txt`, beside the profile."""
        source = self.target.source
        return review((source.parent if source else Path()) / "constraints.txt", online=self._online)

    def months(self) -> dict[str, Months]:
        """Response times of the last month and the one before, from the history of runs; empty without one."""
        return months(self.target, self.clock())

    def verdicts(self) -> list[dict[str, Any]]:
        """The checks of the last run on this target, from `verdicts.json`. Raises ValueError when there is none."""
        path = self._folder / "verdicts.json"
        try:
            told = json.loads(path.read_text())
        except (OSError, ValueError):
            told = {}
        if told.get("target") != self.target.name:
            raise ValueError(f"{path} is not of {self.target.name}: run the checks on it first")
        return list(told["checks"])

    # steps

    def restore(self, what: str, into: str) -> None:
        """Restore a dump of the database into a scratch database of another server, count its rows, and drop it.

        `into` names the credential that holds the URL of that server, where a role of ours may make databases.
        """
        profile = self.target.profile
        name = profile.repair_database or profile.database or ""
        source, there = self.target.secret(name), self.target.secret(into)
        self.steps.append(Restore(what, source, there, is_own=profile.kind == "sandbox"))
