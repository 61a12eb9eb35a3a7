"""docs/your-own-application.md: each step arms what it says it arms, and what is armed is ok."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.conftest import ROOT, Outcome, merged, toml
from tests.docs.parcels import JOURNAL_TOKEN, SCHEMA, SECRET, Courier, Parcels, serving
from tests.sandbox.conftest import command

from dialtone.sandbox import Sandbox

TEXT = (ROOT / "docs" / "your-own-application.md").read_text()
STEPS = {
    name: tomllib.loads(block) for name, block in re.findall(r"<!-- step: (\w+) -->\n```toml\n(.*?)```", TEXT, re.S)
}


def section(step: str) -> str:
    """The text after a step's heading, up to the next step."""
    return TEXT.split(f"<!-- step: {step} -->")[1].split("<!-- step:")[0]


def named(word: str, step: str) -> set[str]:
    """The ids that the page lists after a word, in the section of a step."""
    found = re.search(rf"^{word}[^:]*:(.*?)(?:\.$|\. )", section(step), re.S | re.M)
    assert found, f"the step {step} says nothing of what is {word}"
    return set(re.findall(r"`([\w\[\]]+)`", found[1]))


def until(step: str, base_url: str, witness: str) -> dict[str, Any]:
    """The profile of a reader who has come as far as this step; only addresses are exchanged."""
    profile: dict[str, Any] = {}
    for name, table in STEPS.items():
        profile = merged(profile, table)
        if name == step:
            break
    addresses = {"base_url": base_url, "witnesses": [witness, f"{witness}/other"]}
    return merged(profile, {"target": {"mine": addresses}})


@pytest.fixture(scope="module")
def database() -> Iterator[dict[str, str]]:
    """An empty database: its URL for the application, and for a prober that may write."""
    import psycopg

    with Sandbox.begin(command(), standins=command()).wait() as sandbox:
        with psycopg.connect(sandbox.admin_database_url) as connection:
            connection.execute("SET ROLE receptionist")
            connection.execute(SCHEMA)
        yield {"application": sandbox.admin_database_url, "prober": sandbox.env["SANDBOX_DATABASE_URL"]}


@pytest.fixture
def play(run_checks: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """`play(step)`: the application runs, and all checks with the profile as it is after the step."""

    def play(step: str, database: dict[str, str] | None = None, *args: str, courier: bool = True) -> Outcome:
        urls = database or {"application": "", "prober": ""}
        with contextlib.ExitStack() as stack:
            stand_in = stack.enter_context(serving(Courier().answer))
            application = Parcels(stand_in if courier else "", urls["application"])
            url = stack.enter_context(serving(application.answer))
            environ = {
                "SHOP_SECRET": SECRET,
                "JOURNAL_TOKEN": JOURNAL_TOKEN,
                "JOURNAL_URL": stand_in,
                "PARCELS_DATABASE_URL": urls["prober"],
            }
            return run_checks(until(step, url, stand_in), environ, *args)

    return play


def armed_until(step: str) -> set[str]:
    """What the page says is armed when a reader has come as far as this step."""
    found: set[str] = set()
    for name in STEPS:
        if re.search(r"^Armed: ", section(name), re.M):
            found |= named("Armed", name)
        if name == step:
            break
    return found


def test_the_smallest_profile_does_something(play: Callable[..., Outcome]) -> None:
    """Five checks are armed and ok, nothing else is, and each of the others says what it lacks."""
    outcome = play("smallest")
    assert outcome.are("ok") == armed_until("smallest")
    assert outcome.are("ok", "unarmed") == set(outcome.checks), outcome.output
    assert all(outcome.checks[name]["reason"] for name in outcome.are("unarmed"))
    assert outcome.exit_code == 0


def test_samples_stay_within_the_budget(play: Callable[..., Outcome]) -> None:
    """With a hundred requests a round what needs many samples is undecided, the rest is ok."""
    outcome = play("budget")
    assert outcome.are("undecided") == named("Undecided", "budget"), outcome.told("undecided", "breach", "critical")
    assert outcome.are("ok") == armed_until("budget") - named("Undecided", "budget")
    assert outcome.are("ok", "undecided", "unarmed") == set(outcome.checks)


def test_addresses_limits_and_webhooks(play: Callable[..., Outcome]) -> None:
    """With addresses of its own the prober decides everything; bursts, logins and webhooks are armed and ok."""
    outcome = play("webhooks")
    assert outcome.are("ok") == armed_until("webhooks"), outcome.told("undecided", "breach", "critical", "broken")
    assert named("Decided", "addresses") <= outcome.are("ok")
    assert outcome.are("ok", "unarmed") == set(outcome.checks)
    assert outcome.exit_code == 0


def test_database_rows_and_tenants(play: Callable[..., Outcome], database: dict[str, str]) -> None:
    """Rows are seen as effects; what was written is gone after the run."""
    import psycopg

    outcome = play("tenants", database)
    assert outcome.are("ok") == armed_until("tenants"), outcome.told("undecided", "breach", "critical", "broken")
    assert named("Decided", "tenants") <= outcome.are("ok")
    effects = outcome.checks["webhook_acceptance_has_its_effect[orders]"]["reason"]
    assert "parcel stored" in effects
    assert "courier told" in effects
    with psycopg.connect(database["application"]) as connection:
        left = connection.execute("SELECT count(*) FROM shop UNION ALL SELECT count(*) FROM parcel").fetchall()
    assert left == [(0,), (500,)]


def test_a_parcel_that_is_not_sent_is_found(play: Callable[..., Outcome]) -> None:
    """The checks that this profile arms can fail: an application that tells no courier accepts without effect."""
    outcome = play("webhooks", None, "checks/test_webhooks.py::test_webhook_acceptance_has_its_effect", courier=False)
    assert outcome.are("critical") == {"webhook_acceptance_has_its_effect[orders]"}
    assert "later this is missing: courier told" in outcome.told("critical")
    assert outcome.exit_code == 1


def test_the_profile_is_read_without_a_request(tmp_path: Path) -> None:
    """`dialtone profile mine` names what is set and what is missing."""
    (tmp_path / "parcels.toml").write_text(toml(until("tenants", "https://parcels.example.com", "https://example.com")))
    environ = {"PATH": os.environ["PATH"], "JOURNAL_URL": "http://127.0.0.1:1", "SHOP_SECRET": SECRET}
    words = [sys.executable, "-m", "dialtone.cli", "profile", "mine", "--config", "parcels.toml"]
    words += ["--checks", str(ROOT / "checks" / "test_webhooks.py")]
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert "mine: preview, https://parcels.example.com" in done.stdout
    assert re.search(r"set +shop_secret", done.stdout)
    assert re.search(r"missing +database_url", done.stdout)
    assert re.search(r"^\d+ checks are armed, \d+ are not:$", done.stdout, re.M)
    lacking = "the profile has no requests.ping and routes.retell\n      ping_is_answered"
    assert lacking in done.stdout
    assert SECRET not in done.stdout
