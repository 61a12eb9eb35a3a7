"""Backups and dumps that are made incomplete on purpose, each on a copy: every one has to be refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dialtone.drill.recovery.backup import Backup, BackupRefused
from dialtone.drill.recovery.dump import DumpRefused, opened, restore, take
from dialtone.drill.recovery.proof import contents
from dialtone.probes.database import Database
from dialtone.sandbox.restore import in_database

_SCRATCH = "damaged"


def _catalog(backup: Backup) -> Path:
    """A file that every cluster has: the list of its databases."""
    return backup.folder / "global" / "1262"


def _segments(backup: Backup) -> list[Path]:
    return sorted(path for path in backup.archive.iterdir() if re.fullmatch(r"[0-9A-F]{24}", path.name))


def _changed(path: Path, change: Callable[[bytes], bytes]) -> None:
    data = change(path.read_bytes())
    path.unlink()  # it is a link: the original stays what it is
    path.write_bytes(data)


def _half(path: Path) -> None:
    _changed(path, lambda data: data[: len(data) // 2])


def _flip(path: Path) -> None:
    _changed(path, lambda data: bytes([data[0] ^ 1]) + data[1:])


BACKUPS: dict[str, Callable[[Backup], None]] = {
    "a file is missing": lambda backup: _catalog(backup).unlink(),
    "a file is cut off": lambda backup: _half(_catalog(backup)),
    "a file holds another byte": lambda backup: _flip(_catalog(backup)),
    "the manifest is missing": lambda backup: (backup.folder / "backup_manifest").unlink(),
    "the manifest is cut off": lambda backup: _half(backup.folder / "backup_manifest"),
    "a WAL segment is missing": lambda backup: _segments(backup)[-2].unlink(),
    "a WAL segment is cut off": lambda backup: _half(_segments(backup)[-1]),
}
"""In words -> what is done to a copy of a backup and its archive."""


def backups(backup: Backup, into: Callable[[str], Path]) -> Iterator[tuple[str, str | None]]:
    """Each damage with the words of the refusal; None for one that was accepted. `into` makes new places."""
    for what, damage in BACKUPS.items():
        copy = replace(backup, folder=into("damaged-base"), archive=into("damaged-archive"))
        shutil.copytree(backup.folder, copy.folder, copy_function=_linked)
        shutil.copytree(backup.archive, copy.archive, copy_function=_linked)
        damage(copy)
        try:
            copy.verified()
            yield what, None
        except BackupRefused as refused:
            yield what, str(refused)


def _linked(source: str, to: str) -> None:
    Path(to).hardlink_to(source)


def dumps(
    url: str, tables: Mapping[str, Sequence[str]], into: Callable[[str], Path], schemas: Sequence[str] = ("public",)
) -> Iterator[tuple[str, str | None]]:
    """The same for dumps of the database at `url`, restored beside it; a whole one has to be accepted first."""
    whole = take(url, into("whole.dump"), schemas)
    if (wrong := _refusal(url, whole.path, tables, schemas)) is not None:
        raise DumpRefused(f"a whole dump is refused: {wrong}")
    cut = into("cut.dump")
    shutil.copyfile(whole.path, cut)
    _half(cut)
    yield "the dump is cut off", _refusal(url, cut, tables, schemas)
    partial = take(url, into("partial.dump"), schemas, without=[next(iter(tables))])
    yield "a table is missing from the dump", _refusal(url, partial.path, tables, schemas)


def _refusal(url: str, path: Path, tables: Mapping[str, Sequence[str]], schemas: Sequence[str]) -> str | None:
    """Why the dump is refused; None when it is not."""
    administrator, there = Database(url), in_database(url, _SCRATCH)
    try:
        administrator.alone(f"DROP DATABASE IF EXISTS {_SCRATCH} WITH (FORCE)", within=30)
        administrator.alone(f"CREATE DATABASE {_SCRATCH} TEMPLATE template0", within=30)
        restore(opened(path), there, schemas)
        database = Database(there)
        try:
            missing = contents(database, schemas, required=tables, queries={}).missing
        finally:
            database.close()
        return missing[0] if missing else None
    except DumpRefused as refused:
        return str(refused)
    finally:
        administrator.alone(f"DROP DATABASE IF EXISTS {_SCRATCH} WITH (FORCE)", within=30)
        administrator.close()
