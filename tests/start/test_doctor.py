"""`dialtone doctor`: what is missing, the narrowest grant, and what can do too much."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.postgres import PASSWORD

from dialtone import cli
from dialtone.history import Run, Store
from dialtone.incidents.review import review
from dialtone.probes.database import Database, DatabaseFailure
from dialtone.start import doctor
from dialtone.start.doctor import examine, text, too_wide
from dialtone.start.grants import quoted, role_sql
from dialtone.start.missing import gaps
from dialtone.start.role import judge
from dialtone.target import Target, load

PROFILE = """
[target.live]
kind = "production"
base_url = "https://app.example"
database = "db"
effects = ["reads"]
witnesses = ["https://a.example", "https://b.example"]
[target.live.routes]
health = "/health"
[target.live.providers.pay]
base_url = "https://pay.example"
credential = "pay"
grant = "a restricted key that reads Balance"
narrow = "^rk_"
[target.live.providers.redis]
base_url = "${REDIS_URL?}"
[target.live.tools.pay]
base_url = "https://pay.example"
credential = "pay_repair"
[target.live.tables]
doctor_shop = ["id", "name", "access_token"]
"Doctor Odd" = ["A b"]
[target.live.tables.doctor_desk]
notes = ["id", "said"]
[target.live.queries]
tokens = "SELECT access_token FROM doctor_shop"
[target.live.credentials]
db = "LIVE_DB"
pay = "LIVE_PAY"
pay_repair = "LIVE_PAY_REPAIR"
"""
TENANT = """
[target.live.tenant]
create = "INSERT INTO doctor_shop (name) VALUES (%(marker)s) RETURNING id"
runs = "SELECT 1"
sweep = ["DELETE FROM doctor_shop WHERE name = %(marker)s"]
"""
CANARY = "sk_canary_4711"


def entry(name: str, *needs: str, effect: str = "reads") -> dict[str, Any]:
    """What a collected check declares."""
    return {"id": name, "needs": list(needs), "effect": effect, "objective": None}


ENTRIES = [
    entry("healthy", "routes.health"),
    entry("counted", "database"),
    entry("paid", "providers.pay"),
    entry("reconciled", "database", "providers.pay"),
    entry("cached", "providers.redis"),
    entry("booked", "routes.book"),
    entry("flooded", "routes.book", effect="disrupts"),
]


def target(tmp_path: Path, profile: str = PROFILE, **environ: str) -> Target:
    """The target of that profile, in this environment."""
    (tmp_path / "dialtone.toml").write_text(profile)
    return load(tmp_path / "dialtone.toml", "live", environ)


def test_gaps_are_grouped_by_what_is_missing(tmp_path: Path) -> None:
    """Each missing thing once, what it arms alone apart from what needs more; variables come first."""
    armed, found = gaps(ENTRIES, target(tmp_path))
    assert armed == ["healthy"]
    told = [(gap.what, gap.name, gap.arms, gap.needed) for gap in found]
    assert told == [
        ("variable", "LIVE_DB", ["counted"], ["reconciled"]),
        ("variable", "LIVE_PAY", ["paid"], ["reconciled"]),
        ("option", "REDIS_URL", ["cached"], []),
        ("setting", "the profile has no routes.book", ["booked"], []),
        ("effect", "live does not allow disrupts: effects in its profile", ["flooded"], []),
    ]


def test_grants_stand_beside_what_is_missing(tmp_path: Path) -> None:
    """Words of the profile for a provider's key, SQL for the database."""
    found = examine(ENTRIES, target(tmp_path))
    assert found.grants == {
        "LIVE_DB": "a role of its own: the SQL below",
        "LIVE_PAY": "pay: a restricted key that reads Balance",
    }
    assert found.exit_code == 1
    shown = text(found)
    assert "GRANT pg_monitor TO dialtone;" in shown
    assert "pay: a restricted key that reads Balance" in shown


def test_nothing_to_do(tmp_path: Path) -> None:
    """What the profile leaves out on purpose is told, and is no reason to fail."""
    profile = PROFILE.replace('database = "db"\n', "")
    found = examine(ENTRIES[:1] + ENTRIES[2:3] + ENTRIES[-1:], target(tmp_path, profile, LIVE_PAY="rk_1"))
    assert (found.exit_code, found.sql, found.wide) == (0, None, [])
    assert text(found).endswith("Nothing to do.")


def test_a_credential_that_can_do_more(tmp_path: Path) -> None:
    """Not of the narrow form, or shared with what repairs; no value is told."""
    wide = too_wide(target(tmp_path, LIVE_PAY=CANARY, LIVE_PAY_REPAIR=CANARY))
    assert wide == [
        "LIVE_PAY can do more than pay is asked for: use a restricted key that reads Balance",
        "LIVE_PAY is the same as LIVE_PAY_REPAIR: what only reads can repair",
    ]
    assert too_wide(target(tmp_path, LIVE_PAY="rk_9", LIVE_PAY_REPAIR=CANARY)) == []


def test_the_sql_names_no_secret_column(tmp_path: Path) -> None:
    """Names are quoted where SQL wants it; what reads a secret column is named."""
    sql = role_sql(target(tmp_path))
    granted = [line for line in sql.splitlines() if line.startswith("GRANT SELECT")]
    assert granted == [
        'GRANT SELECT ("A b") ON "Doctor Odd" TO dialtone;',
        "GRANT SELECT (id, said) ON doctor_desk.notes TO dialtone;",
        "GRANT SELECT (id, name) ON doctor_shop TO dialtone;",
    ]
    assert "-- queries.tokens: unreadable so, for want of access_token" in sql
    assert "default_transaction_read_only" in sql
    assert quoted('a"b') == '"a""b"'


def test_writes_are_granted_where_they_are_allowed(tmp_path: Path) -> None:
    """What the tenant's own statements take, and no read-only default then."""
    profile = PROFILE.replace('["reads"]', '["reads", "writes"]') + TENANT
    sql = role_sql(target(tmp_path, profile))
    assert "GRANT DELETE, INSERT ON doctor_shop TO dialtone;" in sql
    assert "read_only" not in sql


@pytest.fixture
def shop(admin: psycopg.Connection[tuple[object, ...]], tmp_path: Path) -> Any:
    """Tables of the profile and the role that the doctor proposes, made with its own SQL; gives a URL for it."""
    role = f"doctor_{os.getpid()}"
    admin.execute("CREATE TABLE doctor_shop (id int, name text, access_token text)")
    admin.execute('CREATE TABLE "Doctor Odd" ("A b" int)')
    admin.execute("CREATE SCHEMA doctor_desk CREATE TABLE notes (id int, said text)")
    for statement in role_sql(target(tmp_path), role).splitlines():
        if not statement.startswith("--"):
            admin.execute(statement.encode())
    admin.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'".encode())
    host = f"127.0.0.1:{admin.info.port}/{admin.info.dbname}"
    yield role, f"postgresql://{role}:{PASSWORD}@{host}"
    admin.execute('DROP TABLE doctor_shop, "Doctor Odd"')
    admin.execute("DROP SCHEMA doctor_desk CASCADE")
    admin.execute(f"DROP OWNED BY {role}".encode())
    admin.execute(f"DROP ROLE {role}".encode())


def judged(url: str, found: Target) -> tuple[list[str], list[str]]:
    """What the catalog says of the role behind a URL."""
    database = Database(url)
    try:
        return judge(database, found)
    finally:
        database.close()


def test_the_proposed_role_is_enough_and_no_more(shop: Any, tmp_path: Path) -> None:
    """It reads what the profile relies on and PostgreSQL's statistics; neither a token nor a write is possible."""
    _, url = shop
    assert judged(url, target(tmp_path)) == ([], [])
    database = Database(url)
    assert database.value("SELECT count(*) FROM doctor_shop") == 0
    database.need_role("pg_monitor")
    with pytest.raises(DatabaseFailure, match=r"access_token|doctor_shop"):
        database.value("SELECT access_token FROM doctor_shop")
    with pytest.raises(DatabaseFailure):
        database.write("INSERT INTO doctor_shop (id) VALUES (1)")
    database.close()


def test_a_role_that_can_do_more(shop: Any, admin: Any, tmp_path: Path) -> None:
    """A write, a secret column, a power of its own: each is told, by its name."""
    role, url = shop
    admin.execute(f"GRANT UPDATE (name) ON doctor_shop TO {role}".encode())
    admin.execute(f"GRANT SELECT ON doctor_shop TO {role}".encode())
    admin.execute(f"ALTER ROLE {role} CREATEROLE BYPASSRLS".encode())
    too_much, lacking = judged(url, target(tmp_path))
    assert lacking == []
    assert too_much == [
        f"the database role {role} bypasses row security: ALTER ROLE can take that away",
        f"the database role {role} makes roles: ALTER ROLE can take that away",
        f"the database role {role} may write doctor_shop, and nothing here does",
        f"the database role {role} reads columns that hold secrets: doctor_shop.access_token",
    ]


def test_a_role_that_can_do_less(shop: Any, admin: Any, tmp_path: Path) -> None:
    """Statistics, a column, a schema, rows behind row security."""
    role, url = shop
    admin.execute(f"REVOKE pg_monitor FROM {role}".encode())
    admin.execute(f"REVOKE SELECT (name) ON doctor_shop FROM {role}".encode())  # noqa: S608 - a role of the test's
    admin.execute(f"REVOKE USAGE ON SCHEMA doctor_desk FROM {role}".encode())
    admin.execute("ALTER TABLE doctor_shop ENABLE ROW LEVEL SECURITY")
    too_much, lacking = judged(url, target(tmp_path))
    assert too_much == []
    assert lacking == [
        f"the database role {role} sees its own sessions and statements only: GRANT pg_monitor TO {role}",
        f"the database role {role} cannot read doctor_desk.notes.id, doctor_desk.notes.said, doctor_shop.name:"
        " GRANT SELECT, see --sql",
        f"row security hides every row of doctor_shop from the database role {role}: CREATE POLICY, see --sql",
    ]
    admin.execute(f"CREATE POLICY seen ON doctor_shop FOR SELECT TO {role} USING (true)".encode())
    assert len(judged(url, target(tmp_path))[1]) == 2


def test_a_superuser_is_told(postgres: str, tmp_path: Path) -> None:
    """By the whole command's own way, with no value of a credential in what it says."""
    found = examine(ENTRIES, target(tmp_path, LIVE_DB=postgres, LIVE_PAY=CANARY))
    assert any("is a superuser" in sentence for sentence in found.wide)
    shown = text(found) + json.dumps(found.document())
    assert PASSWORD not in shown
    assert CANARY not in shown


def test_a_database_that_does_not_answer_is_not_known(tmp_path: Path) -> None:
    """Unknown is never well: exit code 1, with the reason; likewise if it was not to be asked."""
    url = f"postgresql://x:{CANARY}@127.0.0.1:1/x"
    found = examine(ENTRIES[:1], target(tmp_path, LIVE_DB=url))
    assert found.exit_code == 1
    assert "what its role can do is not known" in str(found.unasked)
    assert CANARY not in text(found)
    assert "(--offline)" in str(examine(ENTRIES[:1], target(tmp_path, LIVE_DB=url), offline=True).unasked)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, JSON, SQL; 4 for a profile that cannot be read."""
    target(tmp_path)
    config = str(tmp_path / "dialtone.toml")
    monkeypatch.setattr(doctor, "collected", lambda *_: ENTRIES)
    monkeypatch.delenv("LIVE_DB", raising=False)
    assert cli.main(["doctor", "--target", "live", "--config", config]) == 1
    assert capsys.readouterr().out.startswith("live: 1 check is armed, 6 not\n")
    assert cli.main(["doctor", "--target", "live", "--config", config, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["armed"] == ["healthy"]
    assert cli.main(["doctor", "--target", "live", "--config", config, "--sql"]) == 0
    assert capsys.readouterr().out.startswith("CREATE ROLE dialtone")
    assert cli.main(["doctor", "--target", "none", "--config", config]) == 4
    assert "there is no target 'none'" in capsys.readouterr().err


def test_an_address_that_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told first, and the rest all the same; a sandbox has none to set."""
    config = tmp_path / "dialtone.toml"
    config.write_text(
        '[target.live]\nkind = "production"\nbase_url = "${LIVE_URL}"\nwitnesses = ["https://a.example", "https://b.example"]\n'
        '[target.own]\nkind = "sandbox"\nbase_url = "${OWN_URL}"\n'
    )
    monkeypatch.setattr(doctor, "collected", lambda *_: ENTRIES[:1])
    monkeypatch.delenv("LIVE_URL", raising=False)
    assert cli.main(["doctor", "--target", "live", "--config", str(config)]) == 1
    assert "Not set, and nothing runs without it\n  LIVE_URL\n" in capsys.readouterr().out
    assert cli.main(["doctor", "--target", "own", "--config", str(config)]) == 4
    assert "own is a sandbox: a run starts it with all that it needs" in capsys.readouterr().err
    monkeypatch.setenv("LIVE_URL", "https://live.example")
    cli.main(["doctor", "--target", "live", "--config", str(config)])
    assert "nothing runs without it" not in capsys.readouterr().out


def test_a_variable_that_is_no_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be stood in for: the sentence that names what is not set is what helps."""
    config = tmp_path / "dialtone.toml"
    config.write_text(
        '[target.live]\nkind = "production"\nbase_url = "https://a.example"\n'
        'witnesses = ["https://a.example", "https://b.example"]\n'
        '[target.live.providers.parcels]\nbase_url = "https://p.example"\nprobe = "/up"\nquota = "${LIVE_QUOTA}"\n'
    )
    assert cli.main(["doctor", "--target", "live", "--config", str(config)]) == 4
    assert "LIVE_QUOTA" in capsys.readouterr().err


ALERTING = """
[channels.slack]
kind = "slack"
secret = "LIVE_SLACK"
to = ["C1"]
[people.ada]
[on_call]
primary = "ada"
[routes.all]
channels = ["slack"]
[causes]
healthy = ["count*", "paid", "flod*"]
databse = ["paid"]
"""


def test_who_would_not_hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels that are not armed, causes that no check has, rounds that are farther apart than a deadline."""
    for name in ("DIALTONE_RESIDENT", "DIALTONE_HISTORY"):
        monkeypatch.delenv(name, raising=False)
    names = [one["id"] for one in ENTRIES]
    found = target(tmp_path, ALERTING + PROFILE)
    untold, notes = review(tmp_path / "dialtone.toml", found, names, {})
    assert untold == [
        "nobody would hear of P0, P1, P2, P3 on live: slack: LIVE_SLACK is not set",
        "causes.healthy names 'flod*', which fits no check: correct it, or remove it",
        "causes.databse: there is no such check: correct the name, or remove it",
    ]
    assert "P0: an answer is due sooner than the next look (rounds are to be 15 min apart)" in notes[0]
    history = tmp_path / "history.db"
    store = Store.open(history)
    for number in range(30):
        at = time.time() - 7_200 * number
        store.add(Run(f"r{number}", "live", at, at))
    store.close()
    measured = review(tmp_path / "dialtone.toml", found, names, {"DIALTONE_HISTORY": str(history), "LIVE_SLACK": "x"})
    assert "P0, P1: an answer is due sooner than the next look (rounds are 2 h apart)" in measured[1][0]
    assert review(tmp_path / "dialtone.toml", found, names, {"DIALTONE_RESIDENT": "1"})[1] == []
