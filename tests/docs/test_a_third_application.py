"""A profile alone fits a third application, and what is wrong with it is found."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from tests.docs.conftest import Outcome
from tests.docs.ferry import (
    COLUMN_GONE,
    DEPLOYS_TOKEN,
    LATE,
    PROFILE,
    SCHEDULER_KEY,
    SCHEMA,
    TEXTS_TOKEN,
    TIDES_KEY,
    WRONG,
    Ferry,
    Tides,
)
from tests.docs.parcels import serving
from tests.sandbox.conftest import command

from dialtone.sandbox import Sandbox

OK = {
    "pages_answer[timetable]",
    "health_answers_ok",
    "health_is_not_cached",
    "health_leaks_nothing",
    "edge_region_is_recorded",
    "provider_answers[tides]",
    "login_refuses_wrong_password",
    "foreign_origin_is_refused",
    "cron_needs_its_secret",
    "own_monitor_agrees_with_health",
    "appointments_need_a_token",
    "appointment_can_be_changed",
    "tenants_cannot_read_each_other",
    "burst_is_limited[search]",
    "limited_answer_has_headers[search]",
    "user_below_the_limit_is_served[search]",
    "limit_is_shared_between_instances[search]",
    "no_escape_by_header[search]",
    "tables_are_as_the_profile_names_them",
    "indicator_keeps_its_objective[on_time]",
    "indicator_keeps_its_objective[slow_boardings]",
    "indicator_keeps_its_objective[waiting]",
    *(
        f"webhook_{what}[{name}]"
        for name in ("texts", "deploys")
        for what in (
            "accepts_genuine",
            "answers_in_time",
            "refuses_forged",
            "refuses_unsigned",
            "acceptance_has_its_effect",
            "redelivery_has_no_second_effect",
            "ignores_unknown_events",
        )
    ),
    "webhook_refuses_truncated[texts]",
}


@pytest.fixture(scope="module")
def database() -> Iterator[dict[str, str]]:
    """An empty database: its URL for the application, and for a prober that may write."""
    with Sandbox.begin(command(), standins=command()).wait() as sandbox:
        yield {"application": sandbox.admin_database_url, "prober": sandbox.env["SANDBOX_DATABASE_URL"]}


@pytest.fixture
def play(run_checks: Callable[..., Outcome], database: dict[str, str]) -> Callable[..., Outcome]:
    """`play(wrong)`: the application runs with what is wrong in it, and all checks against it."""

    def play(wrong: frozenset[str] = frozenset()) -> Outcome:
        with ExitStack() as stack:
            connection = stack.enter_context(psycopg.connect(database["application"], autocommit=True))
            connection.execute("SET ROLE receptionist")
            connection.execute(SCHEMA)
            for name, statement in (("sailings-late", LATE), ("column-gone", COLUMN_GONE)):
                if name in wrong:
                    connection.execute(statement)

            def store(sid: str, harbour: str) -> None:
                connection.execute("INSERT INTO desk.texts VALUES (%s, %s)", [sid, harbour])

            ferry = Ferry(store, wrong)
            ferry.url = stack.enter_context(serving(ferry.answer))
            environ = {
                "FERRY_URL": ferry.url,
                "TIDES_URL": stack.enter_context(serving(Tides().answer)),
                "FERRY_DATABASE_URL": database["prober"],
                "TEXTS_TOKEN": TEXTS_TOKEN,
                "DEPLOYS_TOKEN": DEPLOYS_TOKEN,
                "SCHEDULER_KEY": SCHEDULER_KEY,
                "TIDES_KEY": TIDES_KEY,
            }
            return run_checks(tomllib.loads(PROFILE), environ)

    return play


def test_all_is_well(play: Callable[..., Outcome]) -> None:
    """What the profile names is checked and ok; nothing is undecided, and what is unarmed says why."""
    outcome = play()
    assert outcome.are("ok") == OK, outcome.told("undecided", "breach", "critical", "broken", "refused")
    assert outcome.are("ok", "unarmed") == set(outcome.checks)

    def why(check: str) -> Any:
        return outcome.checks[check]["reason"]

    assert "signs no time" in why("webhook_refuses_stale[texts]")
    assert "does not sign the bytes" in why("webhook_refuses_reserialised[texts]")
    assert "does not sign the body" in why("webhook_refuses_truncated[deploys]")
    assert why("provider_answers[weather]") == "providers.weather needs WEATHER_URL, which is not set"
    assert why("call_is_bridged_to_the_agent") == "the profile has no webhooks.telnyx_voice, tenant and journal"
    assert outcome.exit_code == 0


def test_what_is_wrong_is_found(play: Callable[..., Outcome]) -> None:
    """A dozen things are wrong at once; each is found by its own check, and no other check is red."""
    outcome = play(frozenset(WRONG) - {"column-gone"})
    assert outcome.are("breach", "critical") == {c for k, v in WRONG.items() if k != "column-gone" for c in v}, (
        outcome.told("undecided", "breach", "critical", "broken", "refused")
    )
    assert outcome.exit_code == 1


def test_a_column_in_a_schema_of_its_own(play: Callable[..., Outcome]) -> None:
    """A lost column is told by schema, table and name; the figure that needs it is told to lack it, not to be bad."""
    outcome = play(frozenset({"column-gone"}))
    assert outcome.are("breach", "critical") == set(WRONG["column-gone"])
    assert "desk.sailings.late" in outcome.checks["tables_are_as_the_profile_names_them"]["reason"]
    assert not outcome.are("broken"), outcome.told("broken")
