"""The controller's side of the sandbox: start one, or use one that somebody else holds.

Only the standard library is imported here, so that a suite without checks pays nothing for it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dialtone.sandbox import folder as folders
from dialtone.sandbox.processes import RUN_ID_VARIABLE, start_time

ATTACH_VARIABLE = "DIALTONE_SANDBOX"
"""Path of the state file of a sandbox that somebody else started: use that one, start and stop nothing."""

_ANSWER_BOUND = 150.0  # two starts of 60 s, a sweep before and a stop between them
_STOP_BOUND = 6.0


class SandboxError(RuntimeError):
    """The sandbox did not get healthy, or is gone; the message says why, without secrets."""


class Sandbox:
    """A complete local deployment on loopback. Use `start`, or `begin` and `wait` to do something meanwhile."""

    def __init__(self, state_file: Path, holder: _Holder | None = None) -> None:
        self.state_file = state_file
        self._holder = holder
        self._state: dict[str, Any] = json.loads(state_file.read_text())

    @classmethod
    def start(cls, app: Sequence[str] | None = None, *, progress: Callable[[str], None] | None = None) -> Sandbox:
        """Start a sandbox and return when it is healthy, about 3 s later.

        `app` is the command of the application, by default the one that comes with the suite; `progress` is told what
        is being done. With DIALTONE_SANDBOX set, attaches to that sandbox instead. Raises SandboxError.
        """
        return cls.begin(app).wait(progress)

    @classmethod
    def begin(
        cls,
        app: Sequence[str] | None = None,
        *,
        standins: Sequence[str] | None = None,
        resident: bool = False,
        attach: bool = True,
    ) -> Starting:
        """Start a sandbox without waiting for it.

        `standins` is another command for the stand-ins; it gets `--config FILE` and prints `ready`. A `resident`
        sandbox is one that `dialtone sandbox down` may take down.
        """
        attached = os.environ.get(ATTACH_VARIABLE) if attach else None
        if attached:
            return Starting(attached=Path(attached))
        commands = {"app": list(app) if app else None, "standins": list(standins) if standins else None}
        return Starting(holder=_Holder({**commands, "resident": resident}))

    @classmethod
    def attach(cls, state_file: str | os.PathLike[str]) -> Sandbox:
        """Use a sandbox that somebody else holds. Raises SandboxError when there is none."""
        path = Path(state_file)
        if not folders.is_live(path.parent):
            raise SandboxError(f"no sandbox runs at {path}: unset {ATTACH_VARIABLE} to start one")
        try:
            return cls(path)
        except (OSError, ValueError) as error:
            raise SandboxError(f"{path} is not the state of a healthy sandbox: {error}") from error

    @property
    def env(self) -> dict[str, str]:
        """All variables `SANDBOX_*` that the profile of the target `sandbox` refers to; secrets among them."""
        return dict(self._state["environment"])

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return str(self._state["run_id"])

    @property
    def admin_database_url(self) -> str:
        """The database superuser's URL of the application's database; a secret."""
        return str(self._state["admin_database_url"])

    @property
    def defects_file(self) -> Path:
        """The file with the JSON list of active defects; replace it atomically."""
        return Path(self._state["defects_file"])

    @property
    def ports(self) -> dict[str, int]:
        """The ports of 127.0.0.1 by name of the listener."""
        return dict(self._state["ports"])

    def problem(self) -> str | None:
        """What went wrong since the start, such as a part that ended with its last words; None if nothing did."""
        if not folders.is_live(self.state_file.parent):
            return "the sandbox is gone"
        try:
            return (self.state_file.parent / "problems.txt").read_text().strip() or None
        except FileNotFoundError:
            return None

    def switch(self, defects: Sequence[str]) -> None:
        """Make exactly these defects active."""
        folders.write_private(self.defects_file, json.dumps(list(defects)))

    def stop(self) -> None:
        """Take the sandbox down and wait until it is gone, at most 6 s. Idempotent; nothing when attached."""
        if self._holder is not None:
            self._holder.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Starting:
    """A sandbox on its way. Dropping it without `wait` or `stop` leaves it running until this process ends."""

    def __init__(self, *, holder: _Holder | None = None, attached: Path | None = None) -> None:
        self._holder = holder
        self._attached = attached

    def wait(self, progress: Callable[[str], None] | None = None) -> Sandbox:
        """Return the healthy sandbox. Raises SandboxError with the reason; then nothing is left running."""
        if self._attached is not None:
            return Sandbox.attach(self._attached)
        assert self._holder is not None
        try:
            return Sandbox(self._holder.answer(progress), self._holder)
        except BaseException:
            self._holder.stop()
            raise

    def stop(self) -> None:
        """Give up the start."""
        if self._holder is not None:
            self._holder.stop()


class _Holder:
    """The supervisor and the pipe that keeps it going. Nobody else may hold the pipe: it is not inheritable."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        from dialtone.sandbox.environment import inherited

        self.run_id = folders.new_run_id()
        self.folder = folders.root_folder() / self.run_id
        own = {name: os.environ[name] for name in (folders.RUN_DIR_VARIABLE,) if name in os.environ}
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the supervisor
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dialtone.sandbox.supervisor", self.run_id],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**inherited(), **own, RUN_ID_VARIABLE: self.run_id},
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches the controller only
        )
        self._answer: Path | None = None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended already; `answer` says why
            self._process.stdin.write(json.dumps({**order, "cwd": str(Path.cwd())}).encode() + b"\n")

    def answer(self, progress: Callable[[str], None] | None) -> Path:
        """The state file, when the sandbox is healthy."""
        if self._answer is not None:
            return self._answer
        assert self._process.stdout is not None
        descriptor, pending = self._process.stdout.fileno(), b""
        deadline = time.monotonic() + _ANSWER_BOUND
        while True:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise SandboxError("the sandbox did not start: its supervisor does not answer")
            data = os.read(descriptor, 65_536)
            if not data:
                raise SandboxError(f"the sandbox did not start: {self._last_words()}")
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "ready" in message:
                    self._answer = Path(message["ready"])
                    return self._answer
                if "error" in message:
                    raise SandboxError(f"the sandbox did not start: {message['error']}")
                if progress:
                    progress(message["progress"])

    def _last_words(self) -> str:
        code = self._process.wait()
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()[-10:]
        return "\n".join([f"its supervisor ended with exit code {code}", *lines])

    def stop(self) -> None:
        """Let go of the pipe and wait; a supervisor that does not end is killed and swept after."""
        process = self._process
        if process.stdin is None or process.stdin.closed:
            return
        process.stdin.close()
        try:
            code = process.wait(_STOP_BOUND)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code < 0:
            from dialtone.sandbox.leftovers import sweep

            sweep()
        if process.stdout is not None:
            process.stdout.close()
        self._words.close()


def stop_resident(folder: Path, seconds: float = _STOP_BOUND) -> bool:
    """Take down the resident sandbox of this run folder; False when it is not resident, or does not end."""
    try:
        state = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError):
        return False
    pid, started = state["supervisor"]
    if not state["resident"] or start_time(pid) != started:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while folders.is_live(folder):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True
