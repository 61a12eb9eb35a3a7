"""On the production profile nothing but reads leaves the machine: recorded on the wire, and in the database's log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.probes.recorder import Asked, recording

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "dialtone.toml").read_text()
FILE = tomllib.loads(TEXT)
ROUTES, HOOKS = FILE["defaults"]["routes"], FILE["defaults"]["webhooks"]
TOKEN_URL = FILE["defaults"]["providers"]["google"]["token_url"]
FORBIDDEN = {
    "routes.jobs": ROUTES["jobs"],  # a GET that works through the application's jobs
    **{f"routes.{name}": ROUTES[name] for name in ("login", "register", "appointment_create", "client_error")},
    **{f"webhooks.{name}": hook["route"] for name, hook in HOOKS.items()},
}
SIGNATURES = {"stripe-signature", "x-retell-signature", "telnyx-signature-ed25519"}
READS = re.compile(r"\s*(SELECT|WITH|SHOW|SET|DECLARE|FETCH|CLOSE|BEGIN|COMMIT|ROLLBACK|EXPLAIN|DEALLOCATE)\b", re.I)
WRITES = re.compile(r"\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM|TRUNCATE|DROP|CREATE|ALTER|pg_terminate\w*)\b", re.I)


def harmless(asked: Asked) -> bool:
    """What is no GET and changes nothing: the exchange of a refresh token, Retell's lists, the voice webhook's ping.

    Retell lists by POST, with its filter as the body: https://docs.retellai.com/api-references/list-calls.
    """
    if asked.method != "POST":
        return False
    if (asked.host, asked.path) == ("api.retellai.com", "/v3/list-calls"):
        return set(json.loads(asked.body)) <= {"filter_criteria", "sort_order", "limit", "pagination_key"}
    if asked.host:
        return f"https://{asked.host}{asked.path}" == TOKEN_URL and b"grant_type=refresh_token" in asked.body
    return asked.path == ROUTES["retell"] and json.loads(asked.body) == {"event": "ping"}


def named(asked: Asked) -> bool:
    """Whether the profile names this path of a host, below the host's base address or as a whole."""
    bases = [provider["base_url"] for provider in FILE["defaults"]["providers"].values()]
    prefixes = {base.partition(asked.host)[2].rstrip("/") for base in bases if f"//{asked.host}" in base} | {""}
    return any(asked.path.removeprefix(prefix) in TEXT for prefix in prefixes)


def violations(seen: list[Asked], secrets: dict[str, str]) -> list[str]:
    """What of the requests is more than a read, goes where nothing sends it, or carries what does not belong there."""
    found = []
    for asked in seen:
        where = f"{asked.method} {asked.host}{asked.path}"
        if harmless(asked):
            continue
        if asked.method not in ("GET", "HEAD") or asked.body:
            found.append(f"{where}: more than a read")
        if not asked.host and asked.path in FORBIDDEN.values():
            found.append(f"{where}: a route that acts")
        if asked.host and not named(asked):
            found.append(f"{where}: a path that no profile names")
        if SIGNATURES & asked.headers.keys():
            found.append(f"{where}: signed as a provider")
        told = " ".join(asked.headers.values()) + asked.query
        mine = {"cron_secret"} if not asked.host else set(secrets) - {"cron_secret", "synthetic_key", "database_url"}
        found += [f"{where}: carries {name}" for name, value in secrets.items() if value in told and name not in mine]
    return found


@dataclass
class Run:
    """One run of checks against the production profile."""

    asked: list[Asked]
    secrets: dict[str, str]
    checks: dict[str, dict[str, Any]]
    output: str


def run(folder: Path, *paths: str, database: str = "postgresql://u:p@127.0.0.1:1/x") -> Run:
    """Every credential set, every host the recorder, time for samples cut short."""
    secrets = {name: f"value-of-{name}" for name in FILE["target"]["production"]["credentials"]}
    with recording(folder) as (secure, plain, trust):
        text = re.sub(r'"https://((?:[\w-]+\.)+[a-z]+)', rf'"https://localhost:{secure.port}/\1', TEXT)
        head, _, tail = text.partition("[target.production]\n")
        budget = 'budget = { requests = 100000, window = "15m" }'
        quick = 'sample_time = "200ms"\nidle_gap = "5ms"\nsettle = "100ms"\nquiet = "50ms"\n'
        own = f'ca_file = "{trust}"\nplain_url = "http://localhost:{plain.port}"\n{quick}'
        tail = re.sub(r"budget = \{[^}]*\}", budget, tail, count=1)
        (folder / "dialtone.toml").write_text(f"{head}[target.production]\n{own}{tail}")
        variables = FILE["target"]["production"]["credentials"]
        environ = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
            **{variables[name]: value for name, value in secrets.items()},
            "PRODUCTION_URL": f"https://localhost:{secure.port}",
            "PRODUCTION_DATABASE_URL": database,
            "REDIS_REST_URL": f"https://localhost:{secure.port}/redis.upstash.io",
            "DIALTONE_CONFIG": str(folder / "dialtone.toml"),
            "DIALTONE_MEMORY": str(folder / "memory.json"),
        }
        arguments = ["--target", "production", "--verdicts", str(folder / "verdicts.json"), "-q"]
        plugins = ["-p", "no:cacheprovider", "-p", "no:randomly"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *paths, *arguments, *plugins, "--rootdir", str(ROOT)],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        document = json.loads((folder / "verdicts.json").read_text())
        checks = {check["id"]: check for check in document["checks"]}
        return Run([*secure.asked, *plain.asked], secrets, checks, done.stdout + done.stderr)


@pytest.fixture
def database(postgres: str, admin: psycopg.Connection[tuple[object, ...]]) -> Iterator[tuple[str, Path]]:
    """The application's tables in a database of their own, whose every statement is logged; and that log."""
    name = f"wire_{os.getpid()}"
    admin.execute(f"CREATE DATABASE {name}".encode())
    (folder,) = admin.execute("SHOW data_directory").fetchone() or ("",)
    url = postgres.replace("/postgres", f"/{name}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((ROOT / "src/dialtone_receptionist/schema.sql").read_bytes())
    yield f"{url}?options=-c%20log_statement%3Dall", Path(str(folder)).parent / "log"
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_only_reads_leave_for_production(tmp_path: Path, database: tuple[str, Path]) -> None:
    """All checks, all credentials: what is armed reads, at every host and in the database, and nothing else is sent."""
    url, log = database
    before = log.stat().st_size
    done = run(tmp_path, "checks", database=url)
    assert violations(done.asked, done.secrets) == []
    armed = [check for check in done.checks.values() if check["armed"]]
    assert {check["effect"] for check in armed} == {"reads"}, done.output
    assert len(armed) >= 50, done.output
    assert not [check["id"] for check in armed if check["kind"] == "broken"], done.output
    hosts = {asked.host for asked in done.asked}
    assert hosts >= {"", "api.stripe.com", "api.telnyx.com", "api.retellai.com", "www.googleapis.com"}
    written = log.read_text()[before:]
    statements = re.findall(r"LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", written)
    assert len(statements) > 10
    assert [s for s in statements if not READS.match(s) or WRITES.search(s)] == []


LIES = """
from dialtone import check, expect

@check(runbook="x")
def test_posts(target, http):
    expect(http.post("/landing", json={})).status(200)

@check(runbook="x")
def test_runs_jobs(target, http):
    expect(http.get(target.route("jobs"))).status(200)

@check(runbook="x")
def test_signs(hook):
    retell = hook("retell", {})
    retell.send(retell.event(text='{"event": "x"}'))

@check(runbook="x")
def test_asks_for_more(ask):
    expect(ask("stripe", "/v1/customers")).status(200)

@check(runbook="x")
def test_tells(target, http):
    expect(http.get("/landing?key=" + target.secret("stripe_probe_key"))).status(200)
"""


def test_a_check_that_says_it_reads_and_does_more_is_seen(tmp_path: Path) -> None:
    """The recording can fail: each way of doing more than to read is told by its request."""
    (tmp_path / "test_lies.py").write_text(LIES)
    done = run(tmp_path, str(tmp_path / "test_lies.py"))
    assert set(violations(done.asked, done.secrets)) == {
        "POST /landing: more than a read",
        f"GET {ROUTES['jobs']}: a route that acts",
        f"POST {ROUTES['retell']}: more than a read",
        f"POST {ROUTES['retell']}: a route that acts",
        f"POST {ROUTES['retell']}: signed as a provider",
        "GET api.stripe.com/v1/customers: a path that no profile names",
        "GET /landing: carries stripe_probe_key",
    }
