"""The business path in one process: bookings with broken providers, webhooks twice and out of order, SMS, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import respx
from tests.receptionist import signers
from tests.receptionist.conftest import Databases, Tenants, running

from dialtone_receptionist.services import Services

Session = psycopg.Connection[dict[str, Any]]
DAY = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
CALLER = "+15005550009"
CRON = {"authorization": "Bearer cron"}


class World:
    """The application in this process, and its providers mocked; `calls` tells what went out."""

    def __init__(self, databases: Databases, db: Session, tenant: Tenants) -> None:
        self.databases, self.db, self.tenant = databases, db, tenant
        self.router = respx.Router(assert_all_called=False)
        self.router.post("http://stripe.test/v1/invoiceitems", name="item").respond(json={"id": "ii_1"})
        self.router.post("http://stripe.test/v1/invoices", name="invoice").respond(json={"id": f"in_{uuid4().hex}"})
        self.router.post(path__regex=r"/finalize$", name="finalize").respond(json={"status": "open"})
        self.router.post(path__regex=r"/pay$", name="pay").respond(json={"status": "paid"})
        self.router.post("http://telnyx.test/v2/messages", name="sms").mock(side_effect=self._sms)
        self.router.post(path__regex=r"/actions/", name="command").respond(json={"data": {"result": "ok"}})
        self.router.post("http://retell.test/v2/register-phone-call", name="register").respond(
            201, json={"call_id": "call_r"}
        )

    @staticmethod
    def _sms(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": {"id": str(uuid4())}})

    def run(self, scenario: Callable[[httpx.AsyncClient, Services], Awaitable[None]]) -> None:
        """Run a scenario against a fresh application."""

        async def inside() -> None:
            more = {"TELNYX_PUBLIC_KEY": signers.TELNYX_PUBLIC}
            async with running(self.databases, **more) as (services, client):
                services.outgoing._client._transport = httpx.MockTransport(self.router.async_handler)
                await scenario(client, services)

        asyncio.run(inside())

    def keys(self, step: str) -> list[str]:
        """The idempotency keys that came in at a step of the fee."""
        return [call.request.headers["idempotency-key"] for call in self.router[step].calls]

    def rows(self, question: str, *values: Any) -> list[dict[str, Any]]:
        """An answer of the database."""
        return self.db.execute(question.encode(), values).fetchall()


@pytest.fixture
def world(databases: Databases, db: Session, tenant: Tenants, switch: Callable[..., None]) -> World:
    """A world of its own, nothing wrong with it."""
    switch()
    return World(databases, db, tenant)


async def tool(client: httpx.AsyncClient, row: dict[str, Any], name: str, call_id: str = "", **args: Any) -> Any:
    """A tool call of the tenant's agent; the JSON of its answer."""
    call = {"call_id": call_id or uuid4().hex, "agent_id": row["retell_agent_id"], "from_number": CALLER}
    body = json.dumps({"name": name, "call": call, "args": args}).encode()
    answer = await client.post("/api/retell/voice-webhook", content=body, headers=signers.retell(body))
    assert answer.status_code == 200
    return answer.json()


async def book(client: httpx.AsyncClient, row: dict[str, Any], time: str = "10:00", call_id: str = "") -> Any:
    """Book for a caller."""
    wish = {"customer_name": "A Caller", "customer_phone": CALLER, "date": DAY, "time": time, "service_type": "visit"}
    return await tool(client, row, "book_appointment", call_id, **wish)


async def stripe(client: httpx.AsyncClient, event_type: str, subject: dict[str, Any], **more: Any) -> httpx.Response:
    """A signed event of Stripe."""
    event = {"id": f"evt_{uuid4().hex}", "type": event_type, "created": 1_800_000_000, "data": {"object": subject}}
    body = json.dumps({**event, **more}).encode()
    return await client.post("/api/stripe/webhook", content=body, headers=signers.stripe(body))


async def telnyx(client: httpx.AsyncClient, route: str, event_type: str, payload: dict[str, Any], **more: Any) -> int:
    """A signed event of Telnyx; the status of its answer."""
    data = {"record_type": "event", "event_type": event_type, "id": uuid4().hex, "payload": payload, **more}
    body = json.dumps({"data": data}).encode()
    return (await client.post(route, content=body, headers=signers.telnyx(body))).status_code


def sms(row: dict[str, Any], text: str) -> dict[str, Any]:
    """The payload of an SMS to the tenant."""
    return {
        "id": uuid4().hex,
        "from": {"phone_number": CALLER},
        "to": [{"phone_number": row["phone_number"]}],
        "text": text,
    }


def test_a_booking_has_everything(world: World) -> None:
    """Appointment, paid fee, confirmation; the same tool call again has no second effect."""
    row = world.tenant()

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        first = await book(client, row, call_id="call-1")
        assert first["success"]
        assert await book(client, row, call_id="call-1") == first
        assert (await book(client, row, time="10:30"))["error"] == "slot_taken"
        found = await tool(client, row, "lookup_availability", date=DAY)
        assert found["slots"][:3] == ["09:00", "09:30", "11:00"]
        assert (await tool(client, row, "send_booking_sms", appointment_id=first["appointment_id"]))["success"]
        assert (await book(client, row, time="24:30"))["error"] == "invalid_arguments"
        assert (await tool(client, row, "no_such_tool"))["error"] == "unknown_tool"

    world.run(scenario)
    assert len(world.rows("SELECT FROM appointments WHERE business_id = %s", row["id"])) == 1
    paid = world.rows(
        "SELECT status, amount_cents, stripe_invoice_id FROM billing_history WHERE business_id = %s", row["id"]
    )
    assert [(p["status"], p["amount_cents"]) for p in paid] == [("paid", 5000)]
    assert [c.call_count for c in (world.router["pay"], world.router["sms"])] == [1, 2]


def test_the_same_slot_at_once_is_booked_once(world: World) -> None:
    """Of callers who want one slot at the same moment, one gets it; one tool call sent three times is one booking."""
    row, other = world.tenant(), world.tenant()

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        answers = await asyncio.gather(*(book(client, row) for _ in range(6)))
        assert sorted(a.get("error", "") for a in answers) == ["", *["slot_taken"] * 5]
        answers = await asyncio.gather(*(book(client, other, call_id="same") for _ in range(3)))
        assert len({a["appointment_id"] for a in answers}) == 1

    world.run(scenario)
    assert world.router["pay"].call_count == 2


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(500)])
def test_stripe_down_costs_no_appointment_and_is_made_up_for(world: World, failure: Any) -> None:
    """The fee stays pending; cron charges it with the same keys, once."""
    row = world.tenant()
    good = world.router["invoice"].return_value
    mocked = {"return_value": failure} if isinstance(failure, httpx.Response) else {"side_effect": failure}

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        world.router["invoice"].mock(**mocked)
        assert (await book(client, row))["success"]
        pending = world.rows("SELECT status, leased_until FROM billing_history WHERE business_id = %s", row["id"])
        assert pending == [{"status": "pending", "leased_until": None}]
        world.router["invoice"].side_effect = None
        world.router["invoice"].mock(return_value=good)
        runs = [(await client.get("/api/cron/process-jobs", headers=CRON)).json()["processed"] for _ in range(2)]
        assert runs == [1, 0]

    world.run(scenario)
    assert len(set(world.keys("item"))) == 1
    assert len(world.keys("item")) == 2
    assert world.router["pay"].call_count == 1
    assert world.rows("SELECT status FROM billing_history WHERE business_id = %s", row["id"]) == [{"status": "paid"}]


def test_a_declined_card_is_a_failed_payment(world: World) -> None:
    """402 is final: the appointment stands, the payment is failed, nobody tries again."""
    row = world.tenant()
    world.router["pay"].respond(402, json={"error": {"code": "card_declined"}})

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        assert (await book(client, row))["success"]
        assert (await client.get("/api/cron/process-jobs", headers=CRON)).json() == {"success": True, "processed": 0}

    world.run(scenario)
    assert world.rows("SELECT status FROM billing_history WHERE business_id = %s", row["id"]) == [{"status": "failed"}]


@pytest.mark.parametrize(
    ("failure", "status", "sent"),
    [
        (httpx.ConnectError("refused"), "queued", 2),
        (httpx.Response(503), "queued", 2),
        (httpx.ReadTimeout("slow"), "unconfirmed", 1),
        (httpx.Response(400, json={"errors": [{"code": "40300"}]}), "failed", 1),
    ],
    ids=["refused", "503", "no answer", "blocked"],
)
def test_a_confirmation_is_sent_at_most_once(world: World, failure: Any, status: str, sent: int) -> None:
    """What may have been taken is not sent again; what surely was not is sent by cron."""
    row = world.tenant(stripe_customer_id=None)

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        mocked = {"return_value": failure} if isinstance(failure, httpx.Response) else {"side_effect": failure}
        world.router["sms"].side_effect = None
        world.router["sms"].mock(**mocked)
        assert (await book(client, row))["success"]
        assert world.rows("SELECT status FROM sms_messages WHERE business_id = %s", row["id"]) == [{"status": status}]
        world.router["sms"].mock(side_effect=world._sms)
        await client.get("/api/cron/process-jobs", headers=CRON)

    world.run(scenario)
    assert world.router["sms"].call_count == sent


def test_keywords_and_consent(world: World) -> None:
    """STOP is recorded, answered, and stops confirmations; START undoes it; HELP is answered; a redelivery is not."""
    row = world.tenant(stripe_customer_id=None)
    route = "/api/sms/webhook"
    consent = "SELECT status FROM consents WHERE business_id = %s"

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        stop = sms(row, " Stop.")
        assert [await telnyx(client, route, "message.received", stop, id=f"stop-{row['id']}") for _ in range(2)] == [
            200
        ] * 2
        assert world.rows(consent, row["id"]) == [{"status": "opted_out"}]
        assert (await book(client, row))["success"]
        for text, status in (("START", "opted_in"), ("hello", "opted_in"), ("HELP", "opted_in")):
            assert await telnyx(client, route, "message.received", sms(row, text)) == 200
            assert world.rows(consent, row["id"]) == [{"status": status}]
        await services.background.drain(30)

    world.run(scenario)
    texts = [json.loads(call.request.content)["text"] for call in world.router["sms"].calls]
    assert len(texts) == 3
    assert ["unsubscribed" in texts[0], "subscribed again" in texts[1], "for help" in texts[2]] == [True] * 3
    inbound = "SELECT FROM sms_messages WHERE business_id = %s AND direction = 'inbound'"
    assert len(world.rows(inbound, row["id"])) == 4
    assert world.rows(
        "SELECT status FROM sms_messages WHERE appointment_id IS NOT NULL AND business_id = %s", row["id"]
    ) == [{"status": "suppressed"}]


def test_stripe_events_have_their_effect_once(world: World) -> None:
    """A payment is recorded once for its invoice; an old event does not undo a newer one; unknown types are ignored."""
    row = world.tenant()
    invoice = {
        "id": f"in_{uuid4().hex}",
        "customer": row["stripe_customer_id"],
        "amount_paid": 4900,
        "amount_due": 4900,
    }

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        for _ in range(2):
            answer = await stripe(client, "invoice.paid", invoice, id=f"evt_{row['id']}")
            assert answer.json() == {"success": True, "received": True}
        await stripe(client, "invoice.payment_failed", invoice)  # late, of the invoice that is paid by now
        await stripe(
            client,
            "customer.subscription.updated",
            {"id": "sub_1", "customer": row["stripe_customer_id"], "status": "past_due"},
            created=1_700_000_000,
        )
        assert (await stripe(client, "dialtone.synthetic", {})).status_code == 200

    world.run(scenario)
    assert world.rows("SELECT status, amount_cents FROM billing_history WHERE business_id = %s", row["id"]) == [
        {"status": "paid", "amount_cents": 4900}
    ]
    assert world.rows("SELECT event_id FROM webhook_events WHERE event_id = 'evt_dialtone.synthetic'") == []


def test_a_failed_handler_is_a_500_and_the_event_is_tried_again(world: World) -> None:
    """The event is not noted as taken in: Stripe's next attempt has its effect."""
    row = world.tenant()
    invoice = {"id": f"in_{uuid4().hex}", "customer": row["stripe_customer_id"], "amount_paid": 10**12}
    event = {"id": f"evt_{row['id']}"}

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        world.db.execute("ALTER TABLE billing_history RENAME TO billing_history_gone")
        try:
            answer = await stripe(client, "invoice.paid", {**invoice, "amount_paid": 1}, **event)
        finally:
            world.db.execute("ALTER TABLE billing_history_gone RENAME TO billing_history")
        assert (answer.status_code, answer.json()) == (500, {"error": "internal_error"})
        assert (await stripe(client, "invoice.paid", {**invoice, "amount_paid": 1}, **event)).status_code == 200

    world.run(scenario)
    assert len(world.rows("SELECT FROM billing_history WHERE business_id = %s", row["id"])) == 1


def test_the_fees_own_invoice_is_not_a_second_payment(world: World) -> None:
    """Stripe also reports the invoice of a booking fee: the row is there already."""
    row = world.tenant()

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        appointment = (await book(client, row))["appointment_id"]
        (paid,) = world.rows("SELECT stripe_invoice_id FROM billing_history WHERE business_id = %s", row["id"])
        subject = {
            "id": paid["stripe_invoice_id"],
            "customer": row["stripe_customer_id"],
            "amount_paid": 5000,
            "metadata": {"appointment_id": appointment},
        }
        assert (await stripe(client, "invoice.paid", subject)).status_code == 200

    world.run(scenario)
    assert len(world.rows("SELECT FROM billing_history WHERE business_id = %s", row["id"])) == 1


@pytest.mark.parametrize(
    ("columns", "register", "commands"),
    [
        ({}, 201, ["answer", "transfer sip:call_r@sip.retellai.com"]),
        ({"escalation_phone": "+15005550002"}, 500, ["answer", "transfer +15005550002"]),
        ({"retell_agent_id": None, "escalation_phone": "+15005550002"}, 201, ["answer", "transfer +15005550002"]),
        ({"retell_agent_id": None, "escalation_phone": None}, 201, ["answer", "speak"]),
        (None, 201, ["answer", "speak"]),
    ],
    ids=["agent", "agent down", "no agent", "nobody", "unknown number"],
)
def test_every_caller_hears_something(
    world: World, columns: dict[str, Any] | None, register: int, commands: list[str]
) -> None:
    """Bridged to the agent, forwarded, told to hold, or an apology; once, however often the event comes."""
    row = world.tenant(**(columns or {}))
    to = row["phone_number"] if columns is not None else "+15005559999"
    world.router["register"].respond(register, json={"call_id": "call_r"})
    control = f"v3:{uuid4().hex}"
    payload = {"call_control_id": control, "direction": "incoming", "from": CALLER, "to": to}
    route = "/api/telnyx/voice-webhook"

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        for _ in range(2):
            assert await telnyx(client, route, "call.initiated", payload, id=f"ring-{control}") == 200
        outgoing = {**payload, "direction": "outgoing", "call_control_id": "v3:ours"}
        assert await telnyx(client, route, "call.initiated", outgoing) == 200
        await services.background.drain(30)
        for event, cause in (("call.hangup", "normal_clearing"), ("call.answered", None)):
            await telnyx(client, route, event, {"call_control_id": control, "hangup_cause": cause})

    world.run(scenario)
    sent = []
    for call in world.router["command"].calls:
        where = json.loads(call.request.content).get("to")
        sent.append(call.request.url.path.rsplit("/", 1)[1] + (f" {where}" if where else ""))
    assert sent == commands
    stored = world.rows("SELECT status FROM calls WHERE call_id = %s", control)
    assert stored == ([{"status": "completed"}] if columns is not None else [])


def test_what_cannot_be_stored_is_a_400(world: World) -> None:
    """NUL, half a surrogate pair, JSON that is no object, a number beyond the column: never a 500."""
    row = world.tenant()

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        for field in ("a\0b", "a\ud800b", "", 7, ["x"], "x" * 501):
            body = json.dumps({"email": field, "password": "x"}).encode()
            answer = await client.post("/api/auth/login-simple", content=body)
            assert (answer.status_code, answer.json()) == (400, {"error": "invalid_email"})
        for content in (b"[]", b"{", b"\xff", b"[" * 100_000):
            answer = await client.post("/api/monitoring/error", content=content)
            assert answer.status_code == 400
        invoice = {"id": f"in_{uuid4().hex}", "customer": row["stripe_customer_id"], "amount_paid": 10**12}
        assert (await stripe(client, "invoice.paid", invoice)).status_code == 400

    world.run(scenario)


def test_middleware(world: World) -> None:
    """Foreign origins are refused, unknown API routes are JSON 404s, the 101st request is a plain 429."""

    async def scenario(client: httpx.AsyncClient, services: Services) -> None:
        me = {"x-forwarded-for": "198.18.0.1"}
        assert (await client.get("/landing", headers={"origin": "https://evil.test"})).status_code == 403
        assert (await client.get("/landing", headers={"origin": "null"})).status_code == 403
        assert (await client.get("/landing", headers={"origin": "http://app.test", **me})).status_code == 200
        unknown = await client.get("/api/unknown", headers=me)
        assert (unknown.status_code, unknown.json()) == (404, {"error": "not_found"})
        assert unknown.headers["x-frame-options"] == "DENY"
        for _ in range(98):
            assert (await client.get("/landing", headers=me)).status_code == 200
        limited = await client.get("/landing", headers=me)
        assert (limited.status_code, limited.text) == (429, "Too Many Requests")
        assert "retry-after" not in limited.headers
        assert (await client.get("/landing", headers={"x-forwarded-for": "198.18.0.2"})).status_code == 200
        hook = await client.post("/api/retell/voice-webhook", json={"event": "ping"}, headers=me)
        assert hook.json() == {"ok": True}

    world.run(scenario)
