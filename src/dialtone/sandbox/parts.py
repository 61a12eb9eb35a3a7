"""A part of the sandbox: one child process of the supervisor, its log, its readiness and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dialtone.sandbox.fence import fence
from dialtone.sandbox.isolation import Identity, before_exec, stepping_down
from dialtone.sandbox.processes import send

_TAIL_LINES, _TAIL_BYTES = 15, 4_000
_PORT_TAKEN = re.compile(
    r"address already in use|could not bind|EADDRINUSE|Errno 98\b|Errno 48\b|:\d+ is taken", re.IGNORECASE
)


class Part:
    """A running child. Its stderr goes to a file of the run folder; a line `ready` on its stdout makes it ready."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        cwd: Path | None = None,
        identity: Identity = Identity.OWN,
        stop_signal: signal.Signals = signal.SIGTERM,
        fenced: bool = False,
    ) -> None:
        """Start the child in a process group of its own, `fenced` with no way to where providers are.

        Raises OSError when the command cannot be started.
        """
        self.name = name
        self.log = folder / f"{name}.log"
        self.stop_signal = stop_signal
        self.ready = False
        self._pending = b""
        self._group_gone = False
        # The supervisor has one thread, so code may run between fork and exec.
        before = before_exec(identity, stop_signal)
        with self.log.open("ab") as log, fence(before, closed=fenced) as prepare:
            self.process = subprocess.Popen(
                stepping_down(list(command), identity, stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                cwd=cwd or folder,
                process_group=0,
                preexec_fn=prepare,  # noqa: PLW1509
            )
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)

    @property
    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.process.poll()

    def read(self) -> bool:
        """Take what the child wrote to stdout: notice `ready`, keep the rest in the log. False at the end."""
        try:
            data = os.read(self.output, 65_536)
        except BlockingIOError:
            return True
        kept = data if self.ready else self._look_for_ready(data)
        if kept:
            with self.log.open("ab") as log:
                log.write(kept)
        return bool(data)

    def _look_for_ready(self, data: bytes) -> bytes:
        """Notice the line `ready`; answers what else was said, in whole lines."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        self._pending = self._pending[-4096:]
        others = [line for line in lines if line.strip() != b"ready"]
        self.ready = len(others) < len(lines)
        return b"".join(line + b"\n" for line in others)

    def tail(self) -> str:
        """The last lines of its log, as they are: whoever shows them masks secrets first."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])

    @property
    def found_its_port_taken(self) -> bool:
        """Whether its last words say that somebody else listens on its port."""
        return _PORT_TAKEN.search(self.tail()) is not None

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send it a signal, or its whole process group."""
        if group or self.ended is None:
            send(self.process.pid, number, group=group)

    @property
    def has_group(self) -> bool:
        """Whether there is still a process in its group."""
        if self._group_gone:
            return False
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs as another user
            return True
        return True

    def kill_group(self) -> None:
        """End it and whatever of it outlived it. Once only: later its id may be another process' group."""
        if not self._group_gone:
            self._group_gone = True
            send(self.process.pid, signal.SIGKILL, group=True)


def stop_all(parts: Sequence[Part]) -> None:
    """End all parts: asked politely first, without question after 2.5 s at the latest.

    Postgres is asked by SIGINT (fast shutdown) and then SIGQUIT, since SIGKILL leaks its shared memory. The server
    inside initdb has lost its master then, and gets a moment to end by itself.
    """
    for part in parts:
        part.signal(part.stop_signal)
    if not _gone(parts, 1.5):
        for part in parts:
            harder = signal.SIGQUIT if part.stop_signal is signal.SIGINT else signal.SIGTERM
            part.signal(harder, group=part.ended is None)
        _gone(parts, 1.0)
    _vanished([part for part in parts if part.stop_signal is signal.SIGINT], 1.5)
    for part in parts:
        part.kill_group()
        part.process.wait()
        if part.process.stdout is not None:
            part.process.stdout.close()


def _vanished(parts: Sequence[Part], seconds: float) -> None:
    """Wait until the process groups of these parts are empty, at most so long."""
    deadline = time.monotonic() + seconds
    while any(part.has_group for part in parts) and time.monotonic() < deadline:
        time.sleep(0.005)


def _gone(parts: Sequence[Part], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(part.ended is None for part in parts):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True
