"""Status pages: each form is understood, whatever is not is unknown, and nothing of it ever raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile import Hostile, closed_port

from dialtone.http import Answer, Headers, Url
from dialtone.probes.status_forms import Level, Status, read
from dialtone.probes.status_page import StatusPages, _fetch
from dialtone.target import Target
from dialtone.target.model import Profile

NOW = datetime(2026, 11, 26, 10, 30, tzinfo=UTC)
BEGAN = "2026-11-26T09:12:00.000Z"
PAGE = {"id": "x", "name": "Telnyx", "url": "https://status.telnyx.com", "updated_at": BEGAN}


def answer(tree: Any, *, status: int = 200, kind: str = "application/json", body: bytes | None = None) -> Answer:
    """An answer with this JSON."""
    raw = json.dumps(tree).encode() if body is None else body
    return Answer("GET", Url("https://s/x"), status, Headers([(b"content-type", kind.encode())]), raw)


def statuspage(indicator: str = "none", *incidents: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A summary.json."""
    return {"page": PAGE, "status": {"indicator": indicator, "description": ""}, "incidents": list(incidents), **more}


def incident(impact: str = "major", status: str = "identified", *components: str) -> dict[str, Any]:
    """An incident of a Statuspage."""
    parts = [{"name": name, "status": "major_outage"} for name in components]
    return {"impact": impact, "status": status, "started_at": BEGAN, "created_at": BEGAN, "components": parts}


def google(product: str, impact: str = "SERVICE_OUTAGE", **more: Any) -> dict[str, Any]:
    """An incident of Google's list."""
    latest = {"status": impact}
    return {"begin": BEGAN, "service_name": product, "status_impact": impact, "most_recent_update": latest, **more}


INSTATUS = {"page": {"name": "Zed", "url": "https://status.zed.dev", "status": "UP"}}
CALLS = [{"name": "Calls", "status": "partial_outage"}, {"name": "Portal", "status": "operational"}]
IO = {"components": [{"id": "1", "name": "API"}], "affected_components": [], "ongoing_incidents": [], "structure": {}}
IO_INCIDENT = {
    "status": "investigating",
    "published_at": BEGAN,
    "component_impacts": [{"component_id": "1", "status": "full_outage"}],
}
WIDGET = {
    "page_title": "P",
    "ongoing_incidents": [{"status": "monitoring", "current_worst_impact": "degraded_performance"}],
}

UNDERSTOOD: list[tuple[str, Any, list[str], Level, bool]] = [
    ("statuspage", statuspage(), [], Level.OK, False),
    ("indicator", statuspage("minor"), [], Level.MINOR, False),
    ("incident", statuspage("major", incident()), [], Level.MAJOR, True),
    ("resolved", statuspage("none", incident(status="resolved")), [], Level.OK, False),
    ("without impact", statuspage("none", incident("none")), [], Level.OK, False),
    ("maintenance", statuspage("maintenance", incident("maintenance", "in_progress")), [], Level.MAINTENANCE, True),
    ("planned", statuspage(scheduled_maintenances=[{"status": "scheduled"}]), [], Level.OK, False),
    ("component down", statuspage("major", components=CALLS), ["calls"], Level.MAJOR, False),
    (
        "other component",
        statuspage("major", incident("major", "identified", "Calls"), components=CALLS),
        ["Portal"],
        Level.OK,
        False,
    ),
    (
        "its component",
        statuspage("major", incident("major", "identified", "Calls"), components=CALLS),
        ["Calls"],
        Level.MAJOR,
        True,
    ),
    ("status.json", {"page": PAGE, "status": {"indicator": "critical"}}, [], Level.MAJOR, False),
    ("unresolved.json", {"page": PAGE, "incidents": [incident("minor")]}, [], Level.MINOR, True),
    ("components.json", {"page": PAGE, "components": CALLS}, [], Level.MAJOR, False),
    ("instatus", INSTATUS, [], Level.OK, False),
    (
        "instatus issue",
        {
            "page": {"status": "HASISSUES"},
            "activeIncidents": [{"impact": "MAJOROUTAGE", "started": BEGAN, "status": "INVESTIGATING"}],
        },
        [],
        Level.MAJOR,
        True,
    ),
    ("instatus maintenance", {"page": {"status": "UNDERMAINTENANCE"}}, [], Level.MAINTENANCE, False),
    (
        "instatus planned",
        INSTATUS | {"activeMaintenances": [{"start": BEGAN, "status": "NOTSTARTEDYET"}]},
        [],
        Level.OK,
        False,
    ),
    ("instatus components", {"components": [{"name": "API", "status": "PARTIALOUTAGE"}]}, ["API"], Level.MAJOR, False),
    ("incident.io", {"summary": IO}, [], Level.OK, False),
    ("incident.io outage", {"summary": IO | {"ongoing_incidents": [IO_INCIDENT]}}, [], Level.MAJOR, True),
    ("incident.io other", {"summary": IO | {"ongoing_incidents": [IO_INCIDENT]}}, ["Portal"], Level.OK, False),
    ("incident.io named", {"summary": IO | {"ongoing_incidents": [IO_INCIDENT]}}, ["api"], Level.MAJOR, True),
    ("incident.io widget", WIDGET, [], Level.MINOR, False),
    ("stripe", {"UptimeStatus": "up", "uptimeData": []}, [], Level.OK, False),
    ("stripe down", {"UptimeStatus": "down"}, [], Level.MAJOR, False),
    ("stripe old", {"largestatus": "degraded", "message": "x"}, [], Level.MINOR, False),
    (
        "stripe part",
        {"UptimeStatus": "degraded", "uptimeData": [{"title": "API", "warning": None}]},
        ["API"],
        Level.OK,
        False,
    ),
    ("google", [google("Gmail"), google("Google Calendar", end=BEGAN)], ["Google Calendar"], Level.OK, False),
    ("google outage", [google("Google Calendar")], ["Google Calendar"], Level.MAJOR, True),
    ("google any", [google("Gmail", "SERVICE_DISRUPTION")], [], Level.MINOR, True),
    ("google over", [google("Gmail", "AVAILABLE")], [], Level.OK, False),
    (
        "google product",
        [google("", affected_products=[{"title": "Google Calendar"}])],
        ["google calendar"],
        Level.MAJOR,
        True,
    ),
    ("slack", {"status": "ok", "active_incidents": []}, [], Level.OK, False),
    (
        "slack outage",
        {"status": "active", "active_incidents": [{"type": "outage", "status": "active", "date_created": BEGAN}]},
        [],
        Level.MAJOR,
        True,
    ),
]


@pytest.mark.parametrize(
    ("tree", "wanted", "level", "since"), [u[1:] for u in UNDERSTOOD], ids=[u[0] for u in UNDERSTOOD]
)
def test_forms_are_understood(tree: Any, wanted: list[str], level: Level, since: bool) -> None:
    """Every form gives its level, and the time of the beginning where it has one."""
    status = read(answer(tree), wanted, NOW)
    assert (status.level, status.reason) == (level, "")
    assert status.since == (datetime(2026, 11, 26, 9, 12, tzinfo=UTC) if since else None)


STRANGE: list[tuple[str, Answer, str]] = [
    ("web page", answer(None, kind="text/html; charset=utf-8", body=b"<html>"), "it is a web page, not JSON"),
    ("not json", answer(None, body=b"secret"), "it is not JSON: application/json, 6 bytes"),
    ("403", answer({}, status=403), "it answered 403"),
    ("other json", answer({"status": "ok"}), "its JSON is of no known form"),
    ("number", answer(7), "its JSON is of no known form"),
    ("no page name", answer({"page": {"name": ""}, "status": {"indicator": "none"}}), "its JSON is of no known form"),
    ("empty list", answer([]), "it is an empty list, which says nothing"),
    ("new word", answer(statuspage("apocalyptic")), "status.indicator is a word that nobody knows"),
    ("no word", answer({"page": PAGE, "status": {}}), "status.indicator is a word that nobody knows"),
    ("incidents", answer(statuspage() | {"incidents": "many"}), "incidents is not a list of what it should be"),
    ("slack word", answer({"status": "odd", "active_incidents": []}), "status is a word that nobody knows"),
]


@pytest.mark.parametrize(("given", "reason"), [s[1:] for s in STRANGE], ids=[s[0] for s in STRANGE])
def test_what_is_not_understood_is_unknown(given: Answer, reason: str) -> None:
    """Never ok: the reason is told, and quotes nothing of the page."""
    assert read(given, (), NOW) == Status(None, reason=reason)


def test_a_component_that_is_not_there_is_no_comfort() -> None:
    """A profile that names a component which the page has not is told so."""
    found = read(answer(statuspage(components=CALLS)), ["Voice"], NOW)
    assert found.reason == "it has no component of the names in status_components"


json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "page",
                    "name",
                    "status",
                    "incidents",
                    "components",
                    "impact",
                    "begin",
                    "summary",
                    "UptimeStatus",
                    "ongoing_incidents",
                    "active_incidents",
                    "activeIncidents",
                    "affected_components",
                    "id",
                    "x",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_trees, st.booleans())
def test_no_json_raises(tree: Any, named: bool) -> None:
    """Whatever a page says, the answer is a status."""
    status = read(answer(tree), ["x"] if named else [], NOW)
    assert status.level is not None or status.reason


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status(Level.MAJOR, datetime(2026, 11, 26, 9, 12, tzinfo=UTC)), "Stripe reports an incident since 09:12 UTC"),
        (
            Status(Level.MINOR, datetime(2026, 11, 24, 9, 12, tzinfo=UTC)),
            "Stripe reports an incident since 24 Nov 09:12 UTC",
        ),
        (Status(Level.MINOR), "Stripe reports an incident"),
        (Status(Level.MAINTENANCE), "Stripe reports maintenance"),
        (Status(Level.OK), "Stripe reports no incident"),
        (Status(None, reason="it answered 403"), "Stripe's status page tells nothing: it answered 403"),
    ],
)
def test_words(status: Status, words: str) -> None:
    """What a person reads at three in the morning."""
    assert status.words("stripe", NOW) == words


def target(url: str) -> Target:
    """A target whose provider has this status page."""
    providers = {"stripe": {"base_url": "http://x", "status_page": url}, "retell": {"base_url": "http://x"}}
    told = {"kind": "sandbox", "base_url": "http://x", "providers": providers}
    return Target("t", Profile.model_validate(told), {})


def test_a_page_is_asked_once_in_a_while() -> None:
    """Two questions within a minute are one request; a third after it is another."""
    now, asked = [0.0], []

    def fetch(url: str, _ca_file: str | None) -> Answer:
        asked.append(url)
        return answer(statuspage("major", incident()))

    pages = StatusPages(target("http://s/"), fetch=fetch, clock=lambda: now[0])
    assert pages.named() == ["stripe"]
    assert (pages.explanation("stripe") or "").startswith("Stripe reports an incident since ")
    assert pages.of("stripe").incident
    assert pages.explanation("retell") is None
    assert len(asked) == 1
    now[0] = 61
    pages.of("stripe")
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/not-json", "it is a web page"),
        ("/reset-before", "connection reset"),
        ("/away", "it leads to another host"),
        ("/loop", "redirects"),
        ("/garbage", "not HTTP"),
        ("/echo", "no known form"),
    ],
)
def test_misbehaving_hosts_are_unknown(path: str, reason: str) -> None:
    """A page that resets, redirects away or is no page has a reason and no level."""
    with Hostile() as server:
        status = StatusPages(target(server.url(path))).of("stripe")
    assert status.level is None
    assert reason in status.reason


def test_nobody_there() -> None:
    """A page that is down itself is unknown."""
    assert read(_fetch(f"http://127.0.0.1:{closed_port()}/", None)).level is None
