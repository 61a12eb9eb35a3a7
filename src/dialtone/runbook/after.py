"""After a run of checks: the diagnosis of what is red, or the record of an ok run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialtone.report import write_json
from dialtone.runbook import record
from dialtone.runbook.ask import diagnose, facts, folders_of
from dialtone.runbook.causes import is_red
from dialtone.runbook.tell import page

if TYPE_CHECKING:
    from dialtone.target import Target


def pages(verdicts: Path) -> Path:
    """The folder of the pages that belong to these verdicts."""
    return verdicts.with_name("diagnosis" if verdicts.stem == "verdicts" else f"{verdicts.stem}-diagnosis")


class Aftermath:
    """What is left to do when the checks of a run are through.

    `root` is the folder that their ids are relative to, `began` when the run did, in seconds since the epoch.
    """

    def __init__(self, target: Target, verdicts: Path, root: Path, began: float) -> None:
        self._target, self._verdicts, self._root = target, verdicts, root
        self._began = datetime.fromtimestamp(began, UTC).isoformat()
        self._record = record.place(verdicts, target.name)

    def clear(self) -> None:
        """Remove the pages of an earlier run: they would be taken for this one's."""
        folder = pages(self._verdicts)
        for path in folder.glob("*.md") if folder.is_dir() else ():
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()

    def diagnosed(self, checks: Sequence[Mapping[str, Any]], nodeids: Sequence[str]) -> dict[str, Any] | None:
        """The diagnosis of the red ones among these checks, its pages written; None where nothing is declared."""
        folders = folders_of(self._root, nodeids)
        if not folders or not any(is_red(e) and not e["experiment"] for e in checks):
            return None
        last = record.read(self._record)
        request = self._request(folders, checks=checks, last_ok=last)
        began = datetime.now(UTC)
        found = diagnose(request)
        now = {name: look["rows"] for name, look in found["looks"].items() if look["facts"]}
        found |= {
            "target": self._target.name,
            "at": began.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - began).total_seconds(), 2),
            "since": last and last["finished"],
            "changes": record.changes(last, {"checks": checks}, now) if last else [],
        }
        found["pages"] = self._write(found, checks)
        return found

    def _write(self, found: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        folder, written = pages(self._verdicts), {}
        folder.mkdir(parents=True, exist_ok=True)
        for section in dict.fromkeys(e["runbook"] for e in checks if is_red(e)):
            red = [e for e in checks if is_red(e) and e["runbook"] == section]
            path = folder / f"{section}.md"
            path.write_text(page(section, found, red, self._target.profile.runbook))
            near = path.is_relative_to(self._root)
            written[section] = str(path.relative_to(self._root) if near else path)
        return written

    def keep(self, document: Mapping[str, Any], nodeids: Sequence[str], *, passing: bool) -> None:
        """Keep the record of an ok run; the deployment's facts only where it outlives the run (`passing` is False)."""
        folders = [] if passing else folders_of(self._root, nodeids)
        known = facts(self._request(folders)) if folders else {}
        write_json(self._record, record.record(document, known))

    def _request(self, folders: Sequence[Path], **more: Any) -> dict[str, Any]:
        return {
            "config": str(self._target.source),
            "target": self._target.name,
            "began": self._began,
            "folders": [str(folder) for folder in folders],
            **more,
        }
