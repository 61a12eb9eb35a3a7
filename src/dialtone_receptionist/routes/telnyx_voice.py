"""POST /api/telnyx/voice-webhook: what happens on the line."""

from __future__ import annotations

from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from dialtone_receptionist import tenants
from dialtone_receptionist.calls import IncomingCall, note_new, note_status, pick_up, pick_up_without_database
from dialtone_receptionist.database import Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.events import claim, mark_processed, mark_processed_later
from dialtone_receptionist.routes.answers import BadRequest, parse_object, received, refusal, unhandled
from dialtone_receptionist.services import Services, services
from dialtone_receptionist.verification import telnyx_body_is_odd, telnyx_is_genuine

_MISSED = ("originator_cancel", "no_answer", "timeout", "user_busy")


def envelope(body: bytes) -> tuple[str, str, dict[str, Any]]:
    """Type, id and payload of a Telnyx event (`data` beside an optional `meta`); raises `BadRequest`."""
    data = parse_object(body).get("data")
    if not isinstance(data, dict):
        raise BadRequest("invalid_envelope")
    event_type, event_id, payload = data.get("event_type"), data.get("id"), data.get("payload")
    if not isinstance(event_type, str) or not isinstance(event_id, str):
        raise BadRequest("invalid_envelope")
    return event_type, event_id, payload if isinstance(payload, dict) else {}


async def voice_webhook(request: Request) -> Response:
    """Verify, store, answer; the call itself is handled after the answer."""
    found = services(request)
    body = await request.body()
    if not telnyx_is_genuine(body, request.headers, found.settings):
        return refusal(401, "invalid_signature")
    if telnyx_body_is_odd(body):
        return refusal(400, "invalid_json")
    event_type, event_id, payload = envelope(body)
    if event_type == "call.initiated":
        if payload.get("direction", "incoming") == "incoming":
            await _ring(found, event_id, payload)
    elif event_type in ("call.answered", "call.hangup"):
        await _note(found, event_type, event_id, payload)
    elif on("unknown-event-500"):
        raise LookupError("no handler for this event type")
    else:
        return unhandled(event_id)
    return received()


async def _ring(found: Services, event_id: str, payload: dict[str, Any]) -> None:
    control_id, sender, to = (payload.get(name) for name in ("call_control_id", "from", "to"))
    if not isinstance(control_id, str) or not isinstance(to, str):
        raise BadRequest("invalid_payload")
    call = IncomingCall(control_id, sender if isinstance(sender, str) else "", to)
    try:
        business = await tenants.by_number(found.db, to)
        found.desk.remember(to, business)
        is_ours = await _note_ring(found, event_id, call, business)
    except psycopg.OperationalError as error:
        if on("calls-need-database"):
            raise
        found.alerts.error(error)
        _ring_without_database(found, event_id, call)
        return
    if not is_ours:
        return

    async def handle() -> None:
        try:
            await pick_up(found, call, business)
        finally:
            await mark_processed_later(found.db, "telnyx", event_id)

    found.background.start(handle())


async def _note_ring(found: Services, event_id: str, call: IncomingCall, business: Row | None) -> bool:
    """Note a call that rings; whether it is to be picked up: not twice, and not when it is over already."""
    async with found.db.transaction() as connection:
        if not await claim(connection, "telnyx", event_id, "call.initiated"):
            return on("ring-redelivery-answered")
        if business is None:
            return True
        is_new = await note_new(connection, business, call.control_id, call.from_number, call.to_number, "initiated")
        if not is_new:
            await mark_processed(connection, "telnyx", event_id)
        return is_new


def _ring_without_database(found: Services, event_id: str, call: IncomingCall) -> None:
    if not found.desk.takes(call.control_id):
        return
    business = found.desk.recall(call.to_number)

    async def note() -> None:
        owner = await tenants.by_number(found.db, call.to_number)
        if await _note_ring(found, event_id, call, owner):
            await mark_processed_later(found.db, "telnyx", event_id)

    found.desk.later(note)
    found.background.start(pick_up_without_database(found, call, business))


async def _note(found: Services, event_type: str, event_id: str, payload: dict[str, Any]) -> None:
    if event_type == "call.answered":
        status = "answered"
    else:
        cause = payload.get("hangup_cause")
        status = "completed" if cause == "normal_clearing" else "missed" if cause in _MISSED else "failed"
    call_id, sender, to = (payload.get(name) for name in ("call_control_id", "from", "to"))
    incoming = payload.get("direction", "incoming") == "incoming" and isinstance(to, str)
    business = await tenants.by_number(found.db, str(to)) if incoming else None
    async with found.db.transaction() as connection:
        if not await claim(connection, "telnyx", event_id, event_type):
            return
        is_known = await note_status(connection, str(call_id), status)
        if not is_known and business is not None and not on("hangup-first-lost"):
            # Events come in any order: the one that it rings is still on its way.
            await note_new(connection, business, str(call_id), str(sender or ""), str(to), status)
        await mark_processed(connection, "telnyx", event_id)
