"""However a sandbox ends, nothing is left; what a killed one left is swept by the next."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.conftest import HOLDER, PART, begin, eventually, leftovers, listens

from dialtone.interceptor.listeners import told
from dialtone.sandbox import Sandbox, SandboxError, sweep
from dialtone.sandbox.parts import Part
from dialtone.sandbox.processes import of_run, send, start_time, wait_gone


class Controller:
    """A sandbox that is held by another process."""

    def __init__(self, misbehaviour: str = "") -> None:
        arguments = [str(PART), *filter(None, [misbehaviour])]
        self.process = subprocess.Popen([sys.executable, str(HOLDER), *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.state_file = Path(self.process.stdout.readline().strip())
        self.run_id = self.state_file.parent.name

    def wait(self) -> dict[str, Any]:
        """The state of the healthy sandbox."""
        assert self.process.stdout is not None
        state: dict[str, Any] = json.loads(self.process.stdout.readline())
        return state

    def kill(self) -> None:
        """End it without giving it a chance to clean up."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _leaked() -> set[str]:
    """Shared memory that nobody uses and whose maker is gone: what servers of others have meanwhile is no leak.

    proc_sysvipc(5): key, shmid, perms, size, cpid, lpid, nattch, …
    """
    segments = Path("/proc/sysvipc/shm")
    lines = segments.read_text().splitlines()[1:] if segments.exists() else []
    rows = [[int(field) for field in line.split()[:7]] for line in lines]
    orphans = {str(row[1]) for row in rows if row[6] == 0 and start_time(row[4]) is None}
    return orphans | {path.name for path in Path("/dev/shm").glob("PostgreSQL*") if not _is_mapped(path)}


def _is_mapped(path: Path) -> bool:
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if str(path) in maps.read_text():
                return True
    return False


def _kill_both(controller: Controller, supervisors: list[int]) -> None:
    """Neither sees the end of the other: a supervisor that has a moment left begins to clean up."""
    for pid in supervisors:
        send(pid, signal.SIGSTOP)
    controller.process.kill()
    for pid in supervisors:
        send(pid, signal.SIGKILL)
    controller.kill()


def children(pid: int) -> list[int]:
    """Pids of the children of a process with one thread."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_stop_leaves_nothing_and_is_idempotent(root: Path) -> None:
    """After `stop` there is no process, no listener and no folder; two sandboxes do not know of each other."""
    before = _leaked()
    one, other = begin(), begin()
    one.wait()
    other.wait()
    assert not set(one.ports.values()) & set(other.ports.values())
    assert not set(one.env.values()) & set(other.env.values())
    ports = one.ports
    one.stop()
    one.stop()
    assert leftovers(one.run_id, root, ports) == []
    assert one.problem() == "the sandbox is gone"
    assert other.problem() is None
    assert listens(other.ports["postgres"])
    ports = other.ports
    other.stop()
    assert leftovers(other.run_id, root, ports) == []
    assert eventually(lambda: _leaked() <= before)


def test_killed_controller_leaves_nothing(root: Path) -> None:
    """The supervisor sees the end of its pipe; a child that ignores SIGTERM is ended all the same."""
    controller = Controller("has-a-stubborn-child")
    ports = controller.wait()["ports"]
    controller.kill()
    assert eventually(lambda: not leftovers(controller.run_id, root, ports))


def test_controller_killed_while_the_database_is_created(root: Path) -> None:
    """initdb and the servers inside it end too, and leave no shared memory."""
    before = _leaked()
    controller = Controller()
    assert eventually(lambda: (controller.state_file.parent / "postgres" / "PG_VERSION").exists())
    controller.kill()
    assert eventually(lambda: not leftovers(controller.run_id, root, {}))
    assert eventually(lambda: _leaked() <= before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere parts outlive a killed supervisor until the next sweep")
def test_both_killed_while_the_database_is_created(root: Path) -> None:
    """The kernel ends initdb; its servers end with it or are swept; no shared memory stays."""
    before = _leaked()
    controller = Controller()
    assert eventually(lambda: (controller.state_file.parent / "postgres" / "PG_VERSION").exists())
    supervisors = children(controller.process.pid)
    _kill_both(controller, supervisors)
    assert not wait_gone(supervisors, 30)  # a lock is free when its holder is gone, not when it was told to go
    # A child that was just forked holds its parent's lock too, until it is ended or executes something.
    assert eventually(lambda: sweep() == [controller.run_id])
    assert leftovers(controller.run_id, root, {}) == []
    assert eventually(lambda: _leaked() <= before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere parts outlive a killed supervisor until the next sweep")
def test_sweep_removes_what_a_killed_supervisor_left(root: Path) -> None:
    """Controller and supervisor are killed together: the kernel ends the parts, the next command removes the folder."""
    before = _leaked()
    controller = Controller("has-a-stubborn-child")
    state = controller.wait()
    _kill_both(controller, [state["supervisor"][0]])
    assert eventually(lambda: not listens(state["ports"]["postgres"]))
    assert (root / controller.run_id).exists()
    assert sweep() == [controller.run_id]
    assert leftovers(controller.run_id, root, state["ports"]) == []
    assert eventually(lambda: _leaked() <= before)


def test_part_and_supervisor_that_die_later(root: Path) -> None:
    """A check that sees refused connections can say why; the controller's own `stop` removes what is left."""
    sandbox = begin().wait()
    ports = sandbox.ports
    application = json.loads((sandbox.state_file.parent / "processes.json").read_text())["application"][0]
    send(application, signal.SIGKILL)
    assert eventually(lambda: sandbox.problem() is not None)
    assert sandbox.problem() == "application was killed by SIGKILL and said nothing"
    send(sandbox._state["supervisor"][0], signal.SIGKILL)
    assert eventually(lambda: sandbox.problem() == "the sandbox is gone")
    sandbox.stop()
    assert leftovers(sandbox.run_id, root, ports) == []


def test_part_that_dies_at_the_start_is_named_with_its_last_words(root: Path) -> None:
    """The reason is in the message, secrets are not, and nothing is left."""
    sandbox = begin("dies")
    with pytest.raises(SandboxError, match=r"application ended with exit code 1; its last lines:\ncannot") as told:
        sandbox.wait()
    message = str(told.value)
    assert message.count("‹secret›") == 2
    assert "sk_test_" not in message
    assert leftovers(sandbox.run_id, root, {}) == []


def test_command_that_does_not_exist(root: Path) -> None:
    """The command is named."""
    with pytest.raises(SandboxError, match=r"standins cannot be started: .*no-such-command"):
        Sandbox.begin(standins=["no-such-command"]).wait()


def test_port_taken_meanwhile_is_tried_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody took a port between the choice and the start: the whole start is made again, once."""
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with begin("finds-its-port-taken-once").wait(said.append) as sandbox:
        assert sandbox.problem() is None
    assert "a port was taken meanwhile, starting again with others" in said


def test_what_the_interceptor_says_of_a_taken_port_is_understood(tmp_path: Path) -> None:
    """Its words are its own, not the kernel's: without this the whole start would be given up."""
    words = told(OSError(errno.EADDRINUSE, "in use"), "127.0.0.1", 8443)
    part = Part(
        "interceptor", [sys.executable, "-c", f"import sys; sys.exit({words!r})"], folder=tmp_path, environment={}
    )
    part.process.wait(60)
    part.process.stdout.close()  # type: ignore[union-attr]
    assert part.found_its_port_taken


def test_start_time_tells_a_reused_pid() -> None:
    """A pid with another start time is another process; a process that ended has none."""
    assert start_time(os.getpid()) == start_time(os.getpid())
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert start_time(ended.pid) is None
    assert of_run("run-00000000", Path("/nonexistent")) == []
