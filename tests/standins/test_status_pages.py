"""Stand-in for status pages: each provider in its own form, good until the defect says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dialtone.http import Answer, Headers, Url
from dialtone.probes.status_forms import Level, Status, read

PATHS = {
    "stripe": "/stripe/current",
    "google": "/google/incidents.json",
    **{name: f"/{name}/api/v2/summary.json" for name in ("retell", "telnyx", "upstash")},
}


def status(world, name: str, *components: str) -> Status:
    """What the reader makes of the page."""
    reply = world.send("status_pages", "GET", PATHS[name])
    head = Headers([(b"content-type", reply.answer.content_type.encode())])
    got = Answer("GET", Url("http://s/"), reply.status, head, reply.answer.body)
    return read(got, components, datetime.fromtimestamp(world.time.now, UTC))


@pytest.mark.parametrize("name", PATHS)
def test_every_page_is_good(world, name):
    """No incident, in every form; of Google only the calendar counts."""
    assert status(world, name, *(["Google Calendar"] if name == "google" else [])) == Status(Level.OK)


def test_an_incident_begins_before_now(world):
    """The defect is at Telnyx alone, and has a beginning."""
    world.defect("status-page-incident")
    assert status(world, "telnyx") == Status(Level.MAJOR, datetime.fromtimestamp(world.time.now - 2820, UTC))
    assert status(world, "retell").level is Level.OK


def test_pages_that_nobody_has(world):
    """An unknown provider is a 404, and so is a method that no page takes."""
    assert world.send("status_pages", "GET", "/acme/api/v2/summary.json").status == 404
    assert world.send("status_pages", "POST", PATHS["stripe"]).status == 404
