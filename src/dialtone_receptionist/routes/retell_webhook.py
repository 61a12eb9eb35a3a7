"""POST /api/retell/voice-webhook: the voice agent's events and its tool calls."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import psycopg
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from dialtone_receptionist import tenants
from dialtone_receptionist.booking import book
from dialtone_receptionist.calls import note_new, note_status
from dialtone_receptionist.database import Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.events import claim, mark_processed
from dialtone_receptionist.records import Appointment, Business
from dialtone_receptionist.routes.answers import (
    BadRequest,
    is_storable,
    parse_object,
    received,
    refusal,
    text,
    unhandled,
)
from dialtone_receptionist.routes.pages import LOGIN
from dialtone_receptionist.services import Services, services
from dialtone_receptionist.slots import AlreadyBooked, SlotTaken, Wish, free_slots, parse_slot
from dialtone_receptionist.verification import retell_is_genuine

Tool = dict[str, Any]

UNAVAILABLE = "The booking system does not answer just now. Please take a number: somebody will call back."
"""What the agent is to tell the caller."""

_AGAIN = (0.05, 0.2, 0.5)  # seconds until a tool call that met a broken connection is tried again
_PATIENCE = 1.0  # seconds after which it is not

_EVENTS = ("call_started", "call_ended", "call_analyzed")
_PHONE = re.compile(r"\+?\d{7,15}")
_MISSED = ("dial_busy", "dial_no_answer", "user_declined", "voicemail_reached")
_FAILED = ("error", "dial_failed", "invalid_destination", "telephony_provider", "sip_routing_error", "no_concurrency")


async def retell_webhook(request: Request) -> Response:
    """Verify and dispatch; `ping` alone needs no signature."""
    found = services(request)
    body = await request.body()
    if _is_ping(body) and not on("ping-gone"):
        return JSONResponse({"ok": True})
    if on("webhook-behind-auth"):
        return HTMLResponse(LOGIN, 401)
    if not retell_is_genuine(body, request.headers, found.settings):
        return refusal(401, "invalid_signature")
    message = parse_object(body)
    if isinstance(message.get("event"), str):
        event, call = message["event"], _call(message)
        if event not in _EVENTS:
            return unhandled(f"{call.get('call_id')}:{event}")
        await _note_event(found, event, call)
        return received()
    tool = _TOOLS.get(str(message.get("name")))
    if tool is None:
        return JSONResponse({"success": False, "error": "unknown_tool"})
    return JSONResponse(await _run(found, tool, message))


def _is_ping(body: bytes) -> bool:
    try:
        return parse_object(body).get("event") == "ping"
    except BadRequest:
        return False


def _call(message: dict[str, Any]) -> dict[str, Any]:
    call = message.get("call")
    return call if isinstance(call, dict) else {}


def _text_of(call: dict[str, Any], name: str) -> str | None:
    value = call.get(name)
    return value if isinstance(value, str) and is_storable(value) else None


async def _note_event(found: Services, event: str, call: dict[str, Any]) -> None:
    call_id = _text_of(call, "call_id")
    if call_id is None:
        return
    status, duration = "answered", None
    if event != "call_started":
        reason = str(call.get("disconnection_reason") or "")
        status = "missed" if reason in _MISSED else "failed" if reason.startswith(_FAILED) else "completed"
        milliseconds = call.get("duration_ms")
        duration = round(milliseconds / 1000) if isinstance(milliseconds, int | float) else None
    sender, to = _text_of(call, "from_number") or "", _text_of(call, "to_number") or ""
    business = await tenants.by_agent(found.db, _text_of(call, "agent_id"), to)
    event_id = f"{call_id}:{event}"  # Retell's events have no id of their own
    async with found.db.transaction() as connection:
        if not await claim(connection, "retell", event_id, event):
            return
        if not await note_status(connection, call_id, status, duration) and business is not None:
            await note_new(connection, business, call_id, sender, to, status)
            await note_status(connection, call_id, status, duration)
        await mark_processed(connection, "retell", event_id)


async def _run(found: Services, tool: Any, message: dict[str, Any]) -> Tool:
    """The tool's answer. Always a 200: the agent is to read out what is wrong, not to try again."""
    call = _call(message)
    arguments = message.get("args")
    if not isinstance(arguments, dict):
        arguments = {name: value for name, value in message.items() if name not in ("name", "call")}
    try:
        return await _with_database(found, tool, call, arguments)
    except (BadRequest, ValueError) as error:
        return {"success": False, "error": "invalid_arguments", "message": str(error)}
    except psycopg.OperationalError as error:
        found.alerts.error(error)
        if on("database-away-says-yes"):
            return {"success": True, "appointment_id": str(uuid4())}
        return {"success": False, "error": "temporarily_unavailable", "message": UNAVAILABLE}


async def _with_database(found: Services, tool: Any, call: Tool, arguments: Tool) -> Tool:
    """A connection that breaks may be the only one: what a tool call does, it does once, so it can be tried again."""
    started, waits = time.monotonic(), iter(() if on("database-tried-once") else _AGAIN)
    while True:
        try:
            row = await tenants.by_agent(found.db, _text_of(call, "agent_id"), _text_of(call, "to_number"))
            if row is None:
                return {"success": False, "error": "business_not_found"}
            answer: Tool = await tool(found, row, call, arguments)
        except psycopg.OperationalError:
            wait = next(waits, None)
            if wait is None or time.monotonic() - started > _PATIENCE:
                raise
            await asyncio.sleep(wait)
        else:
            return answer


def _phone(arguments: dict[str, Any], call: dict[str, Any]) -> str | None:
    given = text(arguments, "customer_phone", required=False) or _text_of(call, "from_number")
    if given is None:
        return None
    number = re.sub(r"[\s().-]", "", given)
    if not _PHONE.fullmatch(number):
        raise ValueError("customer_phone is not a phone number")
    return number


def _key(call: dict[str, Any], name: str, arguments: dict[str, Any]) -> str:
    """The same for a repetition of a tool call: Retell sends one up to three times."""
    canonical = json.dumps([call.get("call_id"), name, arguments], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


async def _book_appointment(found: Services, row: Row, call: dict[str, Any], arguments: dict[str, Any]) -> Tool:
    day, start, minutes = parse_slot(arguments.get("date"), arguments.get("time"), arguments.get("duration"))
    wish = Wish(
        customer_name=text(arguments, "customer_name") or "",
        customer_phone=_phone(arguments, call),
        day=day,
        start=start,
        minutes=minutes,
        service_type=text(arguments, "service_type", required=False),
        notes=text(arguments, "notes", required=False, most=2000),
    )
    try:
        appointment_id = await book(found, Business.of(row), wish, _key(call, "book_appointment", arguments))
    except AlreadyBooked as booked:
        appointment_id = booked.appointment_id
        if on("tool-retry-charges") and row["stripe_customer_id"]:
            await found.fees.charge(row["id"], row["stripe_customer_id"], appointment_id, f"-{uuid4()}")
    except SlotTaken:
        free = await free_slots(found.db, row["id"], day, minutes)
        return {"success": False, "error": "slot_taken", "slots": free}
    return {"success": True, "appointment_id": str(appointment_id)}


async def _lookup_availability(found: Services, row: Row, _: dict[str, Any], arguments: dict[str, Any]) -> Tool:
    day = date.fromisoformat(text(arguments, "date") or "")
    return {"success": True, "date": day.isoformat(), "slots": await free_slots(found.db, row["id"], day)}


async def _send_booking_sms(found: Services, row: Row, call: dict[str, Any], arguments: dict[str, Any]) -> Tool:
    identifier = UUID(text(arguments, "appointment_id") or "")
    stored = await found.db.one(
        "SELECT * FROM appointments WHERE id = %(id)s AND business_id = %(business)s", id=identifier, business=row["id"]
    )
    if stored is None:
        return {"success": False, "error": "appointment_not_found"}
    async with found.db.transaction() as connection:
        if not await claim(connection, "retell", _key(call, "send_booking_sms", arguments), "send_booking_sms"):
            return {"success": True}
        message = await found.messages.queue_confirmation(connection, Business.of(row), Appointment.of(stored))
        await mark_processed(connection, "retell", _key(call, "send_booking_sms", arguments))
    return {"success": message is not None and await found.messages.deliver(message)}


_TOOLS = {
    "book_appointment": _book_appointment,
    "lookup_availability": _lookup_availability,
    "send_booking_sms": _send_booking_sms,
}
