"""A base backup, taken while the database is written to, and refused where it is not whole.

pg_basebackup writes a manifest with the size and checksum of every file and the range of the log that the backup
needs; pg_verifybackup holds the folder and the archive against it
(https://www.postgresql.org/docs/18/app-pgverifybackup.html). What that does not look at, the log after the backup, is
for `wal.py`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dialtone.drill.recovery.wal import Segment, WalError, whole
from dialtone.sandbox.postgres import program
from dialtone.sandbox.restore import libpq

_LIMIT = 120.0  # seconds for a base backup of a sandbox
_RATE = "64M"  # a second: slow enough that something is written meanwhile


class BackupRefused(Exception):
    """The backup is not whole: nothing is restored from it. The text says what is missing."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A base backup in `folder`, with the archive that belongs to it. Times in seconds since the epoch."""

    folder: Path
    archive: Path
    begun: float
    finished: float

    @property
    def starts(self) -> tuple[int, int]:
        """Timeline, and address in the log from which it needs it. Raises BackupRefused without a manifest."""
        try:
            manifest = json.loads((self.folder / "backup_manifest").read_text())
            first = manifest["WAL-Ranges"][0]
            high, low = (int(part, 16) for part in first["Start-LSN"].split("/"))
            return int(first["Timeline"]), (high << 32) + low
        except FileNotFoundError:
            raise BackupRefused("the backup has no manifest: it was not finished") from None
        except (OSError, ValueError, KeyError, IndexError):
            raise BackupRefused("the backup's manifest cannot be read") from None

    def verified(self) -> list[Segment]:
        """The WAL segments that may be replayed over it. Raises BackupRefused when anything of it is missing."""
        timeline, start = self.starts
        command = [str(program("pg_verifybackup")), "--quiet", f"--wal-directory={self.archive}", str(self.folder)]
        try:
            segments = whole(self.archive, timeline, start)
        except WalError as wrong:
            raise BackupRefused(str(wrong)) from None
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False, env={"LC_ALL": "C"})
        if done.returncode:
            raise BackupRefused(_words(done.stderr))
        return segments


class Taking:
    """A base backup that is being taken into the new folder `into`."""

    def __init__(
        self,
        url: str,
        into: Path,
        archive: Path,
        *,
        run_id: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin. `url` is that of a role that may replicate; it ends with the sandbox `run_id`. Raises OSError."""
        self._into, self._archive, self._clock, self._begun = into, archive, clock, clock()
        command = [str(program("pg_basebackup")), f"--pgdata={into}", "--wal-method=none", "--checkpoint=fast"]
        command += ["--no-sync", "--no-password", "--label=dialtone", f"--max-rate={_RATE}"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=libpq(url, run_id)
        )

    @property
    def done(self) -> bool:
        """Whether it has ended, well or badly."""
        return self._process.poll() is not None

    def finish(self) -> Backup:
        """Wait for its end and verify it. Raises BackupRefused."""
        try:
            _, said = self._process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            self.abandon()
            raise BackupRefused(f"the backup was not done within {_LIMIT:g} s") from None
        if self._process.returncode:
            raise BackupRefused(f"the backup failed: {_words(said)}")
        backup = Backup(self._into, self._archive, self._begun, self._clock())
        backup.verified()
        return backup

    def abandon(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


def _words(said: str) -> str:
    """What PostgreSQL's program complained about, at most three lines of it, without its name."""
    lines = [line.partition(": ")[2].removeprefix("error: ") or line for line in said.splitlines() if line.strip()]
    more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more if lines else "the program that looks at it said nothing"
