"""What stand-ins list of the time before the start: as many entries as the profile says, page by page."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.standins.conftest import SECRETS, World

from dialtone.standins.config import ConfigError, from_json
from dialtone.standins.defects import Switches
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.providers import stand_ins

SEED = {"count": 300, "hours": 23}
LISTED = {
    "stripe": {"prefix": "in_seed_", **SEED},
    "retell": {"prefix": "call_seed_", **SEED},
    "telnyx": {"prefix": "evt_seed_", "step": 3, "count": 100, "hours": 23},
    "google": {"prefix": "seed", "digits": 8, **SEED},
}


@pytest.fixture
def seeded(tmp_path: Path) -> World:
    """Stand-ins of an account that has a day behind it."""
    world = World(tmp_path / "defects.json")
    ports = {name: number for number, name in enumerate(world.standins, 1)} | {"journal": 99}
    config = from_json({"ports": ports, "secrets": SECRETS, "listed": LISTED})
    world.standins.update(stand_ins(config, Switches(world.defects_file), world.time.clock))
    return world


def test_entries_are_spread_over_the_time() -> None:
    """The first is the newest; numbers by step and with their digits; unknown ones stand among them by their time."""
    entries = Listed("a", 4, 8, first=2, step=3, digits=3).entries(100_000.0)
    assert [name for name, _ in entries] == ["a002", "a005", "a008", "a011"]
    assert [100_000.0 - at for _, at in entries] == [7200.0, 14400.0, 21600.0, 28800.0]
    more = Listed("a", 4, 8).entries(100_000.0, 2)
    assert [name for name, _ in more][:2] == ["a9000000", "a9000001"]
    assert NOTHING.entries(0.0) == []


def test_paid_invoices(seeded: World) -> None:
    """Newest first, by pages; since a time; three more, or two for one booking, where the defects say so."""
    first = seeded.send("stripe", "GET", "/v1/invoices?status=paid&limit=100").json()
    assert (len(first["data"]), first["has_more"]) == (100, True)
    path = f"/v1/invoices?status=paid&limit=100&starting_after={first['data'][-1]['id']}"
    assert seeded.send("stripe", "GET", path).json()["data"][0]["id"] == "in_seed_101"
    hour = int(seeded.time.now - 3600)
    recent = seeded.send("stripe", "GET", f"/v1/invoices?status=paid&limit=100&created[gte]={hour}").json()["data"]
    assert 10 <= len(recent) <= 14
    seeded.defect("invoices-unrecorded", "invoices-for-one-booking")
    worse = seeded.send("stripe", "GET", f"/v1/invoices?status=paid&limit=100&created[gte]={hour}").json()["data"]
    assert len(worse) == len(recent) + 3
    assert len({one["metadata"]["appointment_id"] for one in worse}) == len(worse) - 1


def test_ended_calls(seeded: World) -> None:
    """By status and time; four more of which nobody was told."""
    ended = {"type": "enum", "op": "in", "value": ["ended"]}
    since = {"type": "number", "op": "ge", "value": (seeded.time.now - 3600) * 1000}
    asked = {"filter_criteria": {"call_status": ended, "start_timestamp": since}, "limit": 1000}
    calls = seeded.send("retell", "POST", "/v3/list-calls", body=asked).json()["items"]
    assert 10 <= len(calls) <= 14
    assert calls[0]["call_id"] == "call_seed_1"
    seeded.defect("calls-unrecorded")
    assert len(seeded.send("retell", "POST", "/v3/list-calls", body=asked).json()["items"]) == len(calls) + 4


def test_delivered_events(seeded: World) -> None:
    """Each with the id of an event of the seed; six of others."""
    path = "/v2/webhook_deliveries?page[size]=250"

    def ids() -> list[str]:
        return [one["webhook"]["id"] for one in seeded.send("telnyx", "GET", path).json()["data"]]

    assert ids()[:2] == ["evt_seed_1", "evt_seed_4"]
    assert len(set(ids())) == 100
    seeded.defect("telnyx-events-unstored")
    assert sum(not name.startswith("evt_seed_") for name in ids()) == 6


def test_a_shared_calendar(seeded: World) -> None:
    """Read by pages, and by nobody written; five events that are not there any more."""
    key = seeded.token().json()["access_token"]
    path = "/calendar/v3/calendars/front-desk@dialtone.invalid/events"
    first = seeded.send("google", "GET", f"{path}?maxResults=250", key=key).json()
    assert (len(first["items"]), first["items"][0]["id"]) == (250, "seed00000001")
    rest = seeded.send("google", "GET", f"{path}?maxResults=250&pageToken={first['nextPageToken']}", key=key).json()
    assert len(rest["items"]) == 50
    assert "nextPageToken" not in rest
    assert seeded.send("google", "POST", path, key=key, body={}).status == 404
    seeded.defect("calendar-events-gone")
    gone = {one["id"] for one in first["items"]} - {
        one["id"] for one in seeded.send("google", "GET", f"{path}?maxResults=250", key=key).json()["items"]
    }
    assert len(gone) == 5


@pytest.mark.parametrize("listed", [[], {"stripe": 1}, {"stripe": {"prefix": "a", "colour": "red"}}])
def test_what_is_no_list_is_refused(listed: object) -> None:
    """By the names that it may have."""
    with pytest.raises(ConfigError, match="listed: must be"):
        from_json({"ports": {"journal": 1}, "secrets": SECRETS, "listed": listed})
