"""POST /api/sms/webhook: incoming SMS and what became of outgoing ones (Telnyx messaging events)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from dialtone_receptionist import tenants
from dialtone_receptionist.database import Connection, Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.events import claim, mark_processed, seen_in_redis
from dialtone_receptionist.routes.answers import BadRequest, parse_object, received, refusal, unhandled
from dialtone_receptionist.routes.telnyx_voice import envelope
from dialtone_receptionist.services import Services, services
from dialtone_receptionist.verification import telnyx_body_is_odd, telnyx_is_genuine

STOP = {"STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}
START = {"START", "UNSTOP"}
HELP = {"HELP", "INFO"}
"""Telnyx' own keywords (developers.telnyx.com, "Advanced opt-in/out")."""

_DELIVERED = {"delivered": "delivered", "sending_failed": "failed", "delivery_failed": "failed"}


async def sms_webhook(request: Request) -> Response:
    """Verify, store with its consent, answer; a reply is sent after the answer."""
    found = services(request)
    body = await request.body()
    if not telnyx_is_genuine(body, request.headers, found.settings):
        return refusal(401, "invalid_signature")
    if telnyx_body_is_odd(body):
        return refusal(400, "invalid_json")
    if on("sms-flat-body") and not {"from", "to", "text"} <= parse_object(body).keys():
        raise BadRequest("missing_fields")
    event_type, event_id, payload = envelope(body)
    if event_type == "message.received":
        reply = await _receive_some(found, event_id, payload)
        if on("webhook-slow"):
            await asyncio.sleep(2.6)
            if reply is not None:
                await found.messages.deliver(reply)
        elif reply is not None:
            found.background.start(found.messages.deliver(reply))
    elif event_type in ("message.sent", "message.finalized"):
        await _note_delivery(found, payload)
    else:
        return unhandled(event_id)
    return received()


class Burst:
    """How many texts this process is storing at this moment."""

    texts = 0


async def _receive_some(found: Services, event_id: str, payload: dict[str, Any]) -> UUID | None:
    """`_receive`, except that the defect burst-dropped takes four at a time in each of the two processes."""
    if Burst.texts >= 4 and on("burst-dropped"):
        return None
    Burst.texts += 1
    try:
        return await _receive(found, event_id, payload)
    finally:
        Burst.texts -= 1


async def _receive(found: Services, event_id: str, payload: dict[str, Any]) -> UUID | None:
    """Store a text once; the id of a queued reply."""
    sender, to, message_id = _number(payload.get("from")), _number(payload.get("to")), payload.get("id")
    if sender is None or to is None or not isinstance(message_id, str):
        raise BadRequest("invalid_payload")
    body = str(payload.get("text") or "").replace("\0", "")
    if await seen_in_redis(found.redis, "telnyx", event_id):
        return None
    business = await tenants.by_number(found.db, to)
    if business is None:
        return None
    async with found.db.transaction() as connection:
        if not await claim(connection, "telnyx", event_id, "message.received"):
            if on("sms-redelivery-doubles"):
                await _store(connection, business, None, sender, to, body)
            return None
        await _store(connection, business, message_id, sender, to, body)
        reply = await _obey(found, connection, business, sender, to, body, _time(payload.get("received_at")))
        await mark_processed(connection, "telnyx", event_id)
        return reply


async def _store(
    connection: Connection, business: Row, message_id: str | None, sender: str, to: str, body: str
) -> None:
    await connection.execute(
        "INSERT INTO sms_messages (business_id, message_id, direction, from_number, to_number, body, status)"
        " VALUES (%s, %s, 'inbound', %s, %s, %s, 'received') ON CONFLICT (message_id) DO NOTHING",
        (business["id"], message_id, sender, to, body),
    )


async def _obey(
    found: Services, connection: Connection, business: Row, sender: str, to: str, body: str, said_at: datetime
) -> UUID | None:
    """Record what a keyword says about consent and queue its answer; other texts have none."""
    word = " ".join(body.upper().split()).rstrip(".!")
    name = business["business_name"]
    if word in STOP and not on("stop-ignored"):
        await _consent(connection, business, sender, "opted_out", said_at)
        text = f"{name}: you are unsubscribed and will receive no further messages. Reply START to subscribe again."
    elif word in START:
        await _consent(connection, business, sender, "opted_in", said_at)
        text = f"{name}: you are subscribed again. Reply HELP for help, STOP to unsubscribe."
    elif word in HELP and not on("help-silent"):
        text = f"{name}: call {to} for help. Reply STOP to unsubscribe. Message and data rates may apply."
    else:
        return None
    return await found.messages.queue_reply(connection, business["id"], to, sender, text)


async def _consent(connection: Connection, business: Row, number: str, status: str, said_at: datetime) -> None:
    """What was said last counts, in whatever order it arrives."""
    await connection.execute(
        "INSERT INTO consents (business_id, phone_number, status, source, updated_at) VALUES (%s, %s, %s, 'sms', %s)"
        " ON CONFLICT (business_id, phone_number)"
        " DO UPDATE SET status = excluded.status, source = excluded.source, updated_at = excluded.updated_at"
        " WHERE consents.updated_at <= excluded.updated_at OR %s",
        (business["id"], number, status, said_at, on("consent-order-ignored")),
    )


def _time(text: object) -> datetime:
    """When Telnyx received a text (ISO 8601); now, if it does not say."""
    now = datetime.now(UTC)
    try:
        said = datetime.fromisoformat(text) if isinstance(text, str) else now
    except ValueError:
        return now
    return min(said if said.tzinfo else said.replace(tzinfo=UTC), now)


async def _note_delivery(found: Services, payload: dict[str, Any]) -> None:
    recipients = payload.get("to")
    first = recipients[0] if isinstance(recipients, list) and recipients else None
    status = _DELIVERED.get(str(first.get("status"))) if isinstance(first, dict) else None
    if status is not None:
        await found.db.execute(
            "UPDATE sms_messages SET status = %(status)s WHERE message_id = %(id)s AND direction = 'outbound'",
            status=status,
            id=str(payload.get("id")),
        )


def _number(party: object) -> str | None:
    """The phone number in `from` (an object) or `to` (a list of them)."""
    if isinstance(party, list):
        party = party[0] if party else None
    number = party.get("phone_number") if isinstance(party, dict) else None
    return number if isinstance(number, str) else None
