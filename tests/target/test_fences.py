"""Fences: a target that could touch production is only ever read, and no message shows a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialtone.target import Target, load
from dialtone.verdict import Effect

REF = "abcdefghijklmnopqrst"
PROFILE = """
[defaults]
witnesses = ["https://one.example.org", "https://two.example.org"]
effects = ["reads", "writes", "provokes"]
database = "db"

[defaults.credentials]
db = "DB"

[defaults.webhooks.stripe]
route = "/api/stripe"
scheme = "stripe"
key = "hook"
answer_within = "5s"

[target.preview]
kind = "preview"
base_url = "https://preview.example.com"
{preview}
[target.preview.credentials]
db = "PREVIEW_DB"
key = "PREVIEW_KEY"
hook = "PREVIEW_HOOK"

[target.live]
kind = "production"
base_url = "https://www.example.com"
{live}
[target.live.credentials]
db = "LIVE_DB"
other = "LIVE_KEY"
hook = "LIVE_HOOK"
"""


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """`opened(environ, preview=…, live=…)`: the preview, loaded beside its production."""

    def make(environ: dict[str, str], preview: str = "", live: str = "", name: str = "preview") -> Target:
        path = tmp_path / "dialtone.toml"
        path.write_text(PROFILE.format(preview=preview, live=live))
        return load(path, name, environ)

    return make


def test_a_target_of_its_own_is_not_fenced(opened: Any) -> None:
    """Other host, other key: what the profile allows is allowed."""
    target = opened(
        {
            "PREVIEW_DB": "postgres://u:p@preview.db.example.com/app",
            "LIVE_DB": "postgres://u:p@live.db.example.com/app",
            "PREVIEW_KEY": "sk_test_1234",
            "LIVE_KEY": "sk_live_1234",
        }
    )
    assert target.fenced == ()
    assert target.effects == {Effect.READS, Effect.WRITES, Effect.PROVOKES}


@pytest.mark.parametrize("key", ["sk_live_hush1234", "rk_live_hush1234", "pk_live_hush1234"])
def test_a_live_key_fences(opened: Any, key: str) -> None:
    """Everything but reading is refused, naming the variable and never the value."""
    target = opened({"PREVIEW_KEY": key})
    assert target.fenced == ("PREVIEW_KEY holds a live key",)
    assert target.effects == {Effect.READS}
    assert target.refuses(Effect.WRITES) == "writes refused here: PREVIEW_KEY holds a live key"
    assert target.refuses(Effect.READS) is None
    assert "hush" not in repr(target) + str(target.fenced)


def test_a_live_key_fences_without_a_production_beside_it(tmp_path: Path) -> None:
    """A file may describe one target only."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE.partition("[target.live]")[0].format(preview=""))
    assert load(path, "preview", {"PREVIEW_KEY": "sk_live_1"}).fenced == ("PREVIEW_KEY holds a live key",)


def test_production_may_hold_its_own_live_key(opened: Any) -> None:
    """The fence stands around everything else."""
    assert opened({"LIVE_KEY": "sk_live_1234"}, name="live").fenced == ()


def test_a_credential_of_production_fences(opened: Any) -> None:
    """Whatever it is called there."""
    target = opened({"PREVIEW_KEY": "hush-1234", "LIVE_KEY": "hush-1234"})
    assert target.fenced == ("PREVIEW_KEY holds a credential of live",)


def test_a_url_that_is_a_credential_fences_as_well(opened: Any) -> None:
    """A Slack address is a secret and a place that people read."""
    url = "https://hooks.example.com/T1/B2/hush"
    assert opened({"PREVIEW_KEY": url, "LIVE_KEY": url}).fenced == ("PREVIEW_KEY holds a credential of live",)


def test_a_credential_may_be_shared_on_purpose(opened: Any) -> None:
    """`shared_credentials` exempts a credential from being the same, not from being live."""
    shared = 'shared_credentials = ["key"]'
    assert opened({"PREVIEW_KEY": "hush-1234", "LIVE_KEY": "hush-1234"}, shared).fenced == ()
    assert opened({"PREVIEW_KEY": "sk_live_1"}, shared).fenced == ("PREVIEW_KEY holds a live key",)


LIVE = "postgresql://prober:hush@db.example.com:5432/app"


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        (LIVE, LIVE),
        ("postgres://other:pw@DB.example.com/app", LIVE),
        ("postgres://other:pw@db.example.com:6543/other?sslmode=require", LIVE),
        ("postgresql+psycopg://other:pw@db.example.com./app", LIVE),
        ("postgres://u:p%40ss@standby.example.com,db.example.com:5432/app", LIVE),
        ("postgres://u:un/enc#oded@db.example.com/app", LIVE),
        ("postgres://u:two@ats@db.example.com/app", LIVE),
        ("postgres:///app?host=db.example.com&user=u", LIVE),
        ("host=db.example.com port=5432 dbname=app user=u password='it\\'s'", LIVE),
        ("hostaddr=10.0.0.7 dbname=app", "postgres://u:p@10.0.0.7/x"),
        ("postgres://u:p@[2001:db8::7]:5432/x", "postgres://u:p@[2001:DB8::7]/y"),
        ("postgres://u:p@127.0.0.1:5432/a", "postgres://u:p@127.0.0.1:5432/b"),
    ],
)
def test_the_same_database_host_fences(opened: Any, ours: str, live: str) -> None:
    """In whatever form the address is written, with whatever user, port and database."""
    target = opened({"PREVIEW_DB": ours, "LIVE_DB": live})
    assert target.fenced == ("PREVIEW_DB names the database host of live",)


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        ("postgres://u:p@127.0.0.1:5432/a", "postgres://u:p@127.0.0.1:5433/a"),
        ("postgres://u:p@preview.example.com/a", LIVE),
        (f"postgres://postgres.{REF}:p@aws-0-eu.pooler.supabase.com:6543/postgres",
         f"postgres://postgres.{REF[::-1]}:p@aws-0-eu.pooler.supabase.com:6543/postgres"),
        ("postgres://postgres:p@aws-0-eu.pooler.supabase.com/a", "postgres://me:q@aws-0-eu.pooler.supabase.com/a"),
        ("not a database", "none either"),
        ("postgres://u:p@host:not-a-port/x", "postgres://[broken/x"),
    ],
)  # fmt: skip
def test_other_databases_do_not_fence(opened: Any, ours: str, live: str) -> None:
    """Two servers on this machine, two tenants of one pooler; what is no address ends in no traceback."""
    assert opened({"PREVIEW_DB": ours, "LIVE_DB": live}).fenced == ()


DIRECT = f"postgres://postgres:hush@db.{REF}.supabase.co:5432/postgres"
POOLED = f"postgres://postgres.{REF}:hush@aws-0-eu.pooler.supabase.com:6543/postgres"
API = f"https://{REF}.supabase.co"


@pytest.mark.parametrize("ours", [POOLED, API])
@pytest.mark.parametrize("live", [DIRECT, POOLED, API])
def test_the_same_supabase_project_fences(opened: Any, ours: str, live: str) -> None:
    """Directly, through a pooler or over its API: one project is one database."""
    found = opened({"PREVIEW_DB": ours, "LIVE_DB": live}).fenced
    assert found == ("PREVIEW_DB names the database project of live",)


def test_the_direct_address_of_a_project_names_host_and_project(opened: Any) -> None:
    """One reason that says both."""
    assert opened({"PREVIEW_DB": DIRECT, "LIVE_DB": DIRECT}).fenced == (
        "PREVIEW_DB names the database host and project of live",
    )


def test_the_project_of_production_may_stand_in_the_file(opened: Any) -> None:
    """A job that checks a preview does not hold production's credentials; the file can name its project."""
    assert opened({"PREVIEW_DB": POOLED}, live=f'project = "{REF}"').fenced == (
        "PREVIEW_DB names the database project of live",
    )


def test_the_same_project_by_name_fences(opened: Any) -> None:
    """Both profiles name it."""
    assert opened({}, 'project = "main"', 'project = "main"').fenced == ("project is the project of live",)
    assert opened({}, 'project = "main"', 'project = "prod"').fenced == ()
    assert opened({}).fenced == ()


def test_the_same_webhook_endpoint_fences(opened: Any) -> None:
    """A preview whose webhooks are delivered to production's address."""
    route = '[target.preview.webhooks.stripe]\nroute = "https://WWW.example.com:443/api/stripe/"\n'
    assert opened({}, route).fenced == ("webhooks.stripe is an endpoint of live",)


def test_the_same_base_url_fences(opened: Any, tmp_path: Path) -> None:
    """A preview that is production under another name, also where production has no webhooks."""
    path = tmp_path / "dialtone.toml"
    text = PROFILE.format(preview="", live="").replace("https://preview.example.com", "https://www.example.com:443/")
    path.write_text(text)
    assert load(path, "preview", {}).fenced == ("base_url is that of live", "webhooks.stripe is an endpoint of live")
    head, _, rest = text.partition("[defaults.webhooks.stripe]")
    path.write_text(head + rest.partition("\n\n")[2])
    assert load(path, "preview", {}).fenced == ("base_url is that of live",)


def test_production_needs_no_environment_to_be_compared(opened: Any, tmp_path: Path) -> None:
    """Its address may come from a variable that is not set here."""
    path = tmp_path / "dialtone.toml"
    path.write_text(PROFILE.format(preview="", live="").replace("https://www.example.com", "${LIVE_URL}"))
    assert load(path, "preview", {}).fenced == ()
    assert load(path, "preview", {"LIVE_URL": "https://preview.example.com"}).fenced[0] == "base_url is that of live"
