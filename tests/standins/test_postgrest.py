"""Supabase's REST API over a real Postgres, as supabase-py's client (`postgrest`) meets it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from tests import nodejs
from tests.standins.conftest import SECRETS, World, start
from tests.standins.serving import Served, serving

from dialtone.standins.config import NEEDED_SECRETS
from dialtone.standins.journal import Filter
from dialtone.standins.postgrest import Postgrest
from dialtone.standins.postgrest.database import TIMEOUTS
from dialtone.standins.postgrest.roles import grants_script, roles_script

pytest.importorskip("postgrest")
from postgrest import APIError, CountMethod, SyncPostgrestClient

PAGE = Path(__file__).parents[2] / "docs/standins.md"
SCHEMA = """
CREATE TABLE businesses (id serial PRIMARY KEY, name text NOT NULL UNIQUE, settings jsonb NOT NULL DEFAULT '{}');
CREATE TABLE calls (id serial PRIMARY KEY, business_id int NOT NULL REFERENCES businesses, state text DEFAULT 'new',
  seconds int, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE tags (id serial PRIMARY KEY, label text NOT NULL);
CREATE TABLE call_tags (call_id int REFERENCES calls, tag_id int REFERENCES tags, PRIMARY KEY (call_id, tag_id));
CREATE TABLE secrets (id serial PRIMARY KEY, owner uuid NOT NULL DEFAULT auth.uid(), word text NOT NULL);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets TO authenticated USING (owner = auth.uid());
CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a + b';
CREATE FUNCTION long_calls(shortest int) RETURNS SETOF calls STABLE LANGUAGE sql
  AS 'SELECT * FROM calls WHERE seconds >= shortest';
CREATE FUNCTION forget() RETURNS void LANGUAGE sql AS 'DELETE FROM call_tags';
CREATE FUNCTION quarrel() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE 'PT402'
  USING MESSAGE = 'Payment Required', DETAIL = 'Quota exceeded', HINT = 'Upgrade'; END $$;
CREATE FUNCTION nap(s float) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(s)';
"""
ROWS = """
TRUNCATE businesses, calls, tags, call_tags, secrets RESTART IDENTITY;
INSERT INTO businesses (name, settings)
  VALUES ('Anna''s', '{"hours": {"mon": "9-5"}, "tags": ["a", "b"]}'), ('Bob, & Co', '{}');
INSERT INTO calls (business_id, state, seconds) VALUES (1, 'done', 30), (1, 'new', NULL), (2, 'done', 90);
INSERT INTO tags (label) VALUES ('urgent'), ('spam');
INSERT INTO call_tags VALUES (1, 1), (1, 2), (3, 1);
INSERT INTO secrets (owner, word) VALUES ('00000000-0000-0000-0000-000000000001', 'mine'),
  ('00000000-0000-0000-0000-000000000002', 'theirs');
"""
ME = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def url(postgres: str) -> Iterator[str]:
    """A database as Supabase has it; the address is its owner's."""
    name = "supabase"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(roles_script("authenticator-word").encode())
        admin.execute(f"CREATE DATABASE {name}".encode())
        own = postgres.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(own, autocommit=True) as owner:
            owner.execute((grants_script("dialtone") + SCHEMA).encode())
        yield own
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        admin.execute(b"DROP ROLE authenticator, anon, authenticated, service_role")


@pytest.fixture(scope="module")
def served(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The stand-in on a socket."""
    world = World(tmp_path_factory.mktemp("postgrest") / "defects.json")
    place = url.rpartition("@")[2]
    keys = SECRETS["supabase_anon_key"], SECRETS["supabase_service_key"]
    made = Postgrest(f"postgresql://authenticator:authenticator-word@{place}", SECRETS["supabase_jwt_secret"], *keys)
    with serving({"postgrest": made}, world.exchange, world.journal) as running:
        yield running
    made.close()


@pytest.fixture(autouse=True)
def rows(url: str) -> None:
    """The same rows for every test."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(ROWS.encode())


def client(served: Served, key: str, token: str = "") -> SyncPostgrestClient:
    """supabase-py's client."""
    headers = {"apikey": key, "authorization": f"Bearer {token or key}"}
    return SyncPostgrestClient(served.url("postgrest") + "/rest/v1", headers=headers)


@pytest.fixture
def api(served: Served) -> Iterator[SyncPostgrestClient]:
    """With the service key."""
    with client(served, SECRETS["supabase_service_key"]) as made:
        yield made


def token(**claims: Any) -> str:
    """A user's token."""
    told = {"role": "authenticated", "sub": ME, "aud": "authenticated", "exp": time.time() + 60, **claims}
    return jwt.encode(told, SECRETS["supabase_jwt_secret"], "HS256")


def refused(call: Any) -> tuple[str, str]:
    """Code and message of an error."""
    with pytest.raises(APIError) as caught:
        call()
    return str(caught.value.code), str(caught.value.message)


def raw(
    served: Served, method: str, path: str, key: str = SECRETS["supabase_service_key"], **more: Any
) -> httpx.Response:
    """A request by hand."""
    headers = {"apikey": key, **more.pop("headers", {})}
    return httpx.request(method, f"{served.url('postgrest')}/rest/v1/{path}", headers=headers, **more)


def ids(answer: Any) -> list[int]:
    """The ids of an answer's rows."""
    return [row["id"] for row in answer.data]


def test_filters(api: SyncPostgrestClient) -> None:
    """Each operator leaves the rows that it should."""
    calls = lambda: api.from_("calls").select("id").order("id")  # noqa: E731
    assert ids(calls().eq("state", "done").execute()) == [1, 3]
    assert ids(calls().neq("state", "done").execute()) == [2]
    assert ids(calls().gt("seconds", 30).execute()) == [3]
    assert ids(calls().gte("seconds", 30).lte("seconds", 90).execute()) == [1, 3]
    assert ids(calls().lt("seconds", 90).execute()) == [1]
    assert ids(calls().is_("seconds", "null").execute()) == [2]
    assert ids(calls().not_.is_("seconds", "null").execute()) == [1, 3]
    assert ids(calls().in_("id", [1, 3, 9]).execute()) == [1, 3]
    assert ids(calls().not_.in_("id", [1]).execute()) == [2, 3]
    assert ids(calls().or_("seconds.gt.50,and(state.eq.new,seconds.is.null)").execute()) == [2, 3]
    assert ids(calls().match({"state": "done", "business_id": 2}).execute()) == [3]
    businesses = lambda: api.from_("businesses").select("id").order("id")  # noqa: E731
    assert ids(businesses().ilike("name", "bob%").execute()) == [2]
    assert ids(businesses().like("name", "*nna's").execute()) == [1]
    assert ids(businesses().in_("name", ["Bob, & Co", "(x)"]).execute()) == [2]
    assert ids(businesses().or_('name.eq."Bob, & Co"').execute()) == [2]
    assert ids(businesses().contains("settings", {"tags": ["b"]}).execute()) == [1]
    assert ids(businesses().eq("settings->hours->>mon", "9-5").execute()) == [1]
    assert ids(businesses().text_search("name", "bob").execute()) == [2]


def test_columns_order_and_pages(api: SyncPostgrestClient, served: Served) -> None:
    """Aliases, casts, JSON paths; order with nulls; pages with a count; one row or an error."""
    answer = api.from_("calls").select("n:id,s:seconds::text").order("seconds", desc=True, nullsfirst=True).execute()
    assert answer.data == [{"n": 2, "s": None}, {"n": 3, "s": "90"}, {"n": 1, "s": "30"}]
    answer = (
        api.from_("businesses").select("settings->hours->>mon,first:settings->tags->0").eq("id", 1).single().execute()
    )
    assert answer.data == {"mon": "9-5", "first": "a"}
    answer = api.from_("calls").select("id", count=CountMethod.exact).order("id").range(1, 1).execute()
    assert (ids(answer), answer.count) == ([2], 3)
    answer = api.from_("calls").select("*", count=CountMethod.exact, head=True).execute()
    assert (answer.data, answer.count) == ([], 3)
    assert raw(served, "GET", "calls?limit=1", headers={"prefer": "count=exact"}).status_code == 206
    assert raw(served, "GET", "calls", headers={"range": "1-2"}).headers["content-range"] == "1-2/*"
    assert raw(served, "GET", "calls?offset=5", headers={"prefer": "count=exact"}).json()["code"] == "PGRST103"
    assert api.from_("calls").select("id").eq("id", 9).maybe_single().execute() is None
    assert refused(lambda: api.from_("calls").select("id").eq("id", 9).single().execute())[0] == "PGRST116"
    assert refused(lambda: api.from_("calls").select("id").single().execute())[0] == "PGRST116"


def test_embedding(api: SyncPostgrestClient) -> None:
    """To one, to many, across a table in between, with aliases, inner joins, filters, counts and hints."""
    select = "id,business:businesses(name),call_tags(tag_id),tags(label)"
    answer = api.from_("calls").select(select).eq("id", 1).single().execute()
    assert answer.data == {
        "id": 1,
        "business": {"name": "Anna's"},
        "call_tags": [{"tag_id": 1}, {"tag_id": 2}],
        "tags": [{"label": "urgent"}, {"label": "spam"}],
    }
    answer = api.from_("businesses").select("name,calls(id)").eq("calls.state", "new").order("id").execute()
    assert answer.data == [{"name": "Anna's", "calls": [{"id": 2}]}, {"name": "Bob, & Co", "calls": []}]
    answer = api.from_("businesses").select("name,calls!inner(id)").eq("calls.state", "new").execute()
    assert answer.data == [{"name": "Anna's", "calls": [{"id": 2}]}]
    answer = api.from_("businesses").select("id,calls(count)").order("id").execute()
    assert [row["calls"] for row in answer.data] == [[{"count": 2}], [{"count": 1}]]
    answer = (
        api.from_("calls").select("b:business_id(name),businesses!calls_business_id_fkey(id)").eq("id", 3).execute()
    )
    assert answer.data == [{"b": {"name": "Bob, & Co"}, "businesses": {"id": 2}}]
    answer = api.from_("businesses").select("calls(id)").order("id", desc=True, foreign_table="calls").execute()
    assert answer.data[0] == {"calls": [{"id": 2}, {"id": 1}]}
    assert refused(lambda: api.from_("calls").select("secrets(id)").execute())[0] == "PGRST200"
    assert refused(lambda: api.from_("calls").select("id").eq("tags.label", "x").execute())[0] == "PGRST108"


def test_writing(api: SyncPostgrestClient, served: Served) -> None:
    """Insert, insert many, update, delete, upsert: what comes back and what is there."""
    calls = api.from_("calls")
    [made] = calls.insert({"business_id": 1, "seconds": 5}).execute().data
    assert (made["id"], made["state"]) == (4, "new")
    assert ids(calls.insert([{"business_id": 1}, {"business_id": 2}]).execute()) == [5, 6]
    [made] = (
        calls.insert([{"business_id": 1, "state": "x"}, {"business_id": 1}], default_to_null=True).execute().data[1:]
    )
    assert made["state"] is None
    [made] = (
        calls.insert([{"business_id": 1, "state": "x"}, {"business_id": 1}], default_to_null=False).execute().data[1:]
    )
    assert made["state"] == "new"
    answer = calls.update({"state": "gone"}, count=CountMethod.exact).eq("business_id", 2).execute()
    assert (sorted(ids(answer)), answer.count) == ([3, 6], 2)
    assert calls.update({"state": "gone"}).eq("id", 99).execute().data == []
    assert ids(calls.delete().eq("id", 6).execute()) == [6]
    upserted = api.from_("businesses").upsert({"name": "Anna's", "settings": {"a": 1}}, on_conflict="name").execute()
    assert upserted.data[0]["settings"] == {"a": 1}
    assert upserted.data[0]["id"] == 1
    kept = api.from_("businesses").upsert({"id": 1, "name": "C"}, ignore_duplicates=True).execute()
    assert kept.data == []
    merge = {"prefer": "resolution=merge-duplicates"}
    assert raw(served, "POST", "businesses", headers=merge, json={"id": 1, "name": "D"}).status_code == 200
    assert raw(served, "POST", "businesses", headers=merge, json={"id": 7, "name": "E"}).status_code == 201
    answer = raw(served, "POST", "tags", json={"label": "x"})
    assert (answer.status_code, answer.text, answer.headers["content-range"]) == (201, "", "*/*")
    assert raw(served, "PATCH", "tags?id=eq.3", json={"label": "y"}).status_code == 204
    shown = raw(
        served,
        "POST",
        "calls?select=id,businesses(name)",
        headers={"prefer": "return=representation"},
        json={"business_id": 2},
    )
    assert shown.json()[0]["businesses"] == {"name": "Bob, & Co"}


def test_functions(api: SyncPostgrestClient, served: Served) -> None:
    """Scalars, rows that are filtered further, nothing, errors of their own; by POST and by GET."""
    assert api.rpc("add", {"a": 2, "b": 3}).execute().data == 5
    assert api.rpc("add", {"a": 2}, get=True).execute().data == 3
    assert ids(
        api.rpc("long_calls", {"shortest": 10}).select("id").eq("state", "done").order("id", desc=True).execute()
    ) == [3, 1]
    assert raw(served, "POST", "rpc/forget").status_code == 204
    assert api.from_("call_tags").select("*").execute().data == []
    answer = raw(served, "POST", "rpc/quarrel")
    assert answer.status_code == 402
    assert answer.json() == {
        "code": "PT402",
        "message": "Payment Required",
        "details": "Quota exceeded",
        "hint": "Upgrade",
    }
    code, message = refused(lambda: api.rpc("ad", {"a": 2}).execute())
    assert (code, message) == ("PGRST202", "Could not find the function public.ad(a) in the schema cache")
    assert raw(served, "GET", "rpc/forget").json()["code"] == "25006"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "nothing", None, 404, "PGRST205"),
        ("GET", "calls?select=nope", None, 400, "42703"),
        ("GET", "calls?id=eq.x", None, 400, "22P02"),
        ("GET", "calls?id=is", None, 400, "PGRST100"),
        ("GET", "calls?id=almost.1", None, 400, "PGRST100"),
        ("GET", "calls?select=id(", None, 400, "PGRST100"),
        ("GET", "calls?select=seconds.sum()", None, 400, "PGRST123"),
        ("GET", "calls?limit=-1", None, 416, "PGRST103"),
        ("GET", "a/b/c", None, 404, "PGRST125"),
        ("PUT", "calls", {}, 405, "PGRST117"),
        ("POST", "calls", {"business_id": 9}, 409, "23503"),
        ("POST", "calls", {"state": "x"}, 400, "23502"),
        ("POST", "calls", {"nope": 1}, 400, "PGRST204"),
        ("POST", "calls", [{"business_id": 1}, {"state": "x"}], 400, "PGRST102"),
        ("POST", "calls", 7, 400, "PGRST102"),
        ("POST", "businesses", {"name": "Anna's"}, 409, "23505"),
        ("PATCH", "calls", {"state": "x"}, 400, "21000"),
        ("DELETE", "calls", None, 400, "21000"),
    ],
)
def test_errors(served: Served, method: str, path: str, body: Any, status: int, code: str) -> None:
    """PostgREST's codes and Postgres' own, with the statuses that belong to them."""
    answer = raw(served, method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message", "details", "hint"}


def test_keys_tokens_and_row_level_security(served: Served) -> None:
    """Who sees what: nobody without a key, everything with the service key, one's own with a token."""
    anon, service = SECRETS["supabase_anon_key"], SECRETS["supabase_service_key"]

    def words(key: str, own: str = "") -> list[str]:
        with client(served, key, own) as api:
            answer = api.from_("secrets").select("word").order("word").execute()
        return [row["word"] for row in answer.data]

    assert words(service) == ["mine", "theirs"]
    assert words(anon) == []
    assert words(anon, token()) == ["mine"]
    with client(served, anon, token()) as api:
        mine = api.from_("secrets")
        assert mine.insert({"word": "more"}).execute().data[0]["owner"] == ME
        assert refused(lambda: mine.insert({"word": "x", "owner": ME.replace("1", "2")}).execute())[0] == "42501"
    assert raw(served, "POST", "secrets", key=anon, json={"word": "x"}).status_code == 401
    for given, code in (
        (token(exp=1), "PGRST303"),
        (token() + "x", "PGRST301"),
        ("no-token", "PGRST301"),
        (token(role="king"), "22023"),
    ):
        answer = raw(served, "GET", "calls", headers={"authorization": f"Bearer {given}"})
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert raw(served, "GET", "calls", key="other").json()["message"] == "Invalid API key"
    assert httpx.get(served.url("postgrest") + "/rest/v1/calls").json()["message"] == "No API key found in request"
    assert httpx.options(served.url("postgrest") + "/rest/v1/calls").headers["access-control-allow-origin"] == "*"


def test_time_outs_and_a_database_that_is_gone(served: Served, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """57014 is a 500 after the role's time-out, PGRST000 a 503."""
    assert TIMEOUTS == {"anon": "3s"}
    monkeypatch.setitem(TIMEOUTS, "anon", "200ms")
    answer = raw(served, "POST", "rpc/nap", SECRETS["supabase_anon_key"], json={"s": 20})
    assert (answer.status_code, answer.json()["code"]) == (500, "57014")
    assert answer.json()["message"] == "canceling statement due to statement timeout"
    reply = world.send("postgrest", "GET", "/rest/v1/calls", headers={"apikey": SECRETS["supabase_anon_key"]})
    assert (reply.status, reply.json()["code"]) == (503, "PGRST000")


def test_a_slow_request_keeps_no_other_waiting(served: Served, url: str) -> None:
    """Another is answered while it sleeps; cancelled, it is told so."""
    slow: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: slow.append(raw(served, "POST", "rpc/nap", json={"s": 7}, timeout=30)))
    thread.start()
    asleep = "SELECT pid FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event = 'PgSleep'"
    with psycopg.connect(url, autocommit=True) as owner:
        while (found := owner.execute(asleep.encode()).fetchone()) is None:
            assert thread.is_alive()
        assert raw(served, "GET", "tags").status_code == 200
        assert slow == []
        owner.execute("SELECT pg_cancel_backend(%s)", found)
    thread.join(20)
    assert (slow[0].status_code, slow[0].json()["message"]) == (500, "canceling statement due to user request")


def test_what_was_made_afterwards_is_found(served: Served, url: str) -> None:
    """The schema is read anew for a table, a column, a function that was not there."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(b"DROP TABLE IF EXISTS late; CREATE TABLE late (id int PRIMARY KEY)")
        assert raw(served, "GET", "late").json() == []
        owner.execute(b"ALTER TABLE late ADD word text")
        assert raw(served, "POST", "late", json={"id": 1, "word": "x"}).status_code == 201
        owner.execute(b"DROP TABLE late")
        assert raw(served, "GET", "late").json()["code"] == "42P01"
        assert raw(served, "GET", "late").json()["code"] == "PGRST205"


def test_the_journal_holds_what_was_written_and_no_key(served: Served) -> None:
    """Rows as they were sent; the key in no form."""
    httpx.get(f"{served.url('postgrest')}/rest/v1/calls?apikey={SECRETS['supabase_service_key']}")
    raw(served, "POST", "tags", json={"label": "kept"})
    told = json.loads(served.journal.shown(Filter(provider="postgrest")))["requests"]
    assert told[-1]["body"] == {"label": "kept"}
    assert SECRETS["supabase_service_key"] not in json.dumps(told)


def test_supabase_js(served: Served) -> None:
    """The client of the applications: data, error code, count and status of each kind of call."""
    nodejs.need("@supabase/supabase-js")
    environment = {"SUPABASE_URL": served.url("postgrest"), "SUPABASE_KEY": SECRETS["supabase_service_key"]}
    told = nodejs.run("supabase.cjs", environment)
    short = {name: (one["data"], one["error"] or one["count"], one["status"]) for name, one in told.items()}
    assert short.pop("upsert")[0] == [{"id": 1}]
    assert short == {
        "select": (
            [{"id": 1, "businesses": {"name": "Anna's"}}, {"id": 3, "businesses": {"name": "Bob, & Co"}}],
            2,
            200,
        ),
        "page": ([{"id": 3}, {"id": 2}], None, 200),
        "range": ([{"id": 2}, {"id": 3}], None, 200),
        "head": (None, 3, 200),
        "single": ({"name": "Anna's"}, None, 200),
        "no single": (None, "PGRST116", 406),
        "maybe": (None, None, 200),
        "insert": (None, None, 201),
        "insert select": ([{"id": 4, "label": "x"}, {"id": 5, "label": "y"}], None, 201),
        "insert single": ({"id": 6, "label": "z"}, None, 201),
        "duplicate": (None, "23505", 409),
        "update": ([{"id": 1, "label": "new"}], None, 200),
        "ignored": ([], None, 201),
        "delete": (None, 1, 204),
        "delete all": (None, "21000", 400),
        "rpc": (42, None, 200),
        "rpc rows": ([{"id": 3}], None, 200),
        "rpc void": (None, None, 204),
        "or": ([{"id": 2}, {"id": 3}], None, 200),
        "json": ([{"mon": "9-5"}], None, 200),
        "no table": (None, "PGRST205", 404),
    }


def test_the_process_ends_its_connections(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that it keeps for later too: it ends without a word of what is open."""
    place = f"postgresql://authenticator:authenticator-word@{url.rpartition('@')[2]}"
    monkeypatch.setitem(SECRETS, "supabase_database_url", place)
    monkeypatch.setenv("PYTHONWARNINGS", "always::ResourceWarning")
    running = start(tmp_path, listeners=("postgrest", "journal"))
    headers = {"apikey": SECRETS["supabase_service_key"]}
    answer = httpx.get(f"{running.url('postgrest')}/rest/v1/calls", headers=headers)
    running.process.terminate()
    output = running.process.communicate(timeout=60)
    assert (answer.status_code, output, running.process.returncode) == (200, ("", ""), 0)


def test_the_example_of_the_page_runs(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/standins.md, as it stands."""
    [source] = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE.read_text(), re.S)
    monkeypatch.setenv("SUPABASE_URL", served.url("postgrest"))
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", SECRETS["supabase_service_key"])
    exec(compile(source, str(PAGE), "exec"), {})  # noqa: S102 - our own page


def test_the_page_has_every_stand_in() -> None:
    """Each listener stands in the table, and nothing else does."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(NEEDED_SECRETS)
