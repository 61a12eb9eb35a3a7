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
from dialtone.sandbox.processes import RUN_ID_VARIABLE, send, start_time, wait_gone

ATTACH_VARIABLE = "DIALTONE_SANDBOX"
"""Path of the state file of a sandbox that somebody else started: use that one, start and stop nothing."""

_ANSWER_BOUND = 200.0  # two starts of 90 s, a sweep before and a stop between them
_STOP_BOUND = 6.0


class SandboxError(RuntimeError):
    """The sandbox did not get healthy, or is gone; the message says why, without secrets."""


class Sandbox:
    """A complete local deployment on loopback. Use `start`, or `begin` and `wait` to do something meanwhile."""

    def __init__(self, state_file: Path, holder: _Holder | None = None) -> None:
        self.state_file = state_file
        self._holder = holder
        self._loaded: dict[str, Any] | None = None

    @classmethod
    def start(cls, app: Sequence[str] | None = None, *, progress: Callable[[str], None] | None = None) -> Sandbox:
        """Start a sandbox and return when it is healthy, about 3 s later.

        `app` is the command of the application, by default the one that comes with the suite; `progress` is told what
        is being done. With DIALTONE_SANDBOX set, attaches to that sandbox instead. Raises SandboxError.
        """
        attached = os.environ.get(ATTACH_VARIABLE)
        return cls.attach(attached) if attached else cls.begin(app).wait(progress)

    @classmethod
    def begin(
        cls,
        app: Sequence[str] | None = None,
        *,
        standins: Sequence[str] | None = None,
        webhooks: Mapping[str, str] | None = None,
        resident: bool = False,
        listed: Mapping[str, Mapping[str, Any]] | None = None,
        recoverable: bool = False,
        database_only: bool = False,
        intercepted: bool = False,
        way: str | None = None,
        hosts: Mapping[str, str] | None = None,
        schema: Sequence[str] = (),
        brought: Sequence[str] = (),
        folder: str | None = None,
    ) -> Sandbox:
        """Start a sandbox without waiting for it: `state_file` is known at once, everything else after `wait`.

        In `app`, `{python}` stands for this Python. `standins` is another command for the stand-ins; it gets
        `--config FILE` and prints `ready`. `webhooks` are the paths of the application to which the stand-ins deliver
        (`stripe`, `telnyx_sms`, `telnyx_voice`). A `resident` sandbox is one that `dialtone sandbox down` may
        take down. `listed` is what stand-ins list of the time before the start. A `recoverable` one archives its WAL
        and has page checksums; `database_only` starts PostgreSQL and nothing else. An `intercepted` one has the
        interceptor between the application and all that it calls; with a `way` it always has, and what the application
        calls by name is led there too: `hosts` are further ones (`interception.further`). `schema` are files of SQL, or
        globs of them, that run before the application. Both are looked for in `folder`, by default the working one.
        `brought` are names of stand-ins that installed packages bring.
        """
        commands = {"app": filled(app), "standins": filled(standins)}
        try:
            holder = _Holder(
                {
                    **commands,
                    "webhooks": dict(webhooks or {}),
                    "resident": resident,
                    "listed": dict(listed or {}),
                    "recoverable": recoverable,
                    "database_only": database_only,
                    "intercepted": intercepted or bool(way),
                    "way": way,
                    "hosts": dict(hosts or {}),
                    "schema": list(schema),
                    "brought": list(brought),
                    "cwd": str(Path(folder or "").resolve()),
                }
            )
        except OSError as error:
            raise SandboxError(f"the sandbox did not start: {error}") from error
        return cls(holder.folder / "state.json", holder)

    @classmethod
    def attach(cls, state_file: str | os.PathLike[str], *, wait: bool = False) -> Sandbox:
        """Use a sandbox that somebody else holds; with `wait` one that somebody else has begun to start.

        Raises SandboxError when there is none.
        """
        path = Path(state_file)
        deadline = time.monotonic() + (_ANSWER_BOUND if wait else 0.0)
        seen = False
        while not ((live := folders.is_live(path.parent)) and path.exists()):
            gone = seen and not live
            if gone or path.exists() or time.monotonic() >= deadline:
                raise SandboxError(f"no sandbox runs at {path}: unset {ATTACH_VARIABLE} to start one")
            seen = seen or live
            time.sleep(0.02)
        return cls(path)

    def wait(self, progress: Callable[[str], None] | None = None) -> Self:
        """Return when the sandbox is healthy. Raises SandboxError with the reason; then nothing is left running."""
        if self._holder is not None:
            try:
                self._holder.answer(progress)
            except BaseException:
                self._holder.stop()
                raise
        return self

    @property
    def _state(self) -> dict[str, Any]:
        if self._loaded is None:
            try:
                self._loaded = json.loads(self.state_file.read_text())
            except (OSError, ValueError) as error:
                raise SandboxError(f"{self.state_file} is not the state of a healthy sandbox: {error}") from error
        return self._loaded

    @property
    def env(self) -> dict[str, str]:
        """All variables `SANDBOX_*` that the profile of the target `sandbox` refers to; secrets among them."""
        return dict(self._state["environment"])

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return self.state_file.parent.name

    @property
    def admin_database_url(self) -> str:
        """The database superuser's URL of the application's database; a secret."""
        return str(self._state["admin_database_url"])

    @property
    def defects_file(self) -> Path:
        """The file with the JSON list of active defects."""
        return Path(self._state["defects_file"])

    @property
    def interceptor(self) -> Path | None:
        """The folder of the interceptor between the application and its providers; None without one."""
        folder = self._state.get("interceptor")
        return Path(folder) if folder else None

    @property
    def ports(self) -> dict[str, int]:
        """The ports of 127.0.0.1 by name of the listener."""
        return dict(self._state["ports"])

    @property
    def seconds(self) -> float:
        """How long the start took, from the supervisor's first step until everything was healthy."""
        return float(self._state["seconds"])

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

    def switch_again(self) -> None:
        """Make the active defects, or none, active anew: what the application keeps of the time before ends."""
        active: list[str] = []
        with suppress(OSError, ValueError):
            active = json.loads(self.defects_file.read_text())
        self.switch(active)

    @property
    def data(self) -> Path:
        """The data folder of its PostgreSQL."""
        return self.state_file.parent / "postgres"

    def stop_part(self, name: str, how: str = "asked") -> None:
        """Stop `postgres` or `application`: "asked", "at once" (SIGQUIT) or "killed". Raises SandboxError."""
        self._order(stop=name, how=how)

    def start_part(self, name: str, environment: Mapping[str, str] | None = None, *, within: float = 30.0) -> None:
        """Start a part that was stopped and return when it is ready; `environment` replaces some of its variables.

        Raises SandboxError with its last words, when it ends or is not ready `within` seconds.
        """
        self._order(start=name, environment=dict(environment or {}), within=within)

    def _order(self, **order: Any) -> None:
        if self._holder is None:
            raise SandboxError("only who started a sandbox may stop a part of it")
        self._holder.order(order)

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


def filled(command: Sequence[str] | None) -> list[str] | None:
    """The command with this Python in place of `{python}`."""
    return [word.replace("{python}", sys.executable) for word in command] if command else None


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
        self._healthy, self._pending = False, b""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended already; `answer` says why
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def answer(self, progress: Callable[[str], None] | None) -> None:
        """Return when the sandbox is healthy."""
        while not self._healthy:
            message = self._said(time.monotonic() + _ANSWER_BOUND, "the sandbox did not start")
            if "ready" in message:
                self._healthy = True
            elif "error" in message:
                raise SandboxError(f"the sandbox did not start: {message['error']}")
            elif progress:
                progress(message["progress"])

    def order(self, order: Mapping[str, Any]) -> None:
        """Give an order to the running sandbox and wait until it is carried out."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            raise SandboxError("the sandbox is gone") from None
        message = self._said(time.monotonic() + order.get("within", 0.0) + 30.0, "the sandbox is gone")
        if "failed" in message:
            raise SandboxError(message["failed"])

    def _said(self, deadline: float, otherwise: str) -> dict[str, str]:
        """The supervisor's next message. Raises SandboxError when there is none."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise SandboxError(f"{otherwise}: its supervisor does not answer")
            data = os.read(descriptor, 65_536)
            if not data:
                raise SandboxError(f"{otherwise}: {self._last_words()}")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, str] = json.loads(line)
        return message

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


def stop_resident(folder: Path, seconds: float = 30.0) -> bool | None:
    """Take down the resident sandbox of this run folder; None when it is not resident, False when it does not end."""
    try:
        state = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError):
        return None
    pid, started = state["supervisor"]
    if not state["resident"] or start_time(pid) != started:
        return None
    send(pid, signal.SIGTERM)
    return not wait_gone([pid], seconds)
