"""The archive of the write-ahead log: whether it is whole, and which transaction dropped something.

A segment is named by its timeline and its number (24 hex digits); its first page says how large segments are and where
it belongs (src/include/access/xlog_internal.h, XLogLongPageHeaderData of PostgreSQL 18; the same since 11).
"""

from __future__ import annotations

import itertools
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dialtone.sandbox.postgres import program

_NAME = re.compile(r"[0-9A-F]{24}")
# magic, info, timeline, address, rest of a record, padding; system, size of a segment, size of a block
_HEADER = struct.Struct("<HHIQIxxxxQII")
_LIMIT = 120.0  # seconds for reading an archive
_COMMIT = re.compile(r"rmgr: Transaction .* tx:\s+(?P<xid>\d+), .* desc: COMMIT (?P<at>[\d-]+ [\d:.]+) UTC(?P<rest>.*)")


class WalError(Exception):
    """The archive cannot be used; the text says which segment and why."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One archived segment: where it belongs, in bytes of the log."""

    path: Path
    timeline: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction that removed files of tables or indexes: its number, its time (s), how many files."""

    xid: int
    at: float
    files: int


def segment(path: Path) -> Segment:
    """Read what a segment says of itself. Raises WalError for one that is cut off or is not what its name says."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise WalError(f"WAL segment {path.name} is cut off: {path.stat().st_size:,} bytes")
    magic, _, timeline, address, _, _, size, _ = _HEADER.unpack(head)
    named, high, low = (int(path.name[i : i + 8], 16) for i in (0, 8, 16))
    # The first segment of a timeline begins with a copy of the one that it branched off from, older number and all.
    if not magic or size == 0 or timeline > named or address != (high << 32) + low * size:
        raise WalError(f"WAL segment {path.name} does not hold what its name says")
    if path.stat().st_size != size:
        raise WalError(f"WAL segment {path.name} is cut off: {path.stat().st_size:,} of {size:,} bytes")
    return Segment(path, named, address, size)


def whole(archive: Path, timeline: int, start: int) -> list[Segment]:
    """The segments of a timeline from the one that holds the address `start` on, without a gap.

    Raises WalError that names the segment that is missing or cut off.
    """
    names = sorted(p for p in archive.iterdir() if _NAME.fullmatch(p.name) and int(p.name[:8], 16) == timeline)
    found = [segment(path) for path in names]
    found = [s for s in found if s.address + s.size > start]
    if not found:
        raise WalError("the archive holds no WAL from the beginning of the backup on")
    if found[0].address > start:
        raise WalError(f"the archive begins with {found[0].path.name}: the WAL from the backup on to there is missing")
    for before, after in itertools.pairwise(found):
        if before.address + before.size != after.address:
            raise WalError(f"the archive has a gap: nothing between {before.path.name} and {after.path.name}")
    return found


def dropped(segments: list[Segment]) -> Iterator[Dropped]:
    """The transactions in these segments that dropped something, oldest first, by pg_waldump."""
    command = [str(program("pg_waldump")), "--rmgr=Transaction", f"--path={segments[0].path.parent}"]
    command += [segments[0].path.name, segments[-1].path.name]
    # Its exit code is 1 at the end of the log as well: what it could read is what counts.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_LIMIT, check=False, env={**os.environ, "TZ": "UTC"}
    )
    for line in done.stdout.splitlines():
        if (match := _COMMIT.match(line)) and (files := re.search(r"; rels: ([^;]+)", match["rest"])):
            at = datetime.fromisoformat(match["at"] + "+00:00").timestamp()
            yield Dropped(int(match["xid"]), at, len(files[1].split()))
