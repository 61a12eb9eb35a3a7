"""What a healthy sandbox offers, and to whom."""

from __future__ import annotations

import json
import os
import re
import ssl
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from tests.sandbox.conftest import listens

from dialtone.sandbox import Sandbox, SandboxError, sweep
from dialtone.sandbox.processes import PROC, of_run
from dialtone.sandbox.supervisor import START_BOUND

ADDRESSES = (
    "BASE TLS PLAIN STRIPE RETELL TELNYX GOOGLE_OAUTH GOOGLE UPSTASH SLACK SENTRY VERCEL JOURNAL DATABASE"
    " REPAIR_DATABASE STATUS_PAGES SUPABASE RDAP POSTGREST"
).split()
SECRETS = (
    "STRIPE_SECRET_KEY STRIPE_PROBE_KEY STRIPE_WEBHOOK_SECRET RETELL_API_KEY RETELL_PROBE_KEY TELNYX_API_KEY"
    " TELNYX_PROBE_KEY TELNYX_SIGNING_KEY GOOGLE_CLIENT_SECRET GOOGLE_REFRESH_TOKEN GOOGLE_ROTATING_TOKEN"
    " GOOGLE_SLOW_TOKEN UPSTASH_TOKEN VERCEL_TOKEN SENTRY_PROBE_TOKEN SUPABASE_TOKEN CRON_SECRET SYNTHETIC_KEY"
    " JOURNAL_TOKEN SUPABASE_JWT_SECRET SUPABASE_ANON_KEY SUPABASE_SERVICE_KEY"
).split()
FORMS = {
    "STRIPE_SECRET_KEY": r"sk_test_\w{60,}",
    "STRIPE_PROBE_KEY": r"rk_test_\w{60,}",
    "STRIPE_WEBHOOK_SECRET": r"whsec_\w{32}",
    "RETELL_API_KEY": r"key_[0-9a-f]{28}",
    "TELNYX_API_KEY": r"KEY[0-9A-F]{32}_\w{22}",
    "TELNYX_SIGNING_KEY": r"[\w+/]{43}=",
    "GOOGLE_CLIENT_ID": r"\d{12}-\w{32}\.apps\.googleusercontent\.com",
}


def _value(sandbox: Sandbox, name: str) -> str:
    return sandbox.env[f"SANDBOX_{name}"]


def _variables(pid: int) -> dict[str, str]:
    words = (PROC / str(pid) / "environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def _processes(sandbox: Sandbox) -> dict[str, int]:
    recorded = json.loads((sandbox.state_file.parent / "processes.json").read_text())
    return {name: pid for name, (pid, _) in recorded.items()}


def test_the_environment_is_complete(sandbox: Sandbox) -> None:
    """Every address and credential that the checks may refer to is there."""
    expected = {f"SANDBOX_{name}_URL" for name in ADDRESSES} | {f"SANDBOX_{name}" for name in SECRETS}
    expected |= {"SANDBOX_CA_FILE", "SANDBOX_CLIENT_HEADER", "SANDBOX_GOOGLE_CLIENT_ID"}
    assert set(sandbox.env) == expected
    assert all(value.strip() == value and value for value in sandbox.env.values())


@pytest.mark.parametrize("name", sorted(FORMS))
def test_credentials_look_like_the_providers_own(sandbox: Sandbox, name: str) -> None:
    """Code that tells test from live keys looks at their form."""
    assert re.fullmatch(FORMS[name], _value(sandbox, name))


def test_every_address_has_a_listener(sandbox: Sandbox) -> None:
    """Healthy means that everything accepts connections, on loopback."""
    assert [name for name, port in sandbox.ports.items() if not listens(port)] == []
    assert sandbox.problem() is None
    assert 0 < sandbox.seconds < START_BOUND


def test_prober_may_read_and_write_the_applications_tables(sandbox: Sandbox) -> None:
    """DML on tables that the owner makes later, statistics of everybody, but no DDL."""
    owner = _variables(_processes(sandbox)["application"])["DATABASE_URL"]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE later (id serial PRIMARY KEY, name text)")
    with psycopg.connect(_value(sandbox, "DATABASE_URL"), autocommit=True) as connection:
        connection.execute("INSERT INTO later (name) VALUES ('x')")
        connection.execute("UPDATE later SET name = 'y'")
        assert connection.execute("SELECT name FROM later").fetchall() == [("y",)]
        connection.execute("DELETE FROM later")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE later")
        statements = connection.execute("SELECT query FROM pg_stat_statements WHERE query LIKE '%later%'").fetchall()
        assert any("CREATE TABLE" in query for (query,) in statements)
        assert connection.execute("SHOW max_connections").fetchone() == ("60",)


def test_statement_statistics_hold_no_password(sandbox: Sandbox) -> None:
    """pg_stat_statements keeps the text of utility statements: the roles were made without it."""
    with psycopg.connect(sandbox.admin_database_url) as connection:
        rows = connection.execute("SELECT query FROM pg_stat_statements WHERE query ILIKE '%role%'").fetchall()
    assert not [query for (query,) in rows if "CREATE ROLE" in query]


def test_database_asks_for_a_password(sandbox: Sandbox) -> None:
    """Loopback is shared with everybody on the machine."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(re.sub(r"://(\w+):\w+@", r"://\1:wrong@", sandbox.admin_database_url))


def test_certificates_are_what_they_are_called(sandbox: Sandbox) -> None:
    """The good one is trusted through the authority; one has two days left; one names another host."""
    folder = sandbox.state_file.parent
    context = ssl.create_default_context(cafile=_value(sandbox, "CA_FILE"))
    assert len(context.get_ca_certs()) == 1
    leaves = {
        name: x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        for name in ("good", "expiring", "wrong-host")
    }
    left = leaves["expiring"].not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=1.9) < left < timedelta(days=2.1)
    assert leaves["good"].not_valid_after_utc - datetime.now(UTC) > timedelta(days=300)
    names = leaves["wrong-host"].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["elsewhere.invalid"]


def test_nobody_else_can_read_the_secrets(sandbox: Sandbox) -> None:
    """The run folder and all files in it are the user's own; no command line holds a secret."""
    folder = sandbox.state_file.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    readable = [path.name for path in folder.iterdir() if path.is_file() and path.stat().st_mode & 0o077]
    assert readable == []
    secrets = [_value(sandbox, name) for name in SECRETS]
    secrets += re.findall(r"://\w+:(\w+)@", sandbox.admin_database_url + " " + _value(sandbox, "DATABASE_URL"))
    for pid in of_run(sandbox.run_id, folder):
        line = (PROC / str(pid) / "cmdline").read_bytes().decode()
        assert not [secret for secret in secrets if secret in line]


@pytest.mark.skipif(sys.platform != "linux", reason="environments of other processes are read from /proc")
def test_parts_know_only_what_they_need(sandbox: Sandbox) -> None:
    """No part gets the caller's whole environment; the application gets no key of the prober's."""
    processes = _processes(sandbox)
    assert set(processes) == {"postgres", "standins", "application"}
    assert os.environ["DIALTONE_TEST_CANARY"]
    for pid in processes.values():
        assert "canary-of-the-caller" not in _variables(pid).values()
    application = _variables(processes["application"])
    kept_back = [_value(sandbox, name) for name in SECRETS if "PROBE" in name or "SIGNING" in name]
    kept_back += [_value(sandbox, "SYNTHETIC_KEY"), _value(sandbox, "JOURNAL_TOKEN"), sandbox.admin_database_url]
    assert not set(kept_back) & set(application.values())
    assert application["STRIPE_SECRET_KEY"] == _value(sandbox, "STRIPE_SECRET_KEY")
    assert application["NEXT_PUBLIC_APP_URL"] == _value(sandbox, "BASE_URL")
    assert application["EDGE_CLIENT_HEADER"] == _value(sandbox, "CLIENT_HEADER")


def test_switches_are_replaced_as_a_whole(sandbox: Sandbox) -> None:
    """The file of active defects is always a complete list."""
    assert json.loads(sandbox.defects_file.read_text()) == []
    sandbox.switch(["one", "two"])
    assert json.loads(sandbox.defects_file.read_text()) == ["one", "two"]
    sandbox.switch([])


def test_another_process_may_attach(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DIALTONE_SANDBOX set nothing is started, and stopping stops nothing."""
    monkeypatch.setenv("DIALTONE_SANDBOX", str(sandbox.state_file))
    with Sandbox.start() as attached:
        assert attached.env == sandbox.env
    assert sandbox.problem() is None
    assert listens(sandbox.ports["edge"])


def test_sweep_spares_the_living(sandbox: Sandbox) -> None:
    """A run whose supervisor lives is not touched by another one's sweep."""
    assert sweep() == []
    assert sandbox.problem() is None
    assert listens(sandbox.ports["postgres"])


def test_attaching_to_nothing_says_so(tmp_path: Path) -> None:
    """A state file whose sandbox is gone is an error, at once and in words."""
    with pytest.raises(SandboxError, match=r"no sandbox runs at .*unset DIALTONE_SANDBOX"):
        Sandbox.attach(tmp_path / "state.json")
