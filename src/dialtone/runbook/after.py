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
from dialtone.runbook.diagnosis import concluded
from dialtone.runbook.tell import page

if TYPE_CHECKING:
    from dialtone.target import Target


def pages(verdicts: Path) -> Path:
    """The folder of the pages that belong to these verdicts."""
    return verdicts.with_name("diagnosis" if verdicts.stem == "verdicts" else f"{verdicts.stem}-diagnosis")


class Aftermath:
    """What is left to do when the checks of a run are through. Whatever goes wrong here is told and changes nothing.

    `root` is the folder that their ids are relative to, `began` when the run did, in seconds since the epoch; a
    `passing` target ends with the run: nothing that is known of it is of use to the next one. `texts` are the pages
    that were written, by section.
    """

    def __init__(self, target: Target, verdicts: Path, root: Path, began: float, *, passing: bool) -> None:
        self._target, self._verdicts, self._root, self._passing = target, verdicts, root, passing
        self._began = datetime.fromtimestamp(began, UTC).isoformat()
        self._record = record.place(verdicts, target.name)
        self.texts: dict[str, str] = {}

    def clear(self) -> None:
        """Remove the pages of an earlier run: they would be taken for this one's."""
        folder = pages(self._verdicts)
        with contextlib.suppress(OSError):
            for path in folder.glob("*.md"):
                path.unlink(missing_ok=True)
            folder.rmdir()

    def diagnosed(self, checks: Sequence[Mapping[str, Any]], nodeids: Sequence[str]) -> dict[str, Any] | None:
        """The diagnosis of the red ones among these checks, its pages written; None where nothing is declared."""
        self.clear()
        judged = [entry for entry in checks if not entry["experiment"]]
        if not any(map(is_red, judged)):
            return None
        try:
            folders = folders_of(self._root, nodeids)
            return self._diagnosed(judged, folders) if folders else None
        except Exception as error:  # noqa: BLE001 - a diagnosis never changes what is known of the checks
            return {**concluded([], judged, f"the diagnosis itself failed: {type(error).__name__}"), "pages": {}}

    def _diagnosed(self, checks: Sequence[Mapping[str, Any]], folders: Sequence[Path]) -> dict[str, Any]:
        last = None if self._passing else record.read(self._record)
        began = datetime.now(UTC)
        found = diagnose(self._request(folders, checks=checks, last_ok=last))
        now = {name: look["rows"] for name, look in found["looks"].items() if look["facts"]}
        found |= {
            "target": self._target.name,
            "at": began.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - began).total_seconds(), 2),
            "since": last and last["finished"],
            "changes": record.changes(last, {"checks": checks}, now) if last else [],
            "pages": {},
        }
        try:
            found["pages"] = self._write(found, checks)
        except OSError as error:
            found["lacks"].append(f"its pages cannot be written: {error.strerror}")
        return found

    def _write(self, found: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        folder, written = pages(self._verdicts), {}
        folder.mkdir(parents=True, exist_ok=True)
        for section in dict.fromkeys(e["runbook"] for e in checks if is_red(e)):
            red = [e for e in checks if is_red(e) and e["runbook"] == section]
            path = folder / f"{section}.md"
            self.texts[section] = page(section, found, red, self._target.profile.runbook)
            path.write_text(self.texts[section])
            near = path.is_relative_to(self._root)
            written[section] = str(path.relative_to(self._root) if near else path)
        return written

    def keep(self, document: Mapping[str, Any], nodeids: Sequence[str]) -> None:
        """Keep the record of an ok run, with the facts of the deployment."""
        if self._passing:
            return
        with contextlib.suppress(OSError):
            folders = folders_of(self._root, nodeids)
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
