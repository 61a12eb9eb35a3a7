"""Removes what dead runs left: processes, System V segments, folders. A run is dead when its lock is free."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dialtone.sandbox.folder import RunFolder, dead_runs
from dialtone.sandbox.postgres import Cluster
from dialtone.sandbox.processes import is_same, of_run, send, wait_gone


def sweep(report: Callable[[str], None] | None = None) -> list[str]:
    """Remove everything that dead runs of this user left; answers their run ids. Live runs are not touched."""
    swept = []
    for folder in dead_runs():
        clean(folder)
        swept.append(folder.run_id)
        if report:
            report(f"removed what {folder.run_id} left")
    return swept


def clean(folder: RunFolder) -> None:
    """End what still runs of a dead run (Postgres by SIGINT, which removes its shared memory), then remove the rest."""
    path = folder.path
    recorded = _recorded(path)
    running = {pid for pid, started in recorded.values() if is_same(pid, started)} | set(of_run(folder.run_id, path))
    server = recorded.get("postgres", (0, None))[0]
    for pid in running:
        send(pid, signal.SIGINT if pid == server or _works_in(pid, path / "postgres") else signal.SIGTERM)
    for pid in wait_gone(running, 2.0):
        send(pid, signal.SIGKILL)
    left = wait_gone(running, 10.0)
    segment = Cluster(path / "postgres", 0).shared_memory()
    if segment and not left:
        remove_segment(*segment)
    folder.remove()


def _recorded(path: Path) -> dict[str, tuple[int, str | None]]:
    try:
        entries = json.loads((path / "processes.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: (int(pid), started) for name, (pid, started) in entries.items()}


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        return False


def remove_segment(key: int, identifier: int) -> None:
    """Remove a System V segment unless a process is attached, or another one has the same id by now.

    The server may have run in an IPC namespace of its own; then nothing here has its key, or nothing of that id exists.
    """
    if sys.platform == "linux":
        if not _is_orphan(key, identifier):
            return
        _remove_by_number(identifier)
    else:
        subprocess.run(["ipcrm", "-m", str(identifier)], capture_output=True, check=False)


def _is_orphan(key: int, identifier: int) -> bool:
    """proc_sysvipc(5): key, shmid, perms, size, cpid, lpid, nattch, uid, …; keys are shown as signed numbers."""
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        fields = [int(field) for field in line.split()]
        if fields[1] == identifier:
            return (fields[0] - key) % 2**32 == 0 and fields[6] == 0 and os.getuid() in (0, fields[7])
    return False


def _remove_by_number(identifier: int) -> None:
    import ctypes

    ipc_rmid = 0  # sys/ipc.h
    ctypes.CDLL(None).shmctl(identifier, ipc_rmid, None)
