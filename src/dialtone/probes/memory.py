"""Numbers that one run leaves to the next, such as how many rows a table had.

They stand in one small JSON file, by target and address, so that no target is compared with another one:
`build/memory.json`, or where `DIALTONE_MEMORY` says. Where a run keeps no files, there is nothing to remember: a check
that compares has to say so, and not that all is well.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from dialtone.target import Target

VARIABLE = "DIALTONE_MEMORY"
_KEPT = 7 * 24 * 3600.0  # seconds; older numbers are forgotten, and targets with nothing younger
_MOST = 200  # numbers of one name

Book = dict[str, dict[str, list[list[float]]]]


class Memory:
    """The numbers of one target. A file that cannot be read is an empty one; one that cannot be written is not."""

    def __init__(self, path: Path, section: str, *, clock: Callable[[], float] = time.time) -> None:
        self._path, self._section, self._clock = path, section, clock

    @classmethod
    def of(cls, target: Target) -> Memory:
        """The memory of a target, known by its name, its address and its database's (as a hash)."""
        profile = target.profile
        database = target.credentials.get(profile.database or "", "")
        identity = sha256(f"{profile.base_url}\0{database}".encode()).hexdigest()[:12]
        return cls(Path(os.environ.get(VARIABLE) or "build/memory.json"), f"{target.name} {identity}")

    def keep(self, name: str, value: float) -> None:
        """Remember a number as of now."""
        with self._open() as book:
            numbers = book.setdefault(self._section, {}).setdefault(name, [])
            numbers.append([self._clock(), float(value)])
            del numbers[:-_MOST]

    def highest(self, name: str, within: float) -> float | None:
        """The highest number of the last `within` seconds; None when there is none."""
        since = self._clock() - within
        seen = [value for at, value in self._read().get(self._section, {}).get(name, []) if at >= since]
        return max(seen, default=None)

    @contextlib.contextmanager
    def _open(self) -> Iterator[Book]:
        """The book, held against other processes, and written when the block is left."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            book = self._read()
            yield book
            since = self._clock() - _KEPT
            young = {s: {n: [e for e in v if e[0] >= since] for n, v in names.items()} for s, names in book.items()}
            written = self._path.with_suffix(".new")
            written.write_text(json.dumps({s: names for s, names in young.items() if any(names.values())}))
            written.replace(self._path)

    def _read(self) -> Book:
        try:
            return _checked(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _checked(told: Any) -> Book:
    return {
        str(section): {
            str(name): [[float(at), float(value)] for at, value in numbers] for name, numbers in names.items()
        }
        for section, names in told.items()
    }
