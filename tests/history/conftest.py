"""Histories on both databases; the embedded PostgreSQL is one for a whole session of tests."""

from __future__ import annotations

import itertools
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dialtone.history import Result, Run, Store
from dialtone.sandbox.isolation import Identity, before_exec, identity_for_postgres, stepping_down
from dialtone.sandbox.postgres import ADMIN, Cluster
from dialtone.verdict import Verdict

NOON = 1_760_011_200.0
"""2025-10-09, noon: the moment of most tests, in seconds since 1970."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """An embedded PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self.identity = identity_for_postgres()
        if self.identity is Identity.NOBODY:
            folder.chmod(0o711)
        self.cluster = Cluster(folder / "postgres", free_port())
        self.password = secrets.token_hex(8)
        word = folder / "password"
        word.write_text(self.password)
        word.chmod(0o644)
        self.cluster.prepare(self.identity)
        done = self._spawn(self.cluster.initdb_command(word)).wait(timeout=60)
        assert done == 0, "initdb failed"
        self.cluster.configure()
        self.start()

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            stepping_down(command, self.identity, signal.SIGINT),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=before_exec(self.identity, signal.SIGINT),
            start_new_session=True,
        )

    def start(self) -> None:
        """Serve; returns when connections are accepted."""
        self.process = self._spawn(self.cluster.server_command())
        for _ in range(1000):
            if self.cluster.is_ready():
                return
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.01)
        raise AssertionError("the server is not ready")

    def stop(self) -> None:
        """End it, connections first."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)

    def url(self, database: str = "postgres") -> str:
        """Its superuser's address."""
        return f"postgresql://{ADMIN}:{self.password}@127.0.0.1:{self.cluster.port}/{database}"

    def database(self, name: str) -> str:
        """Make an empty database; its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of this session."""
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.stop()


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty history can be: a path or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    made: Server = request.getfixturevalue("server")
    return made.database(f"history_{next(_numbers)}")


@pytest.fixture
def open_store(place: str) -> Iterator[Callable[[], Store]]:
    """Opens the history of this test, as often as wanted."""
    opened: list[Store] = []

    def make() -> Store:
        opened.append(Store.open(place, clock=lambda: NOON))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """An open, empty history."""
    return open_store()


def run(name: str = "r1", planned: float = NOON, **more: object) -> Run:
    """A run on production, one a minute unless told otherwise."""
    return Run(name, "production", planned, planned, **{"every": 60.0, **more})  # type: ignore[arg-type]


def result(check: str = "health", at: float = NOON, verdict: Verdict = Verdict.OK, **more: object) -> Result:
    """A result of a check."""
    return Result(check, at, verdict, **more)  # type: ignore[arg-type]
