"""Stand-in for a registry: registered names and their end, in RDAP's own form."""

from __future__ import annotations

from datetime import datetime

import pytest

DAY = 86_400


def left(world) -> float:
    """Days until the registration ends."""
    reply = world.send("rdap", "GET", "/domain/Sandbox.Example")
    assert reply.answer.content_type == "application/rdap+json"
    record = reply.json()
    assert (record["objectClassName"], record["ldhName"]) == ("domain", "sandbox.example")
    events = {event["eventAction"]: event["eventDate"] for event in record["events"]}
    return (datetime.fromisoformat(events["expiration"]).timestamp() - world.time.now) / DAY


def test_registered_for_a_while(world):
    """Ten months; nine days while the defect is on."""
    assert left(world) == pytest.approx(300)
    world.defect("domain-expiring")
    assert left(world) == pytest.approx(9)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/help", 200),
        ("GET", "/domain/no_such name", 400),
        ("GET", "/domain/x", 400),
        ("GET", "/autnum/1", 404),
        ("POST", "/domain/a.example", 405),
    ],
)
def test_other_questions(world, method, path, status):
    """What the server is, names that are none, and what it does not know."""
    assert world.send("rdap", method, path).status == status
