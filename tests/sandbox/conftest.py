"""Fixtures of the sandbox's tests: a place of their own, and small parts instead of the real ones."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialtone.sandbox import ATTACH_VARIABLE, Sandbox
from dialtone.sandbox.processes import of_run

PART = Path(__file__).with_name("part.py")
HOLDER = Path(__file__).with_name("holder.py")


def command(misbehaviour: str = "") -> list[str]:
    """The command of a small part."""
    return [sys.executable, str(PART), *filter(None, [misbehaviour])]


def begin(misbehaviour: str = "") -> Sandbox:
    """Start a sandbox with small parts, the application misbehaving."""
    return Sandbox.begin(command(misbehaviour), standins=command())


def listens(port: int) -> bool:
    """Whether anybody accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Look again and again until it holds, at most so long: when to give up, and nothing of how fast it has to be."""
    deadline = time.monotonic() + seconds
    waiting = socket.socketpair()
    try:
        waiting[0].settimeout(0.05)
        while not holds():
            if time.monotonic() >= deadline:
                return False
            try:
                waiting[0].recv(1)
            except TimeoutError:
                continue
        return True
    finally:
        waiting[0].close()
        waiting[1].close()


def leftovers(run_id: str, root: Path, ports: dict[str, int]) -> list[str]:
    """What is left of a run: processes, listeners, its folder. Empty when nothing is."""
    folder = root / run_id
    if folder.exists():  # it goes last; as long as it is there, nothing else needs a look
        return [str(folder)]
    left = [f"process {pid}" for pid in of_run(run_id, folder)]
    return left + [f"listener {name}" for name, port in ports.items() if listens(port)]


@pytest.fixture(autouse=True)
def _not_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ATTACH_VARIABLE, raising=False)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of this test's own for run folders."""
    monkeypatch.setenv("DIALTONE_RUN_DIR", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def module_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place of this module's own for run folders."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("runs")
        patch.setenv("DIALTONE_RUN_DIR", str(root))
        patch.setenv("DIALTONE_TEST_CANARY", "canary-of-the-caller")
        yield root


@pytest.fixture(scope="module")
def sandbox(module_root: Path) -> Iterator[Sandbox]:
    """One sandbox with small parts, shared by the tests of a module."""
    with begin().wait() as started:
        yield started
