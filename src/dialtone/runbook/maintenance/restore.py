"""The restore test as a step: a backup that nobody restored is a hope."""

from __future__ import annotations

from dataclasses import dataclass, field

from dialtone.runbook.actions.access import Access
from dialtone.runbook.actions.steps import StepFailed
from dialtone.sandbox.restore import RestoreError, new_scratch, place_of, restored


@dataclass(frozen=True, slots=True)
class Restore:
    """Dump, restore, compare, drop. `is_own` allows the same server: of a sandbox, which is thrown away."""

    what: str
    source: str = field(repr=False)
    there: str = field(repr=False)
    is_own: bool = False
    scratch: str = field(default_factory=new_scratch)

    def shown(self) -> list[str]:
        """The commands, without passwords: those travel in the environment."""
        here, there = place_of(self.source), place_of(self.there)
        return [
            f"CREATE DATABASE {self.scratch}  -- at {there}",
            f"pg_dump --format=custom --schema=public ({here}) | pg_restore --dbname={self.scratch} ({there})",
            f"count the rows of every table in both; DROP DATABASE {self.scratch}",
        ]

    def take(self, access: Access) -> str:
        """Do it; how many tables and rows came back, and in what time."""
        if not self.is_own and place_of(self.source) == place_of(self.there):
            raise StepFailed("the restore test needs a server other than the one that it is to replace")
        try:
            return restored(self.source, self.there, self.scratch).told
        except RestoreError as wrong:
            raise StepFailed(str(wrong)) from None
