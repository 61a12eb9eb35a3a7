"""Routes: who hears, when, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialtone.incidents.lifecycle import Rules
from dialtone.incidents.routing import Router, RoutesError, duration
from dialtone.target import ProfileError, load
from dialtone.target import alerting as read_alerting
from dialtone.target.load import read
from dialtone.verdict import Severity

from .conftest import NOON, alerting

ROOT = Path(__file__).parents[2]
MIDNIGHT = NOON + 10 * 3600  # in Berlin


def plan(severity: str = "P0", level: int = 0, at: float = NOON, section: str = "", gap: float | None = None):
    """Who would be told on production."""
    return Router(alerting(), ["production"]).plan(
        Severity(severity), section, "production", level=level, at=at, gap=gap
    )


def test_first_route_that_fits():
    """P0 has a route of its own, everything else the next."""
    assert plan("P0").channels == ("slack", "mail", "pager")
    assert plan("P2").channels == ("slack", "mail")


def test_escalation_adds_people():
    """Nobody who was told once is left out later."""
    assert [plan(level=n).names for n in range(4)] == [
        ("ada",), ("ada", "bo"), ("ada", "bo", "founders"), ("ada", "bo", "founders"),
    ]  # fmt: skip


@pytest.mark.parametrize(("severity", "waits"), [("P0", False), ("P1", False), ("P2", True), ("P3", True)])
def test_quiet_hours(severity, waits):
    """Only what can wait does, until seven in Berlin."""
    found = plan(severity, at=MIDNIGHT)
    assert (found.digest, found.after) == ((True, MIDNIGHT + 7 * 3600) if waits else (False, MIDNIGHT))


def test_a_scheduler_slower_than_the_deadline():
    """Looks every 15 min: an answer within 5 min cannot be asked for in time, within 4 h it can."""
    assert plan("P0", gap=900).names == ("ada", "bo", "founders")
    assert plan("P2", gap=900).names == ("ada",)


def test_times_are_the_runbooks():
    """P0 five minutes, P1 an hour, P2 four, P3 a day; a route may say otherwise."""
    router = Router(alerting(), ["production"])
    within = [router.rules(Rules(), s, "", "production").ack_within for s in Severity]
    assert within == [300, 3_600, 14_400, 86_400]
    other = Router(alerting(routes={"all": {"channels": ["slack"], "ack_within": "10m"}}), ["production"])
    assert other.rules(Rules(), Severity.P0, "", "production").ack_within == 600


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ({"a": {"severities": ["P0"], "channels": ["slack"]}}, "P1 on production reaches nobody"),
        ({"a": {"sections": ["site-down"], "channels": ["slack"]}}, "P0 on production reaches nobody"),
        ({"a": {"channels": ["hook"]}}, "P0 on production reaches nobody"),
    ],
)
def test_a_severity_that_reaches_nobody_is_refused(routes, told):
    """Left out, only for some sections, or only to a machine."""
    hook = {"kind": "webhook", "secret": "U", "signing": "S"}
    channels = {**alerting().model_dump()["channels"], "hook": hook}
    with pytest.raises(RoutesError, match=told):
        Router(alerting(routes=routes, channels=channels), ["production"])


def test_a_kind_that_is_none():
    """The message lists those that are."""
    with pytest.raises(RoutesError, match="there is no kind 'slak'; there are pagerduty, resend"):
        Router(alerting(channels={n: {"kind": "slak"} for n in ("slack", "mail", "pager")}), ["production"])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"on_call": None}, r"routes need \[on_call\]"),
        ({"routes": {"a": {"channels": ["slak"]}}}, "routes.a names 'slak', which is not in"),
        ({"on_call": {"primary": "eve"}}, "on_call names 'eve'"),
        ({"on_call": {"primary": "ada", "timezone": "Europe/Berln"}}, "no time zone"),
        ({"on_call": {"primary": "ada", "quiet": "22-07"}}, "22:00-07:00"),
    ],
)
def test_what_does_not_fit_is_told(more, told):
    """Names that nothing has, and forms that are none."""
    with pytest.raises(ValueError, match=told):
        alerting(**more)


def test_errors_name_file_and_key(tmp_path):
    """As all mistakes of a profile do."""
    path = tmp_path / "dialtone.toml"
    path.write_text(
        '[target.production]\nkind = "production"\nbase_url = "https://a.example"\n[routes.all]\nchanels = []\n'
    )
    with pytest.raises(ProfileError, match=r"dialtone.toml: routes.all.chanels: unknown key"):
        read_alerting(path)


def test_the_projects_own_routes(monkeypatch):
    """They reach somebody for every severity, and nobody for the sandbox."""
    monkeypatch.setenv("PRODUCTION_URL", "https://app.example.com")
    path = ROOT / "dialtone.toml"
    router = Router(read_alerting(path), read(path).target)
    assert router.watches(load(path, "production").name)
    assert not router.watches("sandbox")
    assert router.silent("production", ["mail"]) == []
    assert router.silent("production", ["sentry"]) == list(Severity)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (45, "45 s"), (300, "5 min"), (5_400, "1 h 30 min"), (90_061, "1 d 1 h")]
)
def test_spans_for_people(seconds, told):
    """Two units at most."""
    assert duration(seconds) == told
