"""What a diagnosis cannot see: it says what it lacks and what to do about it, and takes nothing for clean."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from dialtone.runbook.ask import diagnose
from dialtone.runbook.diagnosis import looked
from dialtone.runbook.looks import declared
from dialtone.runbook.scene import Scene
from dialtone.target import Target, load

if TYPE_CHECKING:
    from tests.runbook.conftest import Place

ROOT = Path(__file__).parents[2]
LOOKS = {look.name: look for look in declared([ROOT / "checks"])}


def target_of(place: Place) -> Target:
    """The sandbox's target."""
    return load(ROOT / "dialtone.toml", "sandbox", {**os.environ, **place.env})


def seen(target: Target, name: str, began: datetime | None = None) -> dict[str, Any]:
    """What one look of the suite finds."""
    now = datetime.now(UTC)
    with closing(Scene(target, [], None, began or now, now)) as scene:
        return looked(LOOKS[name], scene)


def _as_admin(place: Place, statement: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(place.sandbox.admin_database_url, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def another(place: Place, *, role: str = "", database: str = "") -> Iterator[Target]:
    """The target as another role, or with another database, which are there for as long."""
    target = target_of(place)
    parts = urlsplit(target.credentials["database_url"])
    name, host = role or parts.username, f"{parts.hostname}:{parts.port}"
    secret = "blind-pa55word" if role else parts.password
    if role:
        _as_admin(place, f"CREATE ROLE {role} LOGIN PASSWORD '{secret}'")
    if database:
        _as_admin(place, f"CREATE DATABASE {database}")
    url = urlunsplit(parts._replace(netloc=f"{name}:{secret}@{host}", path=f"/{database}" if database else parts.path))
    try:
        yield replace(target, credentials={**target.credentials, "database_url": url})
    finally:
        if database:
            _as_admin(place, f"DROP DATABASE {database} WITH (FORCE)")
        if role:
            _as_admin(place, f"DROP ROLE {role}")


@pytest.mark.parametrize("name", ["waiting_locks", "sessions_by_state", "running_statements"])
def test_a_role_without_pg_monitor(place: Place, name: str) -> None:
    """Postgres hides the sessions of others without a word; the diagnosis says so, with the remedy."""
    with another(place, role="blind") as target:
        found = seen(target, name)
    assert found["lacks"] == [
        "the prober's role sees only its own sessions and statements: GRANT pg_monitor TO it"
        " (https://www.postgresql.org/docs/current/predefined-roles.html)"
    ]
    assert seen(target_of(place), name)["lacks"] == []


def test_a_database_without_pg_stat_statements_and_without_tables(place: Place) -> None:
    """What is not there is named with what to do; an empty database has no rows to show."""
    with another(place, database="bare") as target:
        statements, log, schema = (seen(target, name) for name in ("slow_statements", "webhook_log", "schema"))
    assert "CREATE EXTENSION pg_stat_statements" in statements["lacks"][0]
    assert log["lacks"][0].startswith("there is no table webhook_events (42P01): mend the profile's SQL")
    assert (schema["rows"], schema["lacks"]) == ([], [])


def test_a_database_that_does_not_let_us_in(place: Place) -> None:
    """A wrong password is about the prober, and is told without the password."""
    target = target_of(place)
    wrong = replace(target, credentials={**target.credentials, "database_url": "postgresql://a:b@127.0.0.1:1/x"})
    found = seen(wrong, "waiting_locks")
    assert found["lacks"] == [
        "the database cannot be used: nobody listens there: the database does not answer: look at its host"
    ]


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_provider_that_turns_the_prober_away(place: Place, status: int) -> None:
    """It says nothing about the provider, and blames nobody."""
    with place.fault(provider="stripe", path="/v1/balance", status=status, ttl=30):
        found = seen(target_of(place), "providers_answer")
    row = next(row for row in found["rows"] if row["provider"] == "stripe")
    assert row["answer"].startswith(f"stripe answered {status}")
    assert row["ms"] is None
    assert found["suspects"] == []


def test_a_provider_that_fails_is_suspected(place: Place) -> None:
    """A 503 to its cheapest read is the provider's."""
    with place.fault(provider="telnyx", path="/v2/balance", status=503, ttl=30):
        found = seen(target_of(place), "providers_answer")
    assert [s["cause"] for s in found["suspects"]] == ["telnyx.down"]


def test_a_provider_that_answers_html(place: Place) -> None:
    """A page where JSON should be is of no use, and is said to be."""
    page = "<html><body>maintenance</body></html>"
    with place.fault(provider="sentry", path="*/issues/", status=200, body=page, ttl=30):
        found = seen(target_of(place), "sentry_issues")
    assert found["rows"] is None
    assert found["lacks"][0].startswith("an answer is of no use: it is "), found
    assert "maintenance" not in json.dumps(found)


class _Clock(datetime):
    """A prober's clock that is five minutes ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + timedelta(minutes=5)


def _look_at_clocks(monkeypatch: pytest.MonkeyPatch, of_target: float, of_provider: float, *, ours: bool) -> list[str]:
    """What is suspected when the clocks of target and provider are so many seconds ahead of the right time."""
    function = LOOKS["clocks"].function
    if ours:
        monkeypatch.setitem(function.__globals__, "datetime", _Clock)
    right = datetime.now(UTC)

    def answer(ahead: float) -> SimpleNamespace:
        return SimpleNamespace(header=lambda _: format_datetime(right + timedelta(seconds=ahead), usegmt=True))

    target = SimpleNamespace(
        route=lambda _: "/health",
        profile=SimpleNamespace(
            routes={"health": "/health"}, providers={"p": SimpleNamespace(probe="/x")}, clock_skew=60
        ),
    )
    suspects: list[str] = []
    function(
        lambda *_: answer(of_target),
        lambda *_, **__: answer(of_provider),
        target,
        lambda cause, _: suspects.append(cause),
    )
    return suspects


def test_a_clock_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two against one: ours when target and provider agree, the target's when we agree with the provider."""
    assert _look_at_clocks(monkeypatch, 0, 0, ours=False) == []
    assert _look_at_clocks(monkeypatch, 300, 0, ours=False) == ["application.clock-off"]
    assert _look_at_clocks(monkeypatch, 0, 0, ours=True) == ["prober.clock-off"]


def test_a_diagnosis_has_a_time_limit(tmp_path: Path) -> None:
    """What was found before is kept, and the rest is said to be missing."""
    (tmp_path / "dialtone.toml").write_text(
        '[target.t]\nkind = "preview"\nbase_url = "http://127.0.0.1:1"\nwitnesses = ["http://a", "http://b"]\n'
    )
    (tmp_path / "diagnosis.py").write_text(
        "import time\nfrom dialtone.runbook import look\n\n"
        "@look('a')\ndef first():\n    'First.'\n    return 'seen'\n\n"
        "@look('a')\ndef second():\n    'Second.'\n    time.sleep(60)\n"
    )
    entry = {"id": "x", "runbook": "a", "verdict": "breach", "armed": True, "severity": "P1", "reason": "r"}
    began = time.monotonic()
    found = diagnose(
        {
            "config": str(tmp_path / "dialtone.toml"),
            "target": "t",
            "folders": [str(tmp_path)],
            "began": datetime.now(UTC).isoformat(),
            "checks": [{**entry, "experiment": False, "trace": None}],
        },
        limit=8.0,
    )
    assert time.monotonic() - began < 30
    assert found["looks"]["first"]["said"] == "seen"
    assert "second" not in found["looks"]
    assert found["lacks"] == ["the diagnosis was ended by its time limit of 8 s"]
