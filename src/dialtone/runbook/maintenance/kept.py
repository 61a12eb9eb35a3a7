"""What was seen at earlier times: one file for each task and target, one line for each time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST = 400
"""Lines that a file keeps: a year of days, and more than seven years of weeks."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was kept at one time; `at` is in Unix seconds."""

    at: float
    data: Mapping[str, Any]


class Kept:
    """The file of one task. A line that cannot be read is as if it had never been written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Seen]:
        """Everything that is kept, oldest first."""
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return []
        return sorted(filter(None, map(_read, lines)), key=lambda seen: seen.at)

    def last(self, *, older: float = 0.0, now: float = 0.0) -> Seen | None:
        """The newest one, or the newest that was `older` seconds old or more at `now`."""
        found = [seen for seen in self.all() if not older or now - seen.at >= older]
        return found[-1] if found else None

    def add(self, at: float, data: Mapping[str, Any]) -> None:
        """Keep what was seen now."""
        kept = [*self.all(), Seen(at, data)][-MOST:]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text("".join(json.dumps({"at": seen.at, "data": seen.data}) + "\n" for seen in kept))
        fresh.replace(self._path)


def _read(line: str) -> Seen | None:
    try:
        told = json.loads(line)
        return Seen(float(told["at"]), dict(told["data"]))
    except (ValueError, KeyError, TypeError):
        return None
