"""A data folder from a base backup and the archive, to the end of the log or to a moment before.

https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-PITR-RECOVERY
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dialtone.drill.recovery.backup import Backup

_SEGMENT = re.compile(r"[0-9A-F]{24}")


@dataclass(frozen=True, slots=True)
class Until:
    """Where to stop: after the last commit up to `moment` (seconds since the epoch), or before transaction `xid`."""

    moment: float | None = None
    xid: int | None = None

    @property
    def settings(self) -> dict[str, str]:
        """As PostgreSQL takes it; both empty is the end of the log."""
        if self.xid is not None:
            return {"recovery_target_xid": str(self.xid), "recovery_target_inclusive": "off"}
        if self.moment is not None:
            return {"recovery_target_time": f"{datetime.fromtimestamp(self.moment, UTC):%Y-%m-%d %H:%M:%S.%f+00}"}
        return {}


def lay_out(backup: Backup, data: Path, until: Until, *, owner: tuple[int, int], wal: Path | None = None) -> None:
    """Make `data`, which must not exist, from the backup; a server that is started in it recovers by itself.

    `wal` is the folder of the log of the lost instance, where that is still there: its end may not be in the archive
    yet. `owner` is the user and the group as whom the server runs. The archive itself is only read.
    """
    shutil.copytree(backup.folder, data, symlinks=True)
    data.chmod(0o700)
    for found in sorted(wal.iterdir()) if wal is not None and wal.is_dir() else ():
        if _SEGMENT.fullmatch(found.name):
            shutil.copy2(found, data / "pg_wal" / found.name)
    fetch = f"test -f {shlex.quote(str(backup.archive))}/%f && cp {shlex.quote(str(backup.archive))}/%f %p"
    settings = {"restore_command": fetch, "recovery_target_action": "promote", **until.settings}
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    # Whole, not appended: an earlier recovery's target would stand there still.
    (data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n")
    (data / "recovery.signal").touch()
    if owner != (os.getuid(), os.getgid()):
        for folder, _, files in os.walk(data):
            for name in ("", *files):
                os.chown(Path(folder) / name, *owner, follow_symlinks=False)
