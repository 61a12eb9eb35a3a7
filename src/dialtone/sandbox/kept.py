"""Results of earlier rounds, for as long as the source stays what it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dialtone.sandbox.folder import write_private
from dialtone.sandbox.matrix import Round


class Kept:
    """Rounds that went as claimed, by name of the defect."""

    def __init__(self, path: Path, source: str, *, fresh: bool = False) -> None:
        self._path = path
        self._source = source
        self._rounds: dict[str, dict[str, Any]] = {}
        if not fresh:
            self._rounds = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            kept = json.loads(self._path.read_text())
            return dict(kept["rounds"]) if kept["source"] == self._source else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def get(self, name: str) -> Round | None:
        """The kept round of a defect, or of `healthy`."""
        found: Mapping[str, Any] | None = self._rounds.get(name)
        if found is None:
            return None
        lists = {name: tuple(found.get(name, ())) for name in ("red", "broken", "unarmed", "undecided")}
        return Round(**{**found, **lists})

    def put(self, name: str, shown: Round) -> None:
        """Keep a round, on disk at once: an interrupted campaign resumes."""
        self._rounds[name] = asdict(shown)
        write_private(self._path, json.dumps({"source": self._source, "rounds": self._rounds}, indent=1))
