"""A target as checks see it: effects, entries, what is armed."""

from __future__ import annotations

from typing import Any

import pytest

from dialtone.target import Profile, Target
from dialtone.target.duration import seconds
from dialtone.verdict import Effect, Misdeclared, Unarmed

TABLES: dict[str, Any] = {
    "kind": "sandbox",
    "base_url": "http://127.0.0.1:1",
    "database": "db",
    "credentials": {"db": "APP_DB", "hook": "APP_HOOK", "id": "APP_ID", "token": "APP_TOKEN"},
    "routes": {"health": "/health"},
    "webhooks": {"stripe": {"route": "/s", "scheme": "stripe", "key": "hook", "answer_within": "5s"}},
    "providers": {"google": {"base_url": "http://g", "credential": "id", "client_id": "id"}},
    "objectives": {"errors": {"alert": 5, "critical": 10, "unit": "%", "severity": {"critical": "P0"}}},
    "journal": {"url": "http://j", "token": "token"},
}


def target(credentials: dict[str, str] | None = None, **tables: Any) -> Target:
    """A target of these tables."""
    return Target("here", Profile.model_validate({**TABLES, **tables}), credentials or {})


@pytest.mark.parametrize("base", ["https://a.example/app", "https://a.example/app/"])
@pytest.mark.parametrize(
    ("where", "url"),
    [
        ("/health", "https://a.example/app/health"),
        ("health?deep=1", "https://a.example/app/health?deep=1"),
        ("/", "https://a.example/app/"),
        ("https://b.example/x", "https://b.example/x"),
        ("/to?next=http://b.example", "https://a.example/app/to?next=http://b.example"),
    ],
)
def test_routes_are_below_the_base_url(base: str, where: str, url: str) -> None:
    """A base_url may have a path of its own; only a whole address leads elsewhere."""
    assert target(base_url=base).url(where) == url


def test_production_never_disrupts() -> None:
    """Whatever its profile says."""
    witnesses = ["https://a", "https://b"]
    everything = [str(e) for e in Effect]
    live = target(kind="production", witnesses=witnesses, effects=everything)
    assert live.effects == set(Effect) - {Effect.DISRUPTS}
    assert live.refuses(Effect.DISRUPTS) == "here does not allow disrupts: effects in its profile"
    assert target(effects=everything).effects == set(Effect)


def test_reading_is_always_allowed() -> None:
    """A profile without effects only reads; one with others reads as well."""
    assert target().effects == {Effect.READS}
    assert target(effects=["writes"]).effects == {Effect.READS, Effect.WRITES}
    assert target(effects=["writes"]).refuses(Effect.COSTS) == "here does not allow costs: effects in its profile"


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        ("routes.health", None),
        ("routes.home", "the profile has no routes.home"),
        ("routes", None),
        ("pages", "the profile has no pages"),
        ("credentials.db", "APP_DB is not set"),
        ("credentials.x", "the profile has no credentials.x"),
        ("database", "APP_DB is not set"),
        ("webhooks.stripe", "APP_HOOK is not set"),
        ("webhooks.retell", "the profile has no webhooks.retell"),
        ("providers.google", "APP_ID is not set"),
        ("journal", "APP_TOKEN is not set"),
        ("objectives.errors", None),
        ("objectives.x", "the profile has no objectives.x"),
        ("tenant", "the profile has no tenant"),
        ("tls_url", "the profile has no tls_url"),
    ],
)
def test_what_a_check_lacks_is_named(need: str, reason: str | None) -> None:
    """An unarmed check says which setting or variable it needs."""
    assert target().lacks([need]) == ([reason] if reason else [])


def test_a_check_with_everything_lacks_nothing() -> None:
    """All credentials set: armed."""
    whole = target({"db": "x", "hook": "x", "id": "x", "token": "x"})
    assert whole.lacks(["database", "webhooks.stripe", "providers.google", "journal", "credentials.db"]) == []


def test_a_profile_without_a_database_says_so() -> None:
    """The check learns that it needs one."""
    assert target(database=None).lacks(["database"]) == ["the profile has no database"]


def test_a_need_that_no_profile_can_meet_is_a_mistake_of_the_check() -> None:
    """A spelling mistake would otherwise leave the check unarmed for ever."""
    with pytest.raises(Misdeclared, match=r"needs route\.health: no profile has 'route'; did you mean 'routes'\?"):
        target().lacks(["route.health"])


def test_entries_that_are_missing_leave_a_check_unarmed() -> None:
    """Asking for a name that the profile lacks ends the check as unarmed, not as broken."""
    here = target()
    for ask in (here.route, here.value, here.query, here.request, here.page, here.webhook, here.provider):
        with pytest.raises(Unarmed, match="the profile has no "):
            ask("nothing")
    for ask_other in (here.rate_limit, here.objective):
        with pytest.raises(Unarmed, match="the profile has no "):
            ask_other("nothing")
    with pytest.raises(Unarmed, match="APP_DB is not set"):
        here.secret("db")


def test_entries_are_given_by_name() -> None:
    """The names of a profile are the vocabulary of the checks."""
    here = target({"db": "hush"}, fields={"token": "jwt"})
    assert here.route("health") == "/health"
    assert here.secret("db") == "hush"
    assert (here.field("token", "token"), here.field("id", "id")) == ("jwt", "id")
    errors = here.objective("errors")
    assert (errors.levels.alert, errors.levels.critical, errors.unit) == (5, 10, "%")
    assert errors.severities == {"critical": "P0"}


@pytest.mark.parametrize(
    ("text", "value"), [("300ms", 0.3), ("5s", 5), ("15m", 900), ("24h", 86400), ("30d", 2592000), ("1.5s", 1.5)]
)
def test_durations_have_units(text: str, value: float) -> None:
    """Seconds inside, units outside."""
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", [5, "5", "s", "5 s", "-5s", "5sec", "1h30m", None, True])
def test_a_number_without_a_unit_is_no_duration(text: Any) -> None:
    """Five of what?"""
    with pytest.raises(ValueError, match="a number and a unit"):
        seconds(text)


HOOK = {
    "route": "/h",
    "scheme": "stripe",
    "key": "hook",
    "answer_within": "5s",
    "genuine": '{"of": "{{tenant.id}}"}',
    "effects": [{"what": "stored", "sql": "SELECT 1"}, {"what": "called", "provider": "courier"}],
}


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        (["webhooks.shop.harmless"], ["the profile has no webhooks.shop.harmless"]),
        (["webhooks.shop.genuine"], ["the profile has no tenant"]),
        (["webhooks.shop.effects"], ["APP_DB is not set"]),
        (["webhooks.shop.route"], []),
        (["routes.a", "pages", "routes.a", "values.b"], ["the profile has no routes.a, pages and values.b"]),
        (["cron", "database"], ["the profile has no cron", "APP_DB is not set"]),
        (["credentials.db", "credentials.id"], ["APP_DB and APP_ID are not set"]),
        (["providers.tides"], ["APP_ID is not set"]),
        (["providers.weather", "values.w"], ["providers.weather and values.w need W, which is not set"]),
        (
            ["providers.weather", "routes.a"],
            ["the profile has no routes.a", "providers.weather needs W, which is not set"],
        ),
        (["values.no", "values.none"], ["the profile has no values.none"]),
    ],
)
def test_a_need_stands_for_all_that_it_takes(needs: list[str], lacks: list[str]) -> None:
    """Templates for their tenant, effects for where they are seen; reasons of one form are one sentence."""
    tables = {
        "webhooks": {"shop": HOOK},
        "providers": {"tides": {"base_url": "http://t", "headers": {"api-key": "credential:id"}}},
        "values": {"no": False},
    }
    credentials = {"hook": "x", "token": "x"}
    here = Target(
        "here",
        Profile.model_validate({**TABLES, **tables}),
        credentials,
        absent={"providers.weather": "W", "values.w": "W"},
    )
    assert here.lacks(needs) == lacks


def test_headers_of_the_profile_hold_credentials() -> None:
    """Put in where they are used; the one that is missing is named by its variable."""
    here = target({"id": "secret"})
    assert here.headers({"api-key": "credential:id", "accept": "x"}) == {"api-key": "secret", "accept": "x"}
    with pytest.raises(Unarmed, match="APP_HOOK is not set"):
        here.headers({"a": "credential:hook"})


def test_a_route_may_be_a_whole_address() -> None:
    """Webhooks may have a host of their own."""
    assert target().url("/hook") == "http://127.0.0.1:1/hook"
    assert target().url("https://hooks.example.com/hook") == "https://hooks.example.com/hook"


def test_the_home_page_is_the_first_where_none_is_called_so() -> None:
    """Checks of the site take it; without pages they are unarmed."""
    pages = {name: {"path": f"/{name}", "contains": "x"} for name in ("board", "home")}
    assert target(pages=pages).home.path == "/home"
    assert target(pages={"board": pages["board"]}).home.path == "/board"
    with pytest.raises(Unarmed, match=r"pages\.home"):
        _ = target().home


@pytest.mark.parametrize(
    ("pattern", "value", "region"),
    [
        (r"^[\w-]+", "lon-3", "lon-3"),
        (r"^([a-z]{3,5}[0-9]*)::", "iad1::iad1::x7", "iad1"),
        (r"^quay=([a-z]+)", "pier=1", None),
        (r"\d+", None, None),
        (r".+", "x" * 90, "x" * 20),
    ],
)
def test_the_edge_tells_the_region(pattern: str, value: str | None, region: str | None) -> None:
    """The first group, or all that matches; never more than a name's length."""
    edge = target(edge={"header": "x-edge", "region": pattern}).profile.edge
    assert edge is not None
    assert edge.region_of(value) == region


def test_a_session_is_shown_as_it_is_told() -> None:
    """A bearer token, a cookie, or headers of one's own."""
    assert target().profile.session.shown() == {"authorization": "Bearer {{token}}"}
    assert target(session={"cookie": "sid"}).profile.session.shown() == {"cookie": "sid={{token}}"}
    assert target(session={"headers": {"x-s": "{{token}}"}}).profile.session.shown() == {"x-s": "{{token}}"}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"edge": {"header": "x", "region": "("}}, "not a regular expression"),
        ({"cron": {"key": "nobody"}}, "cron.key names the credential 'nobody'"),
        ({"providers": {"t": {"base_url": "http://t", "query": {"key": "credential:no"}}}}, "providers.t.query.key"),
        ({"indicators": {"i": {"sql": "%(window)s", "objective": "errors"}}}, "asks for the window"),
    ],
)
def test_what_does_not_meet_is_a_mistake(tables: dict[str, Any], said: str) -> None:
    """Told before anything is sent."""
    with pytest.raises(ValueError, match=said):
        target(**tables)


def test_tables_may_stand_under_their_schema() -> None:
    """Both ways of writing mean the same."""
    nested = target(tables={"billing": {"orders": ["id"]}, "users": ["id"]}).profile.tables
    assert nested == target(tables={"billing.orders": ["id"], "users": ["id"]}).profile.tables
