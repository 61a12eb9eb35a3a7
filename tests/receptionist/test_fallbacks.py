"""What is left of the service while something that it needs is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from tests.receptionist.conftest import Databases, Tenants
from tests.receptionist.test_business_path import CALLER, CRON, World, book, sms, stripe, telnyx

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Database
from dialtone_receptionist.messages import Messages
from dialtone_receptionist.services import Services

VOICE = "/api/telnyx/voice-webhook"


@pytest.fixture
def world(
    databases: Databases, db: psycopg.Connection[dict[str, Any]], tenant: Tenants, switch: Callable[..., None]
) -> World:
    """A world of its own, nothing wrong with it."""
    switch()
    return World(databases, db, tenant)


def lose(database: Database) -> None:
    """The database is away from now on."""
    for _ in range(3):
        database._breaker.failed("away")
    database._breaker._seconds = 3600
    database._breaker.failed("away")


def find(database: Database) -> None:
    """It is back."""
    database._breaker.succeeded()


def test_a_statement_that_takes_too_long_is_cut_and_the_next_one_works(databases: Databases) -> None:
    """The server's silence is an error of the statement's own, not of the connection after it."""

    async def run() -> None:
        database = Database(databases.url, seconds=1.0)
        await database.open()
        with pytest.raises(psycopg.OperationalError):
            await database.one("SELECT pg_sleep(8)")
        for _ in range(4):
            assert await database.one("SELECT 1 AS one") == {"one": 1}
        assert await database.one("SELECT 1 AS one, pg_sleep(1.1)", within=20) is not None
        await database.close()

    asyncio.run(run())


def test_a_booking_waits_no_longer_than_a_caller_would(world: World) -> None:
    """What Stripe has not answered goes on after the answer, and the fee is charged."""
    row = world.tenant()
    release = asyncio.Event()

    async def slow(_: httpx.Request) -> httpx.Response:
        await release.wait()
        return httpx.Response(200, json={"id": "ii_1"})

    world.router["item"].mock(side_effect=slow)

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        object.__setattr__(services.settings, "answer_seconds", 0.1)
        assert (await book(client, row))["success"]
        assert world.router["pay"].call_count == 0
        release.set()
        await services.background.drain(30)

    world.run(scenario)
    assert world.router["pay"].call_count == 1
    assert world.rows("SELECT status FROM billing_history WHERE business_id = %s", row["id"]) == [{"status": "paid"}]


def test_without_database_calls_go_to_a_human_and_are_noted_later(world: World) -> None:
    """A number that was called before is forwarded, another hears a sentence; webhooks are 503, tools say so."""
    row = world.tenant(escalation_phone="+15005550002")
    controls = [f"v3:{uuid4().hex}" for _ in range(3)]

    def ringing(control: str, to: str) -> dict[str, Any]:
        return {"call_control_id": control, "direction": "incoming", "from": CALLER, "to": to}

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        assert await telnyx(client, VOICE, "call.initiated", ringing(controls[0], row["phone_number"])) == 200
        await services.background.drain(30)
        lose(services.db)
        for _ in range(2):
            assert await telnyx(client, VOICE, "call.initiated", ringing(controls[1], row["phone_number"])) == 200
        assert await telnyx(client, VOICE, "call.initiated", ringing(controls[2], "+15005559998")) == 200
        assert (await book(client, row))["error"] == "temporarily_unavailable"
        assert await telnyx(client, "/api/sms/webhook", "message.received", sms(row, "STOP")) == 503
        paid = await stripe(client, "invoice.paid", {"id": "in_x", "customer": row["stripe_customer_id"]})
        assert (paid.status_code, paid.headers["retry-after"]) == (503, "1")
        await services.background.drain(30)
        assert len(world.rows("SELECT FROM calls WHERE business_id = %s", row["id"])) == 1
        find(services.db)
        await services.desk.note()

    world.run(scenario)
    sent = [
        (
            c.request.url.path.split("/")[3],
            c.request.url.path.rsplit("/", 1)[1],
            json.loads(c.request.content).get("to"),
        )
        for c in world.router["command"].calls
    ]
    assert [(action, to) for control, action, to in sent if control == controls[1]] == [
        ("answer", None),
        ("transfer", "+15005550002"),
    ]
    assert [action for control, action, _ in sent if control == controls[2]] == ["answer", "speak"]
    assert len(world.rows("SELECT FROM calls WHERE business_id = %s", row["id"])) == 2
    assert world.rows("SELECT FROM webhook_events WHERE provider = 'telnyx' AND processed_at IS NULL") == []


def test_a_message_taken_in_doubt_is_given_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks when a message was taken to be sent: it is sent later, once."""
    row = world.tenant(stripe_customer_id=None)
    take = Messages._take

    async def broken(*arguments: Any) -> None:
        await take(*arguments)
        raise psycopg.OperationalError("the connection broke")

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        monkeypatch.setattr(Messages, "_take", broken)
        assert (await book(client, row))["success"]
        assert world.rows("SELECT status FROM sms_messages WHERE business_id = %s", row["id"]) == [
            {"status": "sending"}
        ]
        monkeypatch.setattr(Messages, "_take", take)
        await services.desk.note()
        for _ in range(2):
            await client.get("/api/cron/process-jobs", headers=CRON)

    world.run(scenario)
    assert world.router["sms"].call_count == 1
    assert world.rows("SELECT status FROM sms_messages WHERE business_id = %s", row["id"]) == [{"status": "sent"}]


def test_events_of_a_call_in_the_wrong_order(world: World) -> None:
    """A call that is over before it is told to ring is stored as over, and nobody is called."""
    row = world.tenant()
    control = f"v3:{uuid4().hex}"
    payload = {"call_control_id": control, "direction": "incoming", "from": CALLER, "to": row["phone_number"]}

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        assert await telnyx(client, VOICE, "call.hangup", {**payload, "hangup_cause": "originator_cancel"}) == 200
        assert await telnyx(client, VOICE, "call.initiated", payload) == 200
        await services.background.drain(30)

    world.run(scenario)
    assert world.rows("SELECT status FROM calls WHERE call_id = %s", control) == [{"status": "missed"}]
    assert not world.router["command"].called
    assert world.rows("SELECT FROM webhook_events WHERE provider = 'telnyx' AND processed_at IS NULL") == []


@pytest.mark.parametrize(("defect", "consent"), [("", "opted_out"), ("consent-order-ignored", "opted_in")])
def test_the_last_word_counts_in_whatever_order_it_comes(
    world: World, switch: Callable[..., None], defect: str, consent: str
) -> None:
    """A START from before a STOP does not undo it."""
    switch(*filter(None, [defect]))
    row = world.tenant(stripe_customer_id=None)

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        for text, at in (("STOP", "2026-01-02T10:00:05.000+00:00"), ("START", "2026-01-02T10:00:00.000+00:00")):
            said = {**sms(row, text), "received_at": at}
            assert await telnyx(client, "/api/sms/webhook", "message.received", said) == 200

    world.run(scenario)
    assert world.rows("SELECT status FROM consents WHERE business_id = %s", row["id"]) == [{"status": consent}]


def alerting(world: World, monkeypatch: pytest.MonkeyPatch, slack: list[bool], mail: list[bool]) -> list[str]:
    """Alerts whose channels take a message or not, in turn; what was told, by channel."""
    told: list[str] = []

    def channel(name: str, takes: list[bool]) -> Callable[..., Any]:
        async def send(_: Alerts, text: str) -> bool:
            taken = takes.pop(0) if takes else True
            told.extend([f"{name} {text}"] if taken else [])
            return taken

        return send

    monkeypatch.setattr(Alerts, "_slack", channel("slack", slack))
    monkeypatch.setattr(Alerts, "_mail", channel("mail", mail))
    world.db.execute("DELETE FROM alerts_told")
    return told


def told_twice(world: World, *, cron: bool = False) -> None:
    """The same trouble of a business twice, and with `cron` a run of the cron route after it."""

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        object.__setattr__(services.alerts._settings, "slack_webhook_url", "http://slack.test/")
        for _ in range(2):
            services.alerts.trouble("fee", "b-1", "stripe is away")
            await services.alerts.background.drain(30)
        if cron:
            await client.get("/api/cron/process-jobs", headers=CRON)

    world.run(scenario)


def test_trouble_is_told_once(world: World, monkeypatch: pytest.MonkeyPatch, switch: Callable[..., None]) -> None:
    """By the first channel that takes it; another process knows."""
    told = alerting(world, monkeypatch, [], [])
    told_twice(world)
    told_twice(world)
    assert told == ["slack :warning: fee: stripe is away (business b-1)"]
    switch()
    told_twice(world)
    assert len(told) == 2  # what was told before somebody switched is not known any more


def test_what_slack_does_not_take_goes_by_mail(
    world: World, monkeypatch: pytest.MonkeyPatch, switch: Callable[..., None]
) -> None:
    """And with the defect alert-no-second-channel nowhere."""
    told = alerting(world, monkeypatch, [False], [])
    told_twice(world)
    assert told == ["mail :warning: fee: stripe is away (business b-1)"]
    switch("alert-no-second-channel")
    told = alerting(world, monkeypatch, [False], [])
    told_twice(world)
    assert told == []
    world.db.execute("DELETE FROM alert_outbox")


def test_what_no_channel_takes_is_told_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next run of the cron route in which one of them does, once."""
    told = alerting(world, monkeypatch, [False, False], [False, False])
    told_twice(world, cron=True)
    assert told == []
    told_twice(world, cron=True)
    assert told == ["slack :warning: fee: stripe is away (business b-1)"]
    assert world.rows("SELECT FROM alert_outbox") == []


def test_a_provider_that_is_down_is_told_and_that_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and again when it goes down again; with what it means for customers."""
    told = alerting(world, monkeypatch, [], [])

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        for why in ("stripe answered 503", "stripe answered 503", "", "stripe answered 500"):
            services.alerts.provider("stripe", why)
            await services.alerts.background.drain(30)
        services.alerts.provider("slack", "it tells nobody of itself")

    world.run(scenario)
    assert told == [
        "slack :rotating_light: stripe is down: stripe answered 503; booking fees wait",
        "slack :white_check_mark: resolved: stripe answers again",
        "slack :rotating_light: stripe is down: stripe answered 500; booking fees wait",
    ]
