"""Incoming calls: answered, then bridged to the business's voice agent, or to whoever can help instead."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

import psycopg

from dialtone_receptionist.database import Connection, Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.outgoing import OutgoingError
from dialtone_receptionist.providers.retell import SIP_HOST
from dialtone_receptionist.services import Services

APOLOGY = "We are sorry, this number is not in service. Please check the number and call again."
LATER = "We are sorry, we cannot take your call right now. Please call again in a few minutes."
HOLD = "Thank you for calling. Please hold, somebody will be with you shortly."


@dataclass(frozen=True, slots=True, repr=False)
class IncomingCall:
    """A call that rings. `control_id` is what Telnyx calls call_control_id, and the `call_id` of its row."""

    control_id: str
    from_number: str
    to_number: str


async def pick_up(services: Services, call: IncomingCall, business: Row | None) -> None:
    """Answer a call and give it to somebody: the agent, else the escalation phone, else a spoken sentence."""
    await _answer(services, call, business)
    if business is None:
        if not on("apology-silent"):
            await _speak(services, call, APOLOGY)
        return
    if business["retell_agent_id"]:
        if on("bridge-skipped") or await _bridge(services, call, business["retell_agent_id"]):
            return
        if not on("alert-missing-retell"):
            services.alerts.trouble(
                "agent not reached", str(business["id"]), "retell took no call: it went to the escalation phone instead"
            )
    elif on("forward-skipped"):
        return
    if on("escalation-skipped") and business["retell_agent_id"]:
        return
    phone = business["escalation_phone"]
    if not (phone and await _command(services, call, "transfer", to=phone)):
        await _speak(services, call, HOLD)


async def pick_up_without_database(services: Services, call: IncomingCall, business: Row | None) -> None:
    """Give a call to a human: without the database the agent could book nothing."""
    await _answer(services, call, business)
    phone = business["escalation_phone"] if business is not None else None
    if not (phone and await _command(services, call, "transfer", to=phone)):
        await _speak(services, call, LATER)


async def _answer(services: Services, call: IncomingCall, business: Row | None) -> None:
    if not await _command(services, call, "answer") and not on("alert-missing-telnyx"):
        who = str(business["id"]) if business is not None else "unknown"
        services.alerts.trouble("call not answered", who, "telnyx did not take the command to answer a call")


async def _bridge(services: Services, call: IncomingCall, agent_id: str) -> bool:
    try:
        retell_id = await services.retell.register_call(agent_id, call.from_number, call.to_number)
    except OutgoingError as error:
        services.alerts.error(error)
        return False
    if retell_id is None:
        return False
    try:
        await services.db.execute(
            "UPDATE calls SET retell_call_id = %(retell)s WHERE call_id = %(call)s",
            retell=retell_id,
            call=call.control_id,
        )
    except psycopg.OperationalError as error:
        services.alerts.error(error)  # the caller comes first: Retell's own events bring the id again
    if on("bridge-slow"):
        await asyncio.sleep(2.6)
    return await _command(services, call, "transfer", to=f"sip:{retell_id}@{SIP_HOST}")


async def _speak(services: Services, call: IncomingCall, text: str) -> None:
    await _command(services, call, "speak", payload=text, voice="female", language="en-US")


async def _command(services: Services, call: IncomingCall, action: str, **body: str) -> bool:
    command_id = str(uuid5(NAMESPACE_URL, f"{call.control_id}/{action}/{body.get('to', '')}"))
    try:
        return await services.telnyx.command(call.control_id, action, command_id, **body)
    except OutgoingError as error:
        services.alerts.error(error)
        return False


async def note_status(connection: Connection, call_id: str, status: str, duration: int | None = None) -> bool:
    """Note what became of a call, found by either of its ids; False for an unknown one.

    A call that is over stays over: events arrive twice and in any order.
    """
    cursor = await connection.execute(
        "UPDATE calls SET status = CASE WHEN status IN ('completed', 'failed', 'missed') THEN status"
        " ELSE %(status)s END, duration = coalesce(%(duration)s, duration)"
        " WHERE call_id = %(call)s OR retell_call_id = %(call)s",
        {"status": status, "duration": duration, "call": call_id},
    )
    return cursor.rowcount > 0


async def note_new(
    connection: Connection, business: Row, call_id: str, from_number: str, to_number: str, status: str
) -> bool:
    """Store a call; one that is there already stays as it is. Whether it was new."""
    cursor = await connection.execute(
        "INSERT INTO calls (business_id, call_id, from_number, to_number, status, direction)"
        " VALUES (%s, %s, %s, %s, %s, 'inbound') ON CONFLICT (call_id) DO NOTHING",
        (business["id"], call_id, from_number, to_number, status),
    )
    return cursor.rowcount == 1
