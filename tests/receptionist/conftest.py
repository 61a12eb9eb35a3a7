"""Fixtures of the receptionist's tests: defects that can be switched, a database, the application in this process."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from dialtone.sandbox.credentials import new_credentials
from dialtone.sandbox.isolation import before_exec, identity_for_postgres, stepping_down
from dialtone.sandbox.postgres import ADMIN, OWNER, Cluster
from dialtone_receptionist import defects
from dialtone_receptionist.database import migrate
from dialtone_receptionist.middleware import Gate
from dialtone_receptionist.services import Services
from dialtone_receptionist.settings import Settings


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Switch exactly these defects on, as the sandbox does: by replacing the file."""
    file = tmp_path / "defects.json"

    def set_to(*names: str) -> None:
        assert set(names) <= defects.DEFECTS.keys()
        new = file.with_suffix(".new")
        new.write_text(json.dumps(names))
        new.replace(file)

    monkeypatch.setattr(defects, "switches", defects.Switches(str(file)))
    return set_to


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass(frozen=True, repr=False)
class Databases:
    """Addresses of one migrated database: as its owner, and as the administrator."""

    url: str
    admin_url: str


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A Postgres of these tests' own."""
    folder = tmp_path_factory.mktemp("postgres")
    identity, credentials = identity_for_postgres(), new_credentials()
    cluster = Cluster(folder / "data", free_port())
    cluster.prepare(identity)
    password = folder / "password"
    password.write_text(credentials.admin_password)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            stepping_down(command, identity, signal.SIGQUIT),
            preexec_fn=before_exec(identity, signal.SIGQUIT),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    assert start(cluster.initdb_command(password)).wait(90) == 0
    cluster.configure()
    server = start(cluster.server_command())
    try:
        deadline, pause = time.monotonic() + 60, threading.Event()
        while not cluster.is_ready():
            assert server.poll() is None
            assert time.monotonic() < deadline
            pause.wait(0.02)
        cluster.set_up(credentials, environment)
        url = cluster.url(OWNER, credentials.owner_password)
        migrate(url)
        yield Databases(url, cluster.url(ADMIN, credentials.admin_password))
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(60)


Tenants = Callable[..., dict[str, Any]]


@pytest.fixture
def db(databases: Databases) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A session to look into the database with."""
    with psycopg.connect(databases.url, autocommit=True, row_factory=psycopg.rows.dict_row) as session:
        yield session


@pytest.fixture
def tenant(db: psycopg.Connection[dict[str, Any]]) -> Iterator[Tenants]:
    """Make businesses that are removed again."""
    made: list[uuid.UUID] = []

    def make(**columns: Any) -> dict[str, Any]:
        number = uuid.uuid4().int
        values = {
            "business_name": "dialtone-synthetic test",
            "phone_number": f"+1500{number % 10**7:07d}",
            "escalation_phone": f"+1500{number % 10**6:07d}",
            "retell_agent_id": f"agent_{number:x}",
            "stripe_customer_id": f"cus_{number:x}",
            **columns,
        }
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        statement = f"INSERT INTO businesses ({names}) VALUES ({marks}) RETURNING *"  # noqa: S608
        row = db.execute(statement.encode(), list(values.values())).fetchone()
        assert row is not None
        made.append(row["id"])
        return row

    yield make
    db.execute("DELETE FROM businesses WHERE id = ANY(%s)", (made,))


def settings(databases: Databases, **more: str) -> Settings:
    """Settings of an application without Redis, Sentry, Slack and mail, whose providers are `*.test`."""
    return Settings.from_env(
        {
            "DATABASE_URL": databases.url,
            "PORT": "1",
            "TLS_PORT": "1",
            "PLAIN_PORT": "1",
            "TLS_CERT_FILE": "unused",
            "TLS_KEY_FILE": "unused",
            "JWT_SECRET": "j" * 40,
            "STRIPE_SECRET_KEY": "sk_test_x",
            "STRIPE_WEBHOOK_SECRET": "whsec_x",
            "RETELL_API_KEY": "key_x",
            "TELNYX_API_KEY": "KEYx",
            "CRON_SECRET": "cron",
            "NEXT_PUBLIC_APP_URL": "http://app.test",
            "STRIPE_API_BASE": "http://stripe.test",
            "RETELL_API_BASE": "http://retell.test",
            "TELNYX_API_BASE": "http://telnyx.test",
            "GOOGLE_OAUTH_BASE": "http://oauth.test",
            "GOOGLE_API_BASE": "http://google.test",
            **more,
        }
    )


@asynccontextmanager
async def running(databases: Databases, **more: str) -> AsyncIterator[tuple[Services, httpx.AsyncClient]]:
    """The application in this process: its services, and a client for it."""
    from dialtone_receptionist import app

    gate = app.build(settings(databases, **more), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert isinstance(gate, Gate)
    services = gate.services
    await services.open()
    try:
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            yield services, client
    finally:
        await services.close()
