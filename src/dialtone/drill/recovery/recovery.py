"""The course of a recovery: customers book, a backup is taken, something is lost and noticed, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from dialtone.drill.ledger import Entry
from dialtone.drill.recovery import damages, losses
from dialtone.drill.recovery.backup import Backup, BackupRefused, Taking
from dialtone.drill.recovery.course import Course, Said
from dialtone.drill.recovery.deployment import Deployment, quietly
from dialtone.drill.recovery.dump import DumpRefused
from dialtone.drill.recovery.measure import Measured, measured
from dialtone.drill.recovery.restore import Until, lay_out
from dialtone.drill.recovery.wal import dropped
from dialtone.judging import fail, ok, running
from dialtone.objective import Objective
from dialtone.sandbox import SandboxError
from dialtone.sandbox.postgres import SWITCH
from dialtone.verdict import Undecided

_NOTICED = 10.0  # seconds within which somebody has to notice a loss
_ARCHIVED = 20.0  # seconds to wait for a segment's copy: a busy archiver is slow, one that fails never makes it
_PAUSE = 0.02  # seconds between two looks


class Recovery(Course):
    """One experiment. `ask()` has a customer ask for the next thing; `there()` lists what is there as (key, id)."""

    def __init__(
        self,
        deployment: Deployment,
        ask: Callable[[], Said],
        there: Callable[[], Iterable[tuple[str, str]]],
        *,
        rpo: Objective,
        rto: Objective,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(deployment, ask, clock)
        self._there, self._rpo, self._rto = there, rpo, rto
        self._tables = list(deployment.target.profile.tables)
        self._lost_at = self._stopped_at = 0.0
        self._detected_at: float | None = None
        self._restored = self._migrated_at = 0.0

    def steady(self) -> None:
        """What has to hold before: customers are served, every table can be read."""
        holds = self._is_good()
        self._step("steady state", "customers are served and every table can be read", holds)
        if not holds:
            raise Undecided("inconclusive: the deployment was not well before anything was lost")

    def _is_good(self) -> bool:
        return (
            quietly(self.customer)
            and quietly(self.deployment.healthy)
            and not losses.unreadable(self.deployment, self._tables)
        )

    # backup, loss, restore

    def backup(self) -> Backup:
        """A base backup while customers go on; verified. A backup that is not whole fails the experiment."""
        folder = self.deployment.folder("backup")
        sandbox = self.deployment.sandbox
        taking = Taking(
            sandbox.admin_database_url, folder, self.deployment.archive, run_id=sandbox.run_id, clock=self._clock
        )
        before = len(self.promises)
        try:
            while not taking.done:
                self.customers(1)
            backup = taking.finish()
        except BackupRefused as wrong:
            fail(f"the backup is refused: {wrong}")
        except BaseException:
            taking.abandon()
            raise
        written = len(self.promises) - before
        self._step("backup", f"taken in {backup.finished - backup.begun:.2f} s, {written} promises meanwhile")
        if not written:
            raise Undecided("inconclusive: nothing was written during the backup")
        return backup

    def refuses_what_is_not_whole(self, backup: Backup) -> None:
        """Backups, archives and dumps that were made incomplete are refused, each in words; whole ones are not."""
        deployment = self.deployment
        self.archived()
        tables = {name: list(columns) for name, columns in deployment.target.profile.tables.items()}
        try:
            backup.verified()
            tried = [
                *damages.backups(backup, deployment.folder),
                *damages.dumps(deployment.sandbox.admin_database_url, tables, deployment.folder),
            ]
        except (BackupRefused, DumpRefused) as wrong:
            fail(f"what is whole is refused: {wrong}")
        for what, words in tried:
            self._step("refused", f"{what}: {words or 'accepted'}", words is not None)
        accepted = [what for what, words in tried if words is None]
        now = self._clock()
        running().notes["experiment"] = {"started": self._begin, "steps": self.steps, "fault": [now, now]}
        if accepted:
            fail(f"accepted although {'; '.join(accepted)}", value=len(accepted), unit="count")
        ok(f"{len(tried)} of {len(tried)} backups that are not whole are refused", value=0, unit="count")

    def lose(self, what: str, loss: Callable[[], Any]) -> None:
        """Lose something, while customers go on, until somebody notices: a customer, the health look, a table."""
        self._what, self.deployment.broken = what, True
        self._lost_at = self._since = self._clock()
        loss()
        self._step("fault", what)
        while self._detected_at is None:
            if not self._is_good():
                self._detected_at = self._clock()
            elif self._clock() - self._lost_at > _NOTICED:
                fail(f"{what}, and nobody noticed within {_NOTICED:g} s")
            else:
                time.sleep(_PAUSE)
        self._step("detected", f"after {self._detected_at - self._lost_at:.2f} s")

    def delete_instance(self) -> None:
        """The machine is gone with its disk."""
        losses.delete_instance(self.deployment)

    def rot(self) -> None:
        """The disk gives back other bytes than were written, in the largest table of the profile."""
        losses.rot(self.deployment, self._tables)

    def migrate(self, sql: str) -> None:
        """What a deployment does to the schema. Its time, by the database's clock, is where one goes back to."""
        self._migrated_at = float(
            self.deployment.administrator.value("SELECT extract(epoch FROM clock_timestamp())::float8")
        )
        self.deployment.administrator.write(sql)

    def archived(self) -> None:
        """Have the log so far archived, where the server still can."""
        try:
            last = self.deployment.archive / str(self.deployment.administrator.write(SWITCH)[0]["name"])
        except Exception:  # noqa: BLE001 - a server in any state at all
            return
        end = self._clock() + _ARCHIVED
        while not last.exists() and self._clock() < end:
            time.sleep(_PAUSE)

    def before_migration(self) -> Until:
        """The moment at which the migration began."""
        return Until(moment=self._migrated_at)

    def before_drop(self, backup: Backup) -> Until:
        """Just before the last transaction that dropped something, as the log itself tells."""
        self.archived()
        found = list(dropped(backup.verified()))
        if not found:
            fail("the log tells of nothing that was dropped: the archive does not reach to the loss")
        return Until(xid=found[-1].xid)

    def restore(self, backup: Backup, until: Until | None = None) -> None:
        """Bring the database back from the backup and the archive; what was lost stays aside for an inquiry."""
        deployment = self.deployment
        self._stopped_at = self._clock()
        if until is not None:
            self.archived()
        try:
            backup.verified()
            deployment.sandbox.stop_part("postgres", "at once")
            aside = deployment.folder("lost")
            if deployment.data.exists():
                deployment.data.rename(aside)
            # A log beyond the moment to which one goes back holds what is to be undone.
            lay_out(backup, deployment.data, until or Until(), owner=deployment.owner, wal=aside / "pg_wal")
            deployment.sandbox.start_part("postgres", within=60)
        except BackupRefused as wrong:
            fail(f"nothing is restored from a backup that is not whole: {wrong}")
        except SandboxError as wrong:
            fail(f"the restored database does not start: {str(wrong).splitlines()[-1]}")
        self._restored = self._clock() - self._stopped_at
        self._step("restore", f"the database is back after {self._restored:.2f} s")

    def recovered(self) -> Measured:
        """Wait for the first round of looks that are all good, hold the promises against the rows, and judge."""
        patience = self._rto.levels.critical or self._rto.levels.alert or 60.0
        good = False
        while not (good := self._is_good()) and self._clock() - self._lost_at < patience:
            time.sleep(_PAUSE)
        at = self._clock()
        self._step("recovery", "customers are served and every table can be read", good)
        if not good:
            fail(f"{self._what}: not back after {patience:g} s", value=patience, unit="s")
        found = measured(
            self.promises,
            [Entry(key, name) for key, name in self._there()],
            lost_at=self._lost_at,
            detected_at=self._detected_at,
            stopped_at=self._stopped_at,
            recovered_at=at,
            rpo=self._rpo.levels.alert or 0.0,
        )
        self.deployment.broken = False
        self._keep(found)
        self._judge(found)
        return found

    def _keep(self, found: Measured) -> None:
        """What the record of the drill has of it: its times are seconds from the loss on."""
        told = f"{self._what}: {found.told}"
        figures = {"loss": self._what, "told": told, **asdict(found), "seconds_to_restore": self._restored}
        alert_within, rto, rpo = running().meta.aims.alert_within, self._rto.levels.alert, self._rpo.levels.alert
        running().notes["recovery"] = figures
        running().notes["experiment"] = {
            "objectives": {"alert_within": alert_within, "recover_within": rto, "rpo": rpo},
            "seconds_to_detect": found.seconds_to_detect,
            "seconds_to_alert": self._alerted,
            "seconds_to_recover": found.seconds_to_recover,
            "lost": found.lost_beyond,
            "doubled": found.doubled,
            "started": self._begin,
            "fault": [round(at - self._begin, 3) for at in (self._lost_at, self._stopped_at)],
            "steps": self.steps,
            "recovery": figures,
        }

    def _judge(self, found: Measured) -> None:
        self._step("ledger", found.told, not (found.lost_beyond or found.doubled))
        if found.doubled:
            fail(f"{self._what}: {found.doubled} promises are there twice after the restore", value=found.doubled)
        if found.lost_beyond:
            more = f"{found.lost_beyond} of {found.promised} promises"
            fail(f"{self._what}: {more} are missing that the objective does not excuse; {found.told}", value=found.rpo)
        for objective, seconds in ((self._rpo, found.rpo), (self._rto, found.seconds_to_recover)):
            if (verdict := objective.judge(seconds, what=f"{self._what}:")).verdict.is_bad:
                fail(f"{verdict.reason}; {found.told}", value=seconds, unit="s")
        ok(f"{self._what}: {found.told}", value=found.seconds_to_recover, unit="s")
