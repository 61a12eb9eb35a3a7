"""Orders to a running sandbox: a part is stopped and started again, and who may say so."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import psycopg
import pytest
from tests.sandbox.conftest import command, eventually, listens

from dialtone.sandbox import Sandbox, SandboxError
from dialtone.sandbox.postgres import SWITCH
from dialtone.sandbox.processes import PROC


@pytest.fixture(scope="module")
def recoverable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox with small parts and a database that archives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIALTONE_RUN_DIR", str(tmp_path_factory.mktemp("runs")))
        with Sandbox.begin(command(), standins=command(), recoverable=True).wait() as made:
            yield made


def _value(sandbox: Sandbox, query: str) -> object:
    with psycopg.connect(sandbox.admin_database_url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_a_recoverable_database_archives_and_has_checksums(recoverable: Sandbox) -> None:
    """A segment that is switched stands in the archive, whole; also where there was nothing left to switch."""
    assert _value(recoverable, "SHOW data_checksums") == "on"
    for _ in range(2):
        archived = recoverable.data.with_name("archive") / str(_value(recoverable, SWITCH))
        assert eventually(archived.exists)
        assert archived.stat().st_size == 1024 * 1024


@pytest.mark.parametrize("how", ["asked", "at once", "killed"])
def test_postgres_stops_and_comes_back_with_what_was_committed(recoverable: Sandbox, how: str) -> None:
    """However it ended; nothing of this is a problem of the sandbox."""
    with psycopg.connect(recoverable.admin_database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (x int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    before = _value(recoverable, "SELECT count(*) FROM kept")
    recoverable.stop_part("postgres", how)
    assert not listens(recoverable.ports["postgres"])
    recoverable.start_part("postgres")
    assert _value(recoverable, "SELECT count(*) FROM kept") == before
    assert recoverable.problem() is None


def test_an_application_comes_back_with_another_environment(recoverable: Sandbox) -> None:
    """One variable is another one, the rest is as it was; its old process is gone."""
    import json

    def pid() -> int:
        return int(json.loads((recoverable.state_file.parent / "processes.json").read_text())["application"][0])

    def variables() -> dict[str, str]:
        words = (PROC / str(pid()) / "environ").read_bytes().decode().split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)

    before, old = variables(), pid()
    recoverable.stop_part("application")
    recoverable.start_part("application", {"JWT_SECRET": "another"})
    after = variables()
    assert pid() != old
    assert after["JWT_SECRET"] == "another"
    assert {**after, "JWT_SECRET": before["JWT_SECRET"]} == before


def test_an_application_waits_for_its_port(recoverable: Sandbox) -> None:
    """Somebody has it for a moment, until the application has found it taken: it is started again, and serves."""
    recoverable.stop_part("application")
    log = recoverable.state_file.parent / "application.log"
    before = log.stat().st_size
    holder = socket.create_server(("127.0.0.1", recoverable.ports["edge"]))

    def let_go() -> None:
        eventually(lambda: b"in use" in log.read_bytes()[before:], 60.0)
        holder.close()

    waiting = threading.Thread(target=let_go)
    waiting.start()
    recoverable.start_part("application")
    waiting.join()
    assert b"in use" in log.read_bytes()[before:]
    assert listens(recoverable.ports["edge"])


def test_what_cannot_be_done_is_refused_in_words(recoverable: Sandbox) -> None:
    """A part that runs is not started, one that cannot be started again either."""
    with pytest.raises(SandboxError, match="postgres runs already"):
        recoverable.start_part("postgres")
    with pytest.raises(SandboxError, match="starts no standins again"):
        recoverable.start_part("standins")


def test_a_part_that_does_not_start_says_why(recoverable: Sandbox) -> None:
    """Its last words are told, and a second try with what it needs succeeds."""
    recoverable.stop_part("postgres")
    control = recoverable.data / "global" / "pg_control"
    control.rename(control.with_name("gone"))
    with pytest.raises(SandboxError, match="pg_control"):
        recoverable.start_part("postgres")
    control.with_name("gone").rename(control)
    recoverable.start_part("postgres")
    assert _value(recoverable, "SELECT 1") == 1


def test_who_only_attached_may_stop_nothing(recoverable: Sandbox) -> None:
    """The parts belong to whoever holds the pipe."""
    with pytest.raises(SandboxError, match="only who started"):
        Sandbox.attach(recoverable.state_file).stop_part("postgres")


def test_a_database_alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing else is started, and nothing is left of it."""
    monkeypatch.setenv("DIALTONE_RUN_DIR", str(tmp_path_factory.mktemp("runs")))
    with Sandbox.begin(database_only=True).wait() as alone:
        assert _value(alone, "SELECT 1") == 1
        assert not listens(alone.ports["edge"])
        place = alone.state_file.parent
    assert not place.exists()
