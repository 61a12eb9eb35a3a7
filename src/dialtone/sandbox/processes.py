"""What is known about other processes: whether one is still the same, which ones belong to a run, and their end.

A pid alone proves nothing, since pids are reused: a process is named by its pid and the time it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
RUN_ID_VARIABLE = "DIALTONE_RUN_ID"
"""Every process of a sandbox carries its run id in this variable, so that a sweep finds it without a record."""


def start_time(pid: int) -> str | None:
    """When the process started, in whatever form the system has it; None when there is no such process."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None if PROC.joinpath("self").exists() else _start_time_by_ps(pid)
    # proc(5): the name in field 2 may hold spaces and brackets; field 22 is the start time in clock ticks.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _start_time_by_ps(pid: int) -> str | None:
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def is_same(pid: int, started: str | None) -> bool:
    """Whether the process that was recorded with this pid and start time still runs."""
    return started is not None and start_time(pid) == started


def of_run(run_id: str, folder: Path) -> list[int]:
    """Pids of this user's processes that carry the run id in their environment, or are the run's Postgres.

    Postgres may overwrite its environment, but it works in its data folder. Empty where there is no /proc.
    """
    found = []
    data = folder / "postgres"
    marker = f"{RUN_ID_VARIABLE}={run_id}".encode()
    for entry in PROC.glob("[0-9]*"):
        try:
            if int(entry.name) == os.getpid() or os.getuid() not in (0, entry.stat().st_uid):
                continue
            inside = (entry / "cwd").readlink() == data
            if inside or marker in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile, or it is a kernel thread
            continue
    return found


def send(pid: int, number: signal.Signals, *, group: bool = False) -> None:
    """Send a signal to a process or to its process group; one that ended meanwhile is not an error."""
    try:
        (os.killpg if group else os.kill)(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def wait_gone(pids: Iterable[int], seconds: float) -> set[int]:
    """Wait until the processes are gone, at most so long; answers those that are left. Zombies count as gone."""
    left = set(pids)
    deadline = time.monotonic() + seconds
    while True:
        left = {pid for pid in left if start_time(pid) is not None}
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.02)
