"""Results that could not be stored: files beside the history, taken in as soon as it can be opened again.

A file holds what one run could not store; taking it in twice changes nothing, so it is removed only after that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dialtone.history.store import Result, Run, Store
from dialtone.verdict import Kind, Severity, Verdict


def folder(where: str) -> Path:
    """Where the files of a history stand: beside its file, or in build/ for a server."""
    if "://" in where and not where.startswith("sqlite:///"):
        return Path("build/history.spool")
    path = Path(where.removeprefix("sqlite:///"))
    return path.with_name(path.name + ".spool")


def keep(place: Path, run: Run, results: Sequence[Result]) -> Path:
    """Write one file, whole or not at all. Raises OSError."""
    rows = [{**asdict(r), "latency": r.latency and base64.b64encode(r.latency).decode()} for r in results]
    text = json.dumps({"run": asdict(run), "results": rows})
    name = f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f".{name}.{os.getpid()}"
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place / name)
    return place / name


def take_in(place: Path, store: Store) -> tuple[int, list[Path]]:
    """Store what the files hold and remove them; how many results were new, and the files that make no sense."""
    new, odd = 0, []
    for path in sorted(place.glob("*.json")):
        try:
            document = json.loads(path.read_text())
            run, results = Run(**document["run"]), [_result(row) for row in document["results"]]
        except FileNotFoundError:
            continue  # another run was faster
        except (OSError, ValueError, KeyError, TypeError):
            odd.append(path)
            continue
        new += store.add(run, results)
        path.unlink(missing_ok=True)
    return new, odd


def _result(row: dict[str, Any]) -> Result:
    kind, latency = row["kind"], row["latency"]
    return Result(
        **{
            **row,
            "verdict": Verdict(row["verdict"]),
            "kind": Kind(kind) if kind else None,
            "severity": Severity(row["severity"]),
            "latency": base64.b64decode(latency) if latency else None,
        }
    )
