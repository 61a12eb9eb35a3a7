"""An embedded PostgreSQL of its own, for benches and tests of the history."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg

from dialtone.sandbox.isolation import Identity, before_exec, identity_for_postgres, stepping_down
from dialtone.sandbox.postgres import ADMIN, Cluster


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
        if done != 0:
            raise RuntimeError("initdb failed")
        self.cluster.configure()
        self.start()

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            stepping_down(command, self.identity, signal.SIGINT),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=before_exec(self.identity, signal.SIGINT),  # noqa: PLW1509 - one thread at this moment
            start_new_session=True,
        )

    def start(self) -> None:
        """Serve; returns when connections are accepted."""
        self.process = self._spawn(self.cluster.server_command())
        for _ in range(6000):
            if self.cluster.is_ready():
                return
            if self.process.poll() is not None:
                raise RuntimeError("the server ended")
            time.sleep(0.01)
        raise TimeoutError("the server is not ready")

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
