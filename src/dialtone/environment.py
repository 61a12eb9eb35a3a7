"""What a run of checks needs around it: the sandbox (started by the controller) and the target.

The controller looks into the files of the run before workers are started. If they hold checks for a sandbox, it sets
the sandbox going at once and names its state file in the environment, which the workers inherit; everybody waits for it
before the first test. Without checks nothing of this happens.

Experiments get a sandbox with an interceptor in it; where workers run them each has a sandbox of its own, because a
fault of one is not to be met by the load of another. The first worker uses the controller's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dialtone.scan import holds_checks, holds_experiments

if TYPE_CHECKING:
    from dialtone.probes.shared import Memory
    from dialtone.sandbox import Sandbox
    from dialtone.target import Target

STATE = "DIALTONE_SANDBOX"
INTERCEPTOR = "DIALTONE_INTERCEPTOR"
APART = "DIALTONE_SANDBOXES_APART"
"""Set for the workers of a run of experiments: a sandbox for each, the controller's for the first."""


class Environment:
    """Sandbox and target of one process."""

    def __init__(self, config: pytest.Config, is_worker: bool) -> None:
        self._config, self._is_worker = config, is_worker
        self._sandbox: Sandbox | None = None
        self._target: Target | None = None
        self.baseline: Target | None = None
        """With `--baseline`: what the target is compared with; only after `open`."""
        self._shared: Memory | None = None
        self._foreseen = False
        self._names: dict[tuple[str, str | None], list[str]] = {}
        self._passing = False
        self._experiments = is_worker and APART in os.environ
        self._before: dict[str, str | None] = {}

    @property
    def opened(self) -> bool:
        """Whether there was a run of checks."""
        return self._target is not None

    @property
    def passing(self) -> bool:
        """Whether the target was a sandbox of this run alone: what is known of it is of no use to the next run."""
        return self._passing

    @property
    def target(self) -> Target:
        """The target; only after `open`."""
        if self._target is None:
            raise pytest.UsageError("no target is open: checks run only below pytest_runtestloop")
        return self._target

    @property
    def runbook(self) -> str:
        """Address of the runbook that section links lead to."""
        return self._target.profile.runbook if self._target else ""

    def foresee(self) -> None:
        """Controller, before anything is collected: set the sandbox going if this run will need it."""
        if self._is_worker or self._config.option.collectonly:
            return
        args = [Path(str(arg).partition("::")[0]) for arg in self._config.args]
        base = self._config.invocation_params.dir
        paths = [p if p.is_absolute() else base / p for p in args]
        if holds_checks(paths):
            self._foreseen = True
            self._experiments = holds_experiments(paths)
            self._share()
            with self._in_words():
                self._part()
                if self._kind() == "sandbox":
                    self._begin()
                else:
                    self.open()

    def _part(self) -> None:
        """Before workers exist: those that run experiments are to have a sandbox each."""
        if not (self._experiments and getattr(self._config.option, "tx", None) and self._kind() == "sandbox"):
            return
        if os.environ.get(STATE):
            raise pytest.UsageError(f"experiments at once need a sandbox each: unset {STATE}, or run without -n")
        self._set(APART, "1")

    def _set(self, name: str, value: str) -> None:
        self._before.setdefault(name, os.environ.get(name))
        os.environ[name] = value

    def foreseen(self) -> None:
        """Controller of xdist: workers have collected; wait for the sandbox and judge the profile here, in words."""
        if self._foreseen:
            self.open()

    def open(self) -> Target:
        """The target, after its sandbox (if it is one) is up. Raises UsageError, in words, for a wrong profile."""
        if self._target is None:
            if self._is_worker and self._experiments:
                self._end_with_the_controller()
            with self._in_words():
                from dialtone.target import load

                if self._kind() == "sandbox":
                    self._ready()
                self.baseline = self._compared(self._config.getoption("baseline", None))
                self._target = load(self._path, self._name)
        return self._target

    @staticmethod
    def _end_with_the_controller() -> None:
        """A worker whose controller was killed would finish its experiment, and renew its faults meanwhile."""
        from dialtone.sandbox.isolation import die_with

        die_with(os.getppid(), signal.SIGTERM)

    def _compared(self, name: str | None) -> Target | None:
        from dialtone.target import ProfileError, load
        from dialtone.target.load import read

        if name is None:
            return None
        file = read(self._path)
        if name == self._name:
            raise ProfileError(f"--baseline {name}: that is the target itself")
        if {**file.defaults, **file.target.get(name, {})}.get("kind") == "sandbox":
            raise ProfileError(f"--baseline {name}: a sandbox is no baseline: name a deployment that already runs")
        return load(self._path, name)

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """A wrong profile and a sandbox that does not start end pytest with exit code 4 and their message."""
        from dialtone.sandbox import SandboxError
        from dialtone.target import ProfileError

        try:
            yield
        except ProfileError as wrong:
            self.close()
            raise pytest.UsageError(*str(wrong).splitlines()) from None
        except SandboxError as wrong:
            self.close()
            raise pytest.UsageError(f"the sandbox did not start: {wrong}") from None

    def close(self) -> None:
        """Stop the sandbox that this process started, and forget what its workers shared."""
        if self._shared is not None:
            self._shared.close()
            self._shared = None
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before.clear()

    def apart(self) -> None:
        """A copy of this process shares with nobody: what it reads of a provider is its own."""
        from dialtone.probes.shared import VARIABLE

        os.environ.pop(VARIABLE, None)
        self._sandbox = self._shared = None

    def _share(self) -> None:
        from dialtone.probes.shared import Memory

        self._shared = Memory()

    def names(self, table: str, key: str | None = None) -> list[str]:
        """The names under a table of the target's profile (those that set `key`), before anything is opened."""
        from dialtone.target.load import names

        if (table, key) not in self._names:
            self._names[table, key] = names(self._path, self._name, table, key)
        return self._names[table, key]

    @property
    def _name(self) -> str:
        return str(self._config.option.target)

    @property
    def _path(self) -> Path:
        return Path(self._config.option.dialtone_config)

    def _kind(self) -> str:
        from dialtone.target.load import read

        file = read(self._path)
        return str({**file.defaults, **file.target.get(self._name, {})}.get("kind", ""))

    def _begin(self) -> None:
        from dialtone.sandbox import Sandbox
        from dialtone.target.load import sandbox_options

        if (os.environ.get(STATE) and not self._is_apart) or self._sandbox is not None:
            return
        options = sandbox_options(self._path, self._name)
        self._sandbox = Sandbox.begin(**options, intercepted=self._experiments)
        self._set(STATE, str(self._sandbox.state_file))
        self._passing = True

    @property
    def _is_apart(self) -> bool:
        """Whether this worker is to have a sandbox that is not the controller's."""
        return self._is_worker and self._experiments and self._config.workerinput["workerid"] != "gw0"  # type: ignore[attr-defined]

    def _ready(self) -> None:
        from dialtone.sandbox import Sandbox

        if not os.environ.get(STATE) or self._is_apart:
            if self._is_worker and not self._is_apart:
                raise pytest.UsageError("these checks were not seen before the workers started: run them without -n")
            self._begin()
        if self._sandbox is not None:
            self._sandbox.wait()
            opened = self._sandbox
        else:
            opened = Sandbox.attach(Path(os.environ[STATE]), wait=True)
        os.environ.update(opened.env)
        if opened.interceptor is not None:
            self._set(INTERCEPTOR, str(opened.interceptor))
