"""`dialtone tenant plan`: what a synthetic tenant needs, and SQL that really leaves it out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dialtone import cli
from dialtone.target.load import describe
from dialtone.tenant import plan, text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(postgres: str, admin: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The application's own tables, empty."""
    name = f"tenant_{os.getpid()}"
    admin.execute(f"CREATE DATABASE {name}".encode())
    with psycopg.connect(postgres.replace("/postgres", f"/{name}"), autocommit=True) as connection:
        connection.execute((ROOT / "src/dialtone_receptionist/schema.sql").read_bytes())
        yield connection
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_sql_leaves_synthetic_traffic_out(database: psycopg.Connection[Any]) -> None:
    """On the application's tables: of a real row and a synthetic one the real one is seen."""
    told = plan(describe(ROOT / "dialtone.toml", "production", {}), {})
    for name, mail in (
        ("Corner Dental", "owner@example.com"),
        ("dialtone-synthetic 1732-ab", "dialtone-synthetic+1@x.y"),
    ):
        tenant = database.execute(
            "INSERT INTO businesses (business_name, phone_number) VALUES (%s, %s) RETURNING id",
            (name, f"+1{len(name)}"),
        ).fetchone()
        assert tenant
        database.execute(
            "INSERT INTO calls (business_id, call_id, status) VALUES (%s, %s, 'missed')", (tenant[0], name)
        )
        database.execute("INSERT INTO custom_users (email, password_hash) VALUES (%s, 'x')", (mail,))
    seen = {table: len(database.execute(sql.encode()).fetchall()) for table, sql in told["exclude"].items()}
    assert seen["businesses"] == seen["custom_users"] == seen["calls"] == 1
    assert set(told["exclude"]) >= {"appointments", "sms_messages", "billing_history", "webhook_events"}


def test_the_plan_says_what_is_there() -> None:
    """Each thing with its variable and whether it is set, what is allowed, and no line wider than the terminal."""
    told = plan(describe(ROOT / "dialtone.toml", "production", {}), {"PRODUCTION_GOOGLE_REFRESH_TOKEN": "1//canary"})
    calendar = told["own"][0]
    assert (calendar["what"], calendar["state"]) == ("a calendar", "set")
    assert told["effects"] == {"writes": False, "provokes": False, "costs": False}
    words = text(told)
    assert "PRODUCTION_GOOGLE_REFRESH_TOKEN: set" in words
    assert "canary" not in words
    assert all(len(line) <= 80 for line in words.split("SQL that leaves")[0].splitlines())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, SQL alone, JSON; a profile without a tenant is told what is missing, with exit code 4."""
    config = ["--config", str(ROOT / "dialtone.toml")]
    assert cli.main(["tenant", "plan", "--sql", *config]) == 0
    assert capsys.readouterr().out.startswith(
        "SELECT * FROM businesses WHERE business_name NOT LIKE 'dialtone-synthetic%';"
    )
    assert cli.main(["tenant", "plan", "--json", "--target", "sandbox", *config]) == 0
    assert json.loads(capsys.readouterr().out)["effects"]["costs"] is True
    (tmp_path / "dialtone.toml").write_text('[target.bare]\nkind = "sandbox"\nbase_url = "http://x.example"\n')
    assert cli.main(["tenant", "plan", "--target", "bare", "--config", str(tmp_path / "dialtone.toml")]) == 4
    assert "target.bare.tenant: missing" in capsys.readouterr().err
