"""The record of what was done by hand: who, when, what, and what came of it. One JSON object a line, never changed."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DEFAULT = Path("build/actions.jsonl")


class RecordError(Exception):
    """The record cannot be written, so nothing may be done. The text names file and remedy."""


def operator(environ: Mapping[str, str] = os.environ) -> str:
    """Who is doing it: DIALTONE_OPERATOR, the person who started a GitHub workflow, or the user of this machine."""
    for name in ("DIALTONE_OPERATOR", "GITHUB_ACTOR", "SUDO_USER"):
        if environ.get(name, "").strip():
            return environ[name].strip()
    return getpass.getuser()


def _lock(descriptor: int) -> None:
    """Take the file for this process, where the system has such locks. Raises BlockingIOError when it is taken."""
    with contextlib.suppress(ImportError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Record:
    """A file that is only ever appended to, by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody else from acting meanwhile: two people who mend the same thing would mend it twice.

        Raises RecordError when the file cannot be written, or somebody else is acting.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a")
        except OSError as wrong:
            raise RecordError(f"{self._path}: {wrong.strerror}: nothing is done that cannot be recorded") from None
        with file:
            try:
                _lock(file.fileno())
            except BlockingIOError:
                raise RecordError(f"{self._path}: somebody else is acting: try again when they are done") from None
            yield

    def add(self, at: float, **entry: Any) -> None:
        """Append one entry; it is on the disk when this returns. `at` is in Unix seconds."""
        when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._path.open("a") as file:
            file.write(json.dumps({"at": when, **entry}, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Everything in it, oldest first; empty where there is no file."""
        try:
            return [json.loads(line) for line in self._path.read_text().splitlines() if line.strip()]
        except FileNotFoundError:
            return []
