"""The pieces of the sandbox by themselves: ports, folders, leftovers, credentials."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import stat
import sys
from pathlib import Path

import pytest
from tests.sandbox.conftest import eventually

from dialtone.sandbox import folder as folders
from dialtone.sandbox import isolation, leftovers, ports, sweep
from dialtone.sandbox.credentials import new_credentials
from dialtone.sandbox.postgres import Cluster
from dialtone.sandbox.supervisor import answers

IPC_PRIVATE, IPC_CREAT = 0, 0o1000


def test_free_ports_differ_and_bind() -> None:
    """Each name gets a port of its own on which a listener can start."""
    chosen = ports.free_ports("abcdefgh", random.Random(1))  # noqa: S311 - ports are no secrets
    assert len(set(chosen.values())) == 8
    for port in chosen.values():
        with socket.create_server(("127.0.0.1", port)) as listener:
            assert listener.getsockname()[1] == port


def test_port_in_use_is_not_chosen() -> None:
    """The same seed chooses the same port, unless somebody listens there."""
    first = ports.free_ports(["a"], random.Random(2))["a"]  # noqa: S311
    with socket.create_server(("127.0.0.1", first)):
        assert ports.free_ports(["a"], random.Random(2))["a"] != first  # noqa: S311


def test_ports_without_a_safe_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel uses every port for outgoing connections, it chooses."""
    monkeypatch.setattr(ports, "_ephemeral_from", lambda: 1024)
    assert len(set(ports.free_ports("abc").values())) == 3


def test_run_folder_is_private_and_locked(root: Path) -> None:
    """It is the user's own, it is live while its lock is held, and nothing of it stays."""
    folder = folders.create(folders.new_run_id())
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    written = folder.write("state.json", {"a": 1})
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert folders.live_runs() == [folder.path]
    assert folders.dead_runs() == []
    folder.remove()
    assert folders.live_runs() == []
    assert [path.name for path in root.iterdir()] == [".lock"]


def test_default_place_goes_with_its_last_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the temporary folder nothing stays, not even the place for run folders."""
    monkeypatch.delenv("DIALTONE_RUN_DIR", raising=False)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = folders.create(folders.new_run_id())
    assert folder.path.parent == tmp_path / f"dialtone-{os.getuid()}"
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_place_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may make a folder or a link in the temporary folder: secrets do not go there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    monkeypatch.setenv("DIALTONE_RUN_DIR", str(link))
    with pytest.raises(PermissionError, match=r"link belongs to somebody else; set DIALTONE_RUN_DIR"):
        folders.create(folders.new_run_id())


@pytest.mark.parametrize("contents", [{}, {"lock": ""}, {"lock": "", "processes.json": '{"postgres": [1, null]}'}])
def test_sweep_removes_dead_folders_only(root: Path, contents: dict[str, str]) -> None:
    """A run killed at any moment leaves a folder whose lock is free; what is not a run folder stays."""
    dead = root / folders.new_run_id()
    dead.mkdir(parents=True)
    for name, text in contents.items():
        (dead / name).write_text(text)
    (root / "something-else").mkdir()
    alive = folders.create(folders.new_run_id())
    assert sweep() == [dead.name]
    assert {path.name for path in root.iterdir()} == {".lock", "something-else", alive.run_id}
    alive.remove()


@pytest.mark.skipif(sys.platform != "linux", reason="System V segments are read from /proc")
def test_only_an_orphaned_segment_of_the_same_key_is_removed() -> None:
    """The id alone proves nothing: Postgres may have run in a namespace, or the id may be another's by now."""
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    identifier = libc.shmget(IPC_PRIVATE, 56, IPC_CREAT | 0o600)
    try:
        leftovers.remove_segment(12345, identifier)
        assert _exists(identifier)
        address = libc.shmat(identifier, None, 0)
        leftovers.remove_segment(IPC_PRIVATE, identifier)
        assert _exists(identifier)
        libc.shmdt(ctypes.c_void_p(address))
        leftovers.remove_segment(IPC_PRIVATE, identifier)
        assert not _exists(identifier)
    finally:
        libc.shmctl(identifier, 0, None)


def _exists(identifier: int) -> bool:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return any(int(line.split()[1]) == identifier for line in lines)


def test_pid_file_of_the_server(tmp_path: Path) -> None:
    """Its 7th line names the segment, its 8th says ready; while it is being written there are fewer."""
    cluster = Cluster(tmp_path, 5432)
    assert not cluster.is_ready()
    assert cluster.shared_memory() is None
    lines = ["4600", "/data", "1795474301", "45999", "", "127.0.0.1", "  2359702        12"]
    (tmp_path / "postmaster.pid").write_text("\n".join(lines[:5]))
    assert cluster.shared_memory() is None
    (tmp_path / "postmaster.pid").write_text("\n".join([*lines, "ready   "]))
    assert cluster.is_ready()
    assert cluster.shared_memory() == (2359702, 12)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 Not yet\r\n\r\n", b"SSH-2.0\r\n", b""], ids=["slow", "no HTTP", "hangs up"]
)
def test_an_application_that_is_slow_to_answer_is_heard(answer: bytes) -> None:
    """It may take longer than a look: it is not asked again meanwhile, and any answer of HTTP is one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        look = answers(listener.getsockname()[1])
        assert not look()
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(30)
            assert peer.recv(100).startswith(b"GET / HTTP/1.1\r\n")
            assert not look()
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
            peer.sendall(answer)
        seen: list[bool] = []
        assert eventually(lambda: bool(seen.append(look()) or seen[-1] or len(seen) > 9))
        assert any(seen) is answer.startswith(b"HTTP/")
    assert not any(look() for _ in range(3))


def test_credentials_are_new_every_time() -> None:
    """No two starts share a secret."""
    one, other = new_credentials(), new_credentials()
    assert not set(one.values()) & set(other.values())
    assert one.telnyx_public_key() != other.telnyx_public_key()


def test_root_without_namespaces_steps_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that forbids namespaces Postgres runs as nobody; else the remedy is said."""
    monkeypatch.setattr(isolation, "_namespace_works", lambda: False)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(isolation.shutil, "which", lambda _: "/usr/bin/setpriv")
    identity = isolation.identity_for_postgres()
    command = isolation.stepping_down(["initdb"], identity, isolation.signal.SIGINT)
    assert command[0] == "setpriv"
    assert command[-1] == "initdb"
    assert "--reuid=65534" in command
    monkeypatch.setattr(isolation.shutil, "which", lambda _: None)
    with pytest.raises(PermissionError, match="run as an ordinary user"):
        isolation.identity_for_postgres()


def test_ordinary_user_without_namespaces_runs_as_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands in the way of an ordinary user."""
    monkeypatch.setattr(isolation, "_namespace_works", lambda: False)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    identity = isolation.identity_for_postgres()
    assert isolation.stepping_down(["initdb"], identity, isolation.signal.SIGINT) == ["initdb"]
