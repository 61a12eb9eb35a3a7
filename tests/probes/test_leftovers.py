"""What runs leave at providers: found by its marker, removed when its run is over, and nothing else ever touched."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.standins.conftest import SECRETS, start

from dialtone.http import Client
from dialtone.probes.database import Database
from dialtone.probes.journal import eventually
from dialtone.probes.leftovers import LEAST, Outside, token_of
from dialtone.probes.synthetic import Run, Tenants
from dialtone.target import Target
from dialtone.target.model import Profile

NOW = 1_800_000_000.0
DEAD = f"{int(NOW - LEAST) - 1}-0123abcd"  # old enough, and nobody's
YOUNG = f"{int(NOW - LEAST) + 1}-0123abcd"
EVENTS = "/calendar/v3/calendars/primary/events"
GOOGLE = {
    "path": f"{EVENTS}?q=dialtone-synthetic&maxResults=250",
    "items": "items",
    "marker": "summary",
    "remove": f"{EVENTS}/{{{{id}}}}",
}
STRIPE = {
    "path": "/v1/checkout/sessions?status=open&limit=2",
    "marker": "client_reference_id",
    "remove": "/v1/checkout/sessions/{{id}}/expire",
    "method": "POST",
    "more": "has_more",
    "cursor": "starting_after",
}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of stand-ins for Stripe and Google, of this module's own."""
    names = ("stripe", "google", "google_oauth", "journal")
    running = start(tmp_path_factory.mktemp("leftovers"), "--until-eof", listeners=names)
    yield {name: running.url(name) for name in names}
    running.process.communicate(timeout=60)


def target(urls: dict[str, str], *, effects: tuple[str, ...] = ("reads", "writes"), **more: Any) -> Target:
    """A target whose profile tells of both kinds."""
    google = {
        "base_url": urls["google"],
        "auth": "google",
        "token_url": f"{urls['google_oauth']}/token",
        **{key: key for key in ("client_id", "client_secret")},
        "credential": "refresh",
        "leftovers": [GOOGLE],
    }
    stripe = {"base_url": urls["stripe"], "credential": "stripe", "leftovers": [STRIPE]}
    credentials = {
        "client_id": SECRETS["google_client_id"],
        "client_secret": SECRETS["google_client_secret"],
        "refresh": SECRETS["google_refresh_token"],
        "stripe": SECRETS["stripe_probe_key"],
    }
    told = {"kind": "sandbox", "base_url": "http://app.invalid", "effects": list(effects), "sweep_after": "0s"}
    profile = Profile.model_validate(
        {
            **told,
            "providers": {"google": google, "stripe": stripe},
            "credentials": dict.fromkeys(credentials, "X"),
            **more,
        }
    )
    return Target("t", profile, credentials)


@pytest.fixture
def made(urls: dict[str, str]) -> Iterator[Any]:
    """Makes an event or a checkout that carries a text; `made.left(kind)` are the texts that are still there."""
    form = {"grant_type": "refresh_token", "refresh_token": SECRETS["google_refresh_token"]}
    form |= {name: SECRETS[f"google_{name}"] for name in ("client_id", "client_secret")}
    with Client(urls["google"]) as google, Client(urls["stripe"]) as stripe:
        token = google.post(f"{urls['google_oauth']}/token", data=form).json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        key = {"authorization": f"Bearer {SECRETS['stripe_secret_key']}"}

        class Maker:
            def event(self, text: str) -> None:
                times = {name: {"dateTime": f"2027-01-15T1{n}:00:00Z"} for n, name in enumerate(("start", "end"))}
                assert google.post(EVENTS, json={"summary": text, **times}, headers=bearer).ok

            def checkout(self, text: str) -> None:
                form = {"mode": "setup", "success_url": "https://x.example/", "client_reference_id": text}
                assert stripe.post("/v1/checkout/sessions", data=form, headers=key).ok

            def left(self) -> list[str]:
                events = google.get(f"{EVENTS}?maxResults=250", headers=bearer).json()["items"]
                sessions = stripe.get("/v1/checkout/sessions?status=open&limit=100", headers=key).json()["data"]
                return sorted([e["summary"] for e in events] + [s["client_reference_id"] for s in sessions])

        yield Maker()
        for event in google.get(f"{EVENTS}?maxResults=250", headers=bearer).json()["items"]:
            google.delete(f"{EVENTS}/{event['id']}", headers=bearer)
        for session in stripe.get("/v1/checkout/sessions?status=open&limit=100", headers=key).json()["data"]:
            stripe.post(f"/v1/checkout/sessions/{session['id']}/expire", headers=key)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (DEAD, DEAD),
        (f"checkup: dialtone-synthetic {DEAD}", DEAD),
        (f"Dialtone-Synthetic+{DEAD}@example.com", DEAD),
        (f"order {DEAD}", None),
        (f"{DEAD}0", None),
        ("dialtone-synthetic", None),
        (None, None),
        (17, None),
    ],
)
def test_a_marker_is_told_from_other_texts(text: object, token: str | None) -> None:
    """The token alone, or behind the prefix: whatever only looks like it belongs to somebody else."""
    assert token_of(text, "dialtone-synthetic") == token


def test_what_dead_runs_left_goes_and_nothing_else(urls: dict[str, str], made: Any) -> None:
    """Over several pages; runs that are young, or claimed by somebody, and what people made, stay."""
    alive = f"{int(NOW) - 9_999}-feedbeef"
    for token in (DEAD, YOUNG, alive):
        made.event(f"checkup: dialtone-synthetic {token}")
        for _ in range(3):
            made.checkout(token)
    made.event(f"Lunch with {DEAD}")
    made.checkout("order-17")
    asked, released = [], []

    def claim(token: str) -> bool:
        asked.append(token)
        return token != alive

    swept = Outside(target(urls), clock=lambda: NOW).sweep(claim, released.append)
    assert swept.troubles == []
    assert swept.removed == {"google": 1, "stripe": 3}
    assert made.left() == sorted(
        ["order-17", f"Lunch with {DEAD}"]
        + [f"checkup: dialtone-synthetic {token}" for token in (YOUNG, alive)]
        + [YOUNG, alive] * 3
    )
    assert sorted(asked) == sorted([DEAD, alive])
    assert released == [DEAD]


def test_a_run_cleans_up_behind_itself(urls: dict[str, str], made: Any) -> None:
    """At its end it removes what carries its own marker, however young."""
    made.event(f"checkup: dialtone-synthetic {YOUNG}")
    made.event(f"checkup: dialtone-synthetic {DEAD}")
    assert Outside(target(urls), clock=lambda: NOW).clean(YOUNG).removed == {"google": 1}
    assert made.left() == [f"checkup: dialtone-synthetic {DEAD}"]


def test_where_nothing_may_be_written_nothing_is_looked_for(urls: dict[str, str], made: Any) -> None:
    """Production that allows reads only is not swept either, nor what lacks a credential."""
    made.checkout(DEAD)
    assert Outside(target(urls, effects=("reads",)), clock=lambda: NOW).kinds() == []
    bare = Target("t", target(urls).profile, {})
    assert Outside(bare, clock=lambda: NOW).sweep(lambda _: True).removed == {}
    assert made.left() == [DEAD]


def test_a_provider_that_refuses_is_told_and_hurts_nobody(urls: dict[str, str], made: Any) -> None:
    """The other provider is swept all the same."""
    made.checkout(DEAD)
    wrong = target(urls)
    credentials = {**wrong.credentials, "refresh": "1//revoked"}
    swept = Outside(Target("t", wrong.profile, credentials), clock=lambda: NOW).sweep(lambda _: True)
    assert swept.removed == {"stripe": 1}
    assert swept.troubles == ["google: google answered 400 to the prober's own refresh token"]


KILLED = """
import os, sys, time
from dialtone.http import Client
from dialtone.probes.database import Database
from dialtone.probes.synthetic import Run, Tenants
from tests.probes.test_leftovers import SECRETS, TENANT, target
urls = dict(pair.split("=", 1) for pair in sys.argv[2:])
run = Run("dialtone-synthetic", clock=lambda: 1_799_000_000.0)
tenants = Tenants(target(urls, tenant=TENANT), run, Database(sys.argv[1]), clock=lambda: 1_799_000_000.0)
tenants.create()
form = {"mode": "setup", "success_url": "https://x.example/", "client_reference_id": run.token}
Client(urls["stripe"]).post("/v1/checkout/sessions", data=form,
    headers={"authorization": f"Bearer {SECRETS['stripe_secret_key']}"})
print(run.token, flush=True)
time.sleep(600)
"""
TENANT = {
    "create": "INSERT INTO left_tenants (name) VALUES (%(marker)s) RETURNING name",
    "runs": "SELECT name FROM left_tenants WHERE name LIKE %(prefix)s || ' %%'",
    "sweep": ["DELETE FROM left_tenants WHERE name = %(marker)s"],
}


def test_what_a_killed_run_left_is_swept_by_the_next(
    urls: dict[str, str], made: Any, postgres: str, admin: Any, tmp_path: Path
) -> None:
    """As long as it lives its lock protects what it made; after SIGKILL the next run removes rows and all."""
    admin.execute("CREATE TABLE left_tenants (name text)")
    root = Path(__file__).parents[2]
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), postgres, *(f"{k}={v}" for k, v in urls.items())]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={"PYTHONPATH": f"{root}:{root}/src"}
    )
    assert process.stdout is not None
    token = process.stdout.readline().strip()

    def next_run() -> Tenants:
        database = Database(postgres)
        tenants = Tenants(
            target(urls, tenant=TENANT), Run("dialtone-synthetic", clock=lambda: NOW), database, clock=lambda: NOW
        )
        tenants.prepare()
        tenants.clean()
        database.close()
        return tenants

    def rows() -> list[Any]:
        return list(admin.execute("SELECT name FROM left_tenants").fetchall())

    try:
        next_run()
        assert made.left() == [token]
        assert rows() == [(f"dialtone-synthetic {token}",)]
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        # The server notices that its client is gone, when it gets to it.
        assert not eventually(lambda: admin.execute(locks).fetchall(), lambda found: not found, within=30)
        next_run()
        assert made.left() == []
        assert rows() == []
    finally:
        process.kill()
        process.communicate()
        admin.execute("DROP TABLE left_tenants")


def test_what_is_left_can_be_counted(urls: dict[str, str], made: Any) -> None:
    """Of runs that are old enough only, by provider; a list that cannot be read is told."""
    made.event(f"checkup: dialtone-synthetic {DEAD}")
    made.checkout(DEAD)
    made.checkout(f"{int(NOW)}-0123abcd")
    outside = Outside(target(urls), clock=lambda: NOW)
    assert outside.left(older_than=300).found == {"google": 1, "stripe": 1}
    assert outside.left(older_than=9_999).found == {}
    wrong = Target("t", target(urls).profile, {**target(urls).credentials, "stripe": "sk_test_wrong"})
    assert Outside(wrong, clock=lambda: NOW).left(older_than=300).troubles == [
        "stripe: its list of leftovers answered 401"
    ]
