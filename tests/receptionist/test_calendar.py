"""Appointments in the calendar: tokens refreshed in time, once, and given up when they are dead."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import httpx
import psycopg
import pytest
from tests.receptionist.conftest import Databases, Tenants, settings

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.calendar import Calendar
from dialtone_receptionist.database import Database
from dialtone_receptionist.providers.google import Google
from dialtone_receptionist.providers.outgoing import Outgoing
from dialtone_receptionist.records import Appointment, Business

Session = psycopg.Connection[dict[str, Any]]


class Provider:
    """Google, as far as a calendar needs it; `refreshes` and `writes` are the tokens that came in."""

    def __init__(self) -> None:
        self.refreshes: list[str] = []
        self.writes: list[str] = []
        self.refresh: Callable[[str], httpx.Response] = lambda _: self.granted()
        self.write: Callable[[str], httpx.Response] = lambda _: httpx.Response(200, json={"id": "x"})

    def granted(self, **more: Any) -> httpx.Response:
        """New tokens."""
        return httpx.Response(200, json={"access_token": f"new-{len(self.refreshes)}", "expires_in": 3599, **more})

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        await asyncio.sleep(0.01)  # long enough for another to come in between
        if request.url.path == "/token":
            token = parse_qs(request.content.decode())["refresh_token"][0]
            self.refreshes.append(token)
            return self.refresh(token)
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.writes.append(token)
        assert request.method == "DELETE" or json.loads(request.content)["id"].startswith("b")
        return self.write(token)


class World:
    """A tenant with an appointment, a calendar, and Google."""

    def __init__(self, databases: Databases, db: Session, tenant: Tenants) -> None:
        self.databases, self.db, self.tenant = databases, db, tenant
        self.google = Provider()

    def connected(self, life: float, refresh: str = "refresh") -> dict[str, Any]:
        """A tenant whose access token `old` lives for so many seconds."""
        return self.tenant(
            calendar_connected=True,
            google_access_token="old",
            google_refresh_token=refresh,
            google_token_expires_at=datetime.now(UTC) + timedelta(seconds=life),
        )

    def appointment(self, row: dict[str, Any]) -> Appointment:
        """A stored appointment of the tenant."""
        stored = self.db.execute(
            "INSERT INTO appointments (business_id, customer_name, scheduled_date, start_time, end_time)"
            " VALUES (%s, 'C', current_date + 1, '09:00', '10:00') RETURNING *",
            (row["id"],),
        ).fetchone()
        assert stored is not None
        return Appointment.of(stored)

    def run(self, work: Callable[[Calendar], Awaitable[Any]]) -> Any:
        """Run something with a calendar."""

        async def inside() -> Any:
            database = Database(self.databases.url)
            await database.open()
            outgoing = Outgoing(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), httpx.MockTransport(self.google))
            google = Google(outgoing, "http://oauth.test", "http://google.test", "client", "secret")
            alerts = Alerts(settings(self.databases), outgoing)
            try:
                return await work(Calendar(database, google, alerts))
            finally:
                await database.close()
                await outgoing.close()

        return asyncio.run(inside())

    def write(self, row: dict[str, Any], times: int = 1) -> list[bool]:
        """Write appointments of the tenant, all at once; whether each is in the calendar now."""
        appointments = [self.appointment(row) for _ in range(times)]

        async def work(calendar: Calendar) -> list[bool]:
            return await asyncio.gather(*(calendar.write(Business.of(row), one) for one in appointments))

        written: list[bool] = self.run(work)
        for one, is_there in zip(appointments, written, strict=True):
            stored = self.db.execute("SELECT google_event_id FROM appointments WHERE id = %s", (one.id,)).fetchone()
            assert stored == {"google_event_id": one.event_id if is_there else None}
        return written

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        """What the database says of the tenant now."""
        found = self.db.execute("SELECT * FROM businesses WHERE id = %s", (row["id"],)).fetchone()
        assert found is not None
        return found

    def asked(self, row: dict[str, Any]) -> int:
        """How often the tenant was asked to reconnect."""
        return self.db.execute(
            "SELECT FROM compliance_events WHERE business_id = %s AND event_type = 'calendar_reconnect_required'",
            (row["id"],),
        ).rowcount


@pytest.fixture
def world(databases: Databases, db: Session, tenant: Tenants, switch: Callable[..., None]) -> World:
    """A world of its own, nothing wrong with it."""
    switch()
    return World(databases, db, tenant)


def refused(_: str) -> httpx.Response:
    """A refresh that is refused for good."""
    return httpx.Response(400, json={"error": "invalid_grant", "error_description": "Token has been revoked."})


def test_a_token_with_life_left_is_used(world: World) -> None:
    """Nothing is refreshed without need."""
    row = world.connected(life=301)
    assert world.write(row) == [True]
    assert (world.google.refreshes, world.google.writes) == ([], ["old"])


@pytest.mark.parametrize("life", [-60, 0, 299])
def test_a_token_near_its_end_is_refreshed_and_stored(world: World, life: int) -> None:
    """Within five minutes of its expiry, and after it; the new one is stored with its time."""
    row = world.connected(life)
    assert world.write(row) == [True]
    assert (world.google.refreshes, world.google.writes) == (["refresh"], ["new-1"])
    stored = world.stored(row)
    assert (stored["google_access_token"], stored["google_refresh_token"]) == ("new-1", "refresh")
    assert stored["google_token_expires_at"] > datetime.now(UTC) + timedelta(minutes=50)
    assert stored["google_refresh_leased_until"] is None


def test_a_401_is_answered_by_one_refresh_and_one_more_try(world: World) -> None:
    """Clock skew is healed; a calendar that says 401 to the new token too is left alone."""
    world.google.write = lambda token: httpx.Response(200 if token == "new-1" else 401, json={})
    assert world.write(world.connected(life=3000)) == [True]
    assert world.google.writes == ["old", "new-1"]
    world.google.write = lambda _: httpx.Response(401, json={})
    assert world.write(world.connected(life=3000)) == [False]
    assert len(world.google.writes) == 4
    assert len(world.google.refreshes) == 2


def test_a_rotated_refresh_token_is_kept(world: World) -> None:
    """A new refresh token replaces the old one."""
    world.google.refresh = lambda _: world.google.granted(refresh_token="rotated")
    row = world.connected(life=-60)
    assert world.write(row) == [True]
    assert world.stored(row)["google_refresh_token"] == "rotated"


def test_two_bookings_at_once_refresh_once(world: World) -> None:
    """A token that rotates with each use would be lost, and the tenant disconnected, by two refreshes at once."""
    used: set[str] = set()

    def rotating(token: str) -> httpx.Response:
        if token in used:
            return refused(token)
        used.add(token)
        return world.google.granted(refresh_token=token + "+")

    world.google.refresh = rotating
    row = world.connected(life=-60)
    assert world.write(row, times=4) == [True] * 4
    assert world.google.refreshes == ["refresh"]
    assert world.stored(row)["calendar_connected"]


def test_a_revoked_grant_asks_to_reconnect_once(world: World) -> None:
    """invalid_grant: marked as not connected, asked once, never tried again; the appointment stays."""
    world.google.refresh = refused
    row = world.connected(life=-60)
    assert world.write(row, times=2) == [False, False]
    assert world.google.refreshes == ["refresh"]
    assert not world.stored(row)["calendar_connected"]
    assert world.asked(row) == 1
    assert world.run(lambda calendar: calendar.unsynced(50)) == []


def test_a_refusal_of_an_old_token_disconnects_nobody(world: World) -> None:
    """An owner who reconnects while the old token is being refused stays connected."""
    row = world.connected(life=-60)

    def meanwhile(token: str) -> httpx.Response:
        world.db.execute("UPDATE businesses SET google_refresh_token = 'newer' WHERE id = %s", (row["id"],))
        return refused(token)

    world.google.refresh = meanwhile
    assert world.write(row) == [False]
    assert world.stored(row)["calendar_connected"]
    assert world.asked(row) == 0


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(503), httpx.Response(200, text="<html>"), httpx.Response(400, json={"error": "invalid_request"})],
    ids=["503", "a page", "another 400"],
)
def test_a_refresh_that_fails_for_now_is_tried_later(world: World, answer: httpx.Response) -> None:
    """Still connected, nobody asked, the lease given back; a token that lives a little longer is used meanwhile."""
    world.google.refresh = lambda _: answer
    expired, near = world.connected(life=-60), world.connected(life=60)
    assert world.write(expired) == [False]
    assert world.write(near) == [True]
    for row in (expired, near):
        stored = world.stored(row)
        assert (stored["calendar_connected"], stored["google_refresh_leased_until"]) == (True, None)
        assert world.asked(row) == 0


def test_an_event_that_is_there_already_counts_as_written(world: World) -> None:
    """409: the answer of an earlier write was lost, the event was not."""
    world.google.write = lambda _: httpx.Response(409, json={})
    assert world.write(world.connected(life=3000)) == [True]


def test_a_failed_write_is_made_up_for_by_cron(world: World) -> None:
    """503 leaves the appointment without an event; it is listed for the cron route, until it is in the calendar."""
    row = world.connected(life=3000)
    world.google.write = lambda _: httpx.Response(503)
    assert world.write(row) == [False]
    world.google.write = lambda _: httpx.Response(200, json={})

    async def work(calendar: Calendar) -> int:
        waiting = [pair for pair in await calendar.unsynced(50) if pair[0].id == row["id"]]
        for business, appointment in waiting:
            assert await calendar.write(business, appointment, from_cron=True)
        return len(waiting)

    assert [world.run(work), world.run(work)] == [1, 0]


@pytest.mark.parametrize("status", ["scheduled", "cancelled"])
def test_a_change_that_the_calendar_did_not_take_is_made_up_for_by_cron(world: World, status: str) -> None:
    """A moved or cancelled appointment is brought to the calendar later, once; an event that is gone is no trouble."""
    row = world.connected(life=3000)
    appointment = world.appointment(row)
    world.db.execute(
        "UPDATE appointments SET google_event_id = 'b1', calendar_stale_at = now(), status = %s WHERE id = %s",
        (status, appointment.id),
    )
    answers = [503, 503, 503, 404]  # three tries of one call, then the event is not there any more
    world.google.write = lambda _: httpx.Response(answers.pop(0), json={})

    async def work(calendar: Calendar) -> list[bool]:
        waiting = [pair for pair in await calendar.stale(50) if pair[0][0].id == row["id"]]
        return [await calendar.follow(*pair, stale_at) for pair, stale_at in waiting]

    assert [world.run(work) for _ in range(3)] == [[False], [True], []]


def test_who_never_connected_is_left_alone(world: World) -> None:
    """No tokens, no calls."""
    row = world.tenant()
    assert world.write(row) == [False]
    assert not world.google.refreshes + world.google.writes


def test_an_appointment_that_is_gone_is_no_error(world: World) -> None:
    """The event of an appointment that was removed meanwhile is written to nobody's row."""
    row = world.connected(life=3000)
    appointment = world.appointment(row)
    world.db.execute("DELETE FROM appointments WHERE id = %s", (appointment.id,))
    assert world.run(lambda calendar: calendar.write(Business.of(row), appointment))


@pytest.mark.parametrize(
    ("defect", "life", "writes", "refreshes"),
    [
        ("refresh-late", 60, ["old"], 0),
        ("skew-401-gives-up", 3000, ["old"], 0),
        ("invalid-grant-retried", -60, [], 5),
    ],
)
def test_defects(
    world: World, switch: Callable[..., None], defect: str, life: int, writes: list[str], refreshes: int
) -> None:
    """Each is wrong in its one way."""
    switch(defect)
    if defect == "skew-401-gives-up":
        world.google.write = lambda _: httpx.Response(401, json={})
    if defect == "invalid-grant-retried":
        world.google.refresh = refused
    world.write(world.connected(life, f"refresh-{uuid4()}"))
    assert world.google.writes == writes
    assert len(world.google.refreshes) == refreshes
