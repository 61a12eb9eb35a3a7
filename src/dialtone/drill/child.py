"""A drill's session of pytest: a child process that tells of each experiment as it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from dialtone.drill.choice import HERE
from dialtone.drill.record import PROGRESS
from dialtone.sandbox.isolation import Identity, before_exec

_UNUSED = ("randomly", "cacheprovider", "hypothesispytest", "syrupy")
_GRACE = 20.0
"""Seconds that an interrupted session has to take everything down."""


class Stopped(Exception):
    """The drill was ended before its end; the message says why."""


def arguments(nodeids: Sequence[str], target: str, build: Path, jobs: int, more: Sequence[str] = ()) -> list[str]:
    """The command. Workers, each with a sandbox of its own, only where they save time."""
    plugins = [word for name in _UNUSED for word in ("-p", f"no:{name}")]
    workers = ["-n", str(jobs), "--dist", "worksteal"] if jobs > 1 and len(nodeids) > jobs else ["-p", "no:xdist"]
    told = ["--target", target, "--verdicts", str(build / "verdicts.json"), "--no-diagnosis", "-q"]
    return [sys.executable, "-m", "pytest", *nodeids, *HERE, *told, *plugins, *workers, *more]


def run(
    command: Sequence[str],
    log: Path,
    tell: Callable[[Mapping[str, Any]], None],
    *,
    check: Callable[[], str | None] = lambda: None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run it and return its exit code; `tell` hears of each experiment as it ends.

    `check` is asked twice a second, and at the end, for a reason to stop. Raises Stopped with it, when everything is
    down, and lets KeyboardInterrupt through after the same. What pytest prints goes to `log`.
    """
    reader, writer = os.pipe()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, os.fdopen(reader, "rb", buffering=0) as told:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {}), PROGRESS: str(writer)},
            pass_fds=(writer,),
            process_group=0,  # Ctrl-C comes here, and from here to it
            preexec_fn=before_exec(Identity.OWN, signal.SIGTERM),  # noqa: PLW1509 - there is one thread
        )
        os.close(writer)
        try:
            why = _follow(process, told, tell, check)
        except BaseException:
            _end(process)
            raise
        if why is not None:
            _end(process)
            raise Stopped(why)
    return process.wait()


def _follow(
    process: subprocess.Popen[bytes],
    told: IO[bytes],
    tell: Callable[[Mapping[str, Any]], None],
    check: Callable[[], str | None],
) -> str | None:
    pending, asked = b"", time.monotonic()
    while True:
        ready, _, _ = select.select([told], [], [], 0.5)
        if ready:
            data = told.read(65_536)
            if not data:
                return check()  # the last line may have told a reason
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                tell(json.loads(line))
        if time.monotonic() - asked >= 0.5:
            asked = time.monotonic()
            if (why := check()) is not None:
                return why
        if process.poll() is not None and not ready:
            return check()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, as Ctrl-C would; its supervisors take the sandboxes down whatever it does."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
