"""History and report of a job: brought back before the checks, kept after them.

A history at a server (`DIALTONE_HISTORY`) needs neither. Else it is an artifact of the default branch's last runs: of a
private repository as it is, of a public one sealed, or not at all. One that a newer program has written, or that could
not be asked for, is left alone: the run goes on without it, ends red with its own exit code, and keeps nothing, so that
nothing is written over.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dialtone.github.api import GitHubError
from dialtone.github.job import Job, recall, remember
from dialtone.history import StoreError
from dialtone.history.snapshot import snapshot, usable
from dialtone.report.export import RECIPIENT, SECRET, bundle
from dialtone.signing import sealed

PLACE, UPLOAD, REPORT = Path("build/history.db"), Path("build/history-artifact"), Path("build/report")
NAME = "dialtone-history"
_LOOKS = 3  # artifacts that are looked at: the newest may be damaged


def artifact(target: str) -> str:
    """The name of a target's history among the artifacts."""
    return f"{NAME}-{target}"


def restore(job: Job, target: str) -> str:
    """Bring the history back; what is to be told. Outputs `history`: what DIALTONE_HISTORY is for the checks."""
    if os.environ.get("DIALTONE_HISTORY", "").strip():
        job.output(history="")
        remember(history={"keep": False})
        return "the history is where DIALTONE_HISTORY says"
    try:
        told = _newest(job, target)
    except (GitHubError, StoreError, sealed.SealError) as trouble:
        job.output(history="off")
        remember(history={"keep": False, "trouble": str(trouble)})
        return f"::error title=history::the history could not be brought back, and is left as it is: {trouble}"
    job.output(history=str(PLACE))
    remember(history={"keep": True})
    return told


def fetch(job: Job, name: str, parts: Sequence[str], build: Path = Path("build"), *, optional: bool = False) -> str:
    """Bring parts of the last report of this name back into the build folder; what is to be told.

    A part is a file or a folder; `PART=NAME` gives it another name. Outputs `found`, the names it has now. `optional`:
    what cannot be had is told, and is no error. Raises GitHubError, SealError.
    """
    try:
        told, had = _fetched(job, name, parts, build)
    except (GitHubError, sealed.SealError) as wrong:
        if not optional:
            raise
        told, had = f"::notice title={name}::{wrong}", []
    job.output(found=" ".join(had))
    return told


def _fetched(job: Job, name: str, parts: Sequence[str], build: Path) -> tuple[str, list[str]]:
    found, branch = _listed(job, name)
    if not found:
        return f"::notice title={name}::no artifact {name} of {branch} is there: this run is the first", []
    number = found[0]["id"]
    moved: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dialtone-report-") as made:
        folder = Path(made)
        sealed.unpacked(job.api.download(f"/actions/artifacts/{number}/zip"), folder)
        box, key = folder / "report.sealed", os.environ.get(SECRET, "")
        if box.is_file() and key:
            sealed.unpacked(sealed.unseal(box.read_bytes(), key), folder)
        for part in parts:
            source, _, to = part.partition("=")
            to = to or source
            if (folder / source).is_dir():
                shutil.rmtree(build / to, ignore_errors=True)
                shutil.copytree(folder / source, build / to)
            elif (folder / source).is_file():
                build.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / source, build / to)
            else:
                continue
            moved.append(to)
        if not moved and box.is_file() and not key:
            raise sealed.SealError(f"artifact {number} is sealed: give the step the secret {SECRET}")
    if not moved:
        return f"::notice title={name}::artifact {number} holds no {', '.join(parts)}", []
    return f"of artifact {number}, in {build}: {', '.join(moved)}", moved


def _listed(job: Job, name: str) -> tuple[list[dict[str, Any]], str]:
    branch = (job.payload.get("repository") or {}).get("default_branch") or os.environ.get("GITHUB_REF_NAME", "main")
    listed = job.api.ask("GET", f"/actions/artifacts?name={name}&per_page=100")["artifacts"]
    return [one for one in listed if not one["expired"] and _own(one, branch)], branch


def _newest(job: Job, target: str) -> str:
    name = artifact(target)
    found, branch = _listed(job, name)
    damaged = ""
    for one in found[:_LOOKS]:
        with tempfile.TemporaryDirectory(prefix="dialtone-history-") as folder:
            try:
                fresh = _opened(job.api.download(f"/actions/artifacts/{one['id']}/zip"), Path(folder))
            except sealed.SealError as wrong:
                damaged = damaged or str(wrong)
                continue
            usable(fresh)
            PLACE.parent.mkdir(parents=True, exist_ok=True)
            snapshot(fresh, PLACE)
        return f"the history of artifact {one['id']}, {one['size_in_bytes']:,} bytes, is in {PLACE}"
    if found:
        raise StoreError(damaged)
    return f"::notice title=history::no artifact {name} of {branch} is there: the history begins with this run"


def _own(one: dict[str, Any], branch: str) -> bool:
    """Of the default branch of this repository: what a pull request uploads under the same name is nobody's history."""
    run = one.get("workflow_run") or {}
    return bool(run.get("head_branch") == branch and run.get("repository_id") == run.get("head_repository_id"))


def _opened(content: bytes, folder: Path) -> Path:
    files = {path.name: path for path in sealed.unpacked(content, folder)}
    if "history.sealed" in files:
        key = os.environ.get(SECRET, "")
        if not key:
            raise StoreError(f"the history is sealed: give the step the secret {SECRET}")
        files |= {p.name: p for p in sealed.unpacked(sealed.unseal(files["history.sealed"].read_bytes(), key), folder)}
    if "history.db" not in files:
        raise sealed.SealError("the artifact holds no history")
    return files["history.db"]


def pack(job: Job, build: Path = Path("build"), *, history: bool = True) -> list[str]:
    """Write what is to be uploaded; what is to be told. Outputs `report` and `history`: folders, empty for nothing.

    Without `history` that is left where it is: a workflow that only reads it.
    """
    key = os.environ.get(SECRET, "")
    recipient = os.environ.get(RECIPIENT, "") or (sealed.public_half(key) if key else "")
    made = bundle(build, REPORT, full=job.private, recipient=recipient)
    whole = "whole" if job.private else "sealed" if recipient else "its public part alone: the repository is public"
    told = [f"report: {len(made)} files, {whole}"]
    where = ""
    if history and recall().get("history", {}).get("keep") and PLACE.is_file():
        if job.private or key:  # with the public half alone no later run could open it
            where = str(UPLOAD)
            _keep(UPLOAD, "" if job.private else recipient)
            told.append("history: kept" + ("" if job.private else ", sealed"))
        else:
            told.append(
                f"::notice title=history::the repository is public and there is no {SECRET}: no history is kept."
                " Give it that secret, or DIALTONE_HISTORY=postgresql://…"
            )
    job.output(report=str(REPORT), history=where)
    return told


def _keep(to: Path, recipient: str) -> None:
    shutil.rmtree(to, ignore_errors=True)
    snapshot(PLACE, to / "history.db")
    if recipient:
        box = sealed.seal(sealed.packed([to / "history.db"], to), recipient)
        (to / "history.db").unlink()
        (to / "history.sealed").write_bytes(box)
