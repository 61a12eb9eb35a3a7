"""A PostgreSQL server of the tests' own, started once a process by whoever asks for it first."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.hostile import closed_port

from dialtone.sandbox.isolation import before_exec, identity_for_postgres, stepping_down
from dialtone.sandbox.postgres import ADMIN, Cluster

PASSWORD = "canary-pa55word"  # must never be shown


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the server's first database, as its superuser."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    (folder / "password").write_text(PASSWORD)
    cluster = Cluster(folder / "data", closed_port())
    identity, end = identity_for_postgres(), signal.SIGINT
    cluster.prepare(identity)
    initdb = stepping_down(cluster.initdb_command(folder / "password"), identity, end)
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, timeout=90, preexec_fn=before_exec(identity, end))
    cluster.configure()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            stepping_down(cluster.server_command(), identity, end),
            stderr=log,
            preexec_fn=before_exec(identity, end),
        )
    try:
        url = f"postgresql://{ADMIN}:{PASSWORD}@127.0.0.1:{cluster.port}/postgres"
        while server.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(url, connect_timeout=2).close()
                break
        assert server.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        server.send_signal(end)
        server.wait(60)
