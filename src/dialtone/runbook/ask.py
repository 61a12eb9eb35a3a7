"""Has a diagnosis made by a process of its own, within a time limit, and takes what it told until then."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialtone.redact import secrets
from dialtone.runbook.items import files

LIMIT = 20.0
"""Seconds that a whole diagnosis may take."""
_HIDDEN = ("DIALTONE_SANDBOX", "DEFECTS_FILE")


def folders_of(root: Path, nodeids: Sequence[str]) -> list[Path]:
    """The folders of these tests that hold declarations for a diagnosis."""
    found = dict.fromkeys((root / nodeid.partition("::")[0]).parent for nodeid in nodeids)
    return [folder for folder in found if any(b"dialtone.runbook" in path.read_bytes() for path in files(folder))]


def diagnose(request: Mapping[str, Any], *, limit: float = LIMIT) -> dict[str, Any]:
    """The diagnosis of the red checks in `request["checks"]`; see `child.py` for the other keys. Never raises."""
    from dialtone.runbook.diagnosis import concluded

    parts, missed = _asked({**request, "limit": limit}, limit)
    wrong = next((p["wrong"] for p in parts if "wrong" in p), None)
    return concluded(parts, request["checks"], wrong or missed)


def facts(request: Mapping[str, Any], *, limit: float = LIMIT) -> dict[str, Any]:
    """The facts of the deployment, for the record of an ok run; empty when they cannot be had."""
    parts, _ = _asked({**request, "facts": True, "limit": limit}, limit)
    found: dict[str, Any] = next((p["facts"] for p in parts if "facts" in p), {})
    return found


def _asked(request: Mapping[str, Any], limit: float) -> tuple[list[dict[str, Any]], str | None]:
    environment = {k: v for k, v in os.environ.items() if k not in _HIDDEN}
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dialtone.runbook.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it may say there is not masked
            env=environment,
            process_group=0,
        )
    except OSError as error:
        return [], f"the diagnosis did not start: {error.strerror}"
    missed = None
    try:
        output, _ = process.communicate(json.dumps(request, default=str).encode(), timeout=limit)
    except subprocess.TimeoutExpired:
        missed = f"the diagnosis was ended by its time limit of {limit:g} s"
        _kill(process)
        output, _ = process.communicate()
    finally:
        _kill(process)
    parts = [part for line in output.decode(errors="replace").splitlines() if (part := _read(line)) is not None]
    if missed is None and process.returncode:
        missed = f"the diagnosis itself failed (exit code {process.returncode})"
    return parts, missed


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _read(line: str) -> dict[str, Any] | None:
    try:
        part = json.loads(line)
    except ValueError:
        return None  # cut off in the middle
    return dict(secrets.tree(part)) if isinstance(part, dict) else None
