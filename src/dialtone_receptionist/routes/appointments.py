"""POST /api/appointments/create and GET, PATCH, DELETE /api/appointments/{id}: a tenant's own appointments."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dialtone_receptionist import tenants
from dialtone_receptionist.database import Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.records import Appointment, Business
from dialtone_receptionist.routes.accounts import Bearer, bearer
from dialtone_receptionist.routes.answers import BadRequest, read_object, refusal, text
from dialtone_receptionist.services import Services, services
from dialtone_receptionist.slots import SlotTaken, Wish, is_free, parse_slot, store

MOST_REQUESTS = 100
"""Requests of one business to these routes within a window."""


def _shown(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "business_id": str(row["business_id"]),
        "customer_name": row["customer_name"],
        "customer_phone": row["customer_phone"],
        "scheduled_date": row["scheduled_date"].isoformat(),
        "start_time": f"{row['start_time']:%H:%M}",
        "end_time": f"{row['end_time']:%H:%M}",
        "duration": row["duration"],
        "service_type": row["service_type"],
        "status": row["status"],
        "notes": row["notes"],
        "google_event_id": row["google_event_id"],
        "created_at": row["created_at"].isoformat(),
    }


async def _admit(request: Request, found: Services) -> Bearer | Response:
    who = bearer(request, found)
    if who is None:
        return refusal(401, "unauthorized")
    count = await found.counter.hit(f"appointments:{who.business_id}")
    if count.used <= MOST_REQUESTS:
        return who
    headers = {
        "retry-after": str(max(1, round(count.resets_at - time.time()))),
        "x-ratelimit-limit": str(MOST_REQUESTS),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(count.resets_at * 1000)),
    }
    return refusal(429, "too_many_requests", **headers)


async def create(request: Request) -> Response:
    """Store an appointment that somebody enters by hand; its calendar event follows after the answer."""
    found = services(request)
    who = await _admit(request, found)
    if isinstance(who, Response):
        return who
    body = await read_object(request)
    try:
        day, start, minutes = parse_slot(body.get("scheduled_date"), body.get("start_time"), body.get("duration"))
    except ValueError as error:
        raise BadRequest("invalid_slot") from error
    wish = Wish(
        text(body, "customer_name") or "",
        text(body, "customer_phone", required=False),
        day,
        start,
        minutes,
        text(body, "service_type", required=False),
        text(body, "notes", required=False, most=2000),
    )
    owner = await tenants.by_id(found.db, who.business_id)
    if owner is None:
        return refusal(401, "unauthorized")  # the token outlives its business
    try:
        async with found.db.transaction() as connection:
            appointment = await store(connection, who.business_id, wish)
    except SlotTaken:
        return refusal(409, "slot_taken")
    row = await _find(found, appointment.id, who.business_id)
    assert row is not None
    found.background.start(found.calendar.write(Business.of(owner), appointment))
    return JSONResponse({"success": True, "appointment": _shown(row)}, 201)


async def _find(found: Services, identifier: UUID, business_id: UUID | None) -> Row | None:
    if business_id is None:
        return await found.db.one("SELECT * FROM appointments WHERE id = %(id)s", id=identifier)
    return await found.db.one(
        "SELECT * FROM appointments WHERE id = %(id)s AND business_id = %(business)s",
        id=identifier,
        business=business_id,
    )


async def one(request: Request) -> Response:
    """Read, change or cancel an appointment of the token's business; one of another business does not exist."""
    found = services(request)
    identifier = _uuid(request.path_params["id"])
    who = await _admit(request, found)
    if isinstance(who, Response):
        if request.method == "GET" and who.status_code == 401 and on("appointments-open") and identifier:
            row = await _find(found, identifier, None)
            return _answer(row) if row is not None else refusal(404, "not_found")
        return who
    sees_all = request.method == "GET" and on("tenant-leak")
    row = await _find(found, identifier, None if sees_all else who.business_id) if identifier is not None else None
    if row is None or identifier is None:
        return refusal(404, "not_found")
    if request.method == "PATCH":
        return await _change(request, found, row)
    if request.method == "DELETE":
        return await _cancel(found, row)
    return _answer(row)


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


def _answer(row: Row) -> Response:
    return JSONResponse({"success": True, "appointment": _shown(row)})


async def _change(request: Request, found: Services, row: Row) -> Response:
    body = await read_object(request)
    fields = ("customer_name", "customer_phone", "service_type", "notes")
    texts = {name: text(body, name, required=False, most=2000) for name in fields}
    status = body.get("status")
    if status not in (None, "scheduled", "cancelled", "completed"):
        raise BadRequest("invalid_status")
    given = {
        "day": body.get("scheduled_date") or row["scheduled_date"].isoformat(),
        "start": body.get("start_time") or f"{row['start_time']:%H:%M}",
        "minutes": body.get("duration") or row["duration"],
    }
    moves = any(body.get(name) for name in ("scheduled_date", "start_time", "duration"))
    start, end, day, minutes = row["start_time"], row["end_time"], row["scheduled_date"], row["duration"]
    if moves:
        try:
            day, start, minutes = parse_slot(**given)
        except ValueError as error:
            raise BadRequest("invalid_slot") from error
        end = Wish("", None, day, start, minutes, None).end
    if on("patch-lost"):
        return _answer({**row, **{name: value for name, value in texts.items() if value}})
    async with found.db.transaction() as connection:
        is_scheduled = (status or row["status"]) == "scheduled"
        if is_scheduled and not await is_free(connection, row["business_id"], day, start, end, besides=row["id"]):
            return refusal(409, "slot_taken")
        cursor = await connection.execute(
            "UPDATE appointments SET customer_name = coalesce(%(customer_name)s, customer_name),"
            " customer_phone = coalesce(%(customer_phone)s, customer_phone),"
            " service_type = coalesce(%(service_type)s, service_type), notes = coalesce(%(notes)s, notes),"
            " status = coalesce(%(status)s, status), scheduled_date = %(day)s, start_time = %(start)s,"
            " end_time = %(end)s, duration = %(minutes)s, calendar_stale_at = clock_timestamp(), next_try_at = now(),"
            " tries = 0 WHERE id = %(id)s RETURNING *",
            {**texts, "status": status, "day": day, "start": start, "end": end, "minutes": minutes, "id": row["id"]},
        )
        changed = await cursor.fetchone()
    if changed is None:
        return refusal(404, "not_found")
    await _follow_in_calendar(found, changed)
    return _answer(changed)


async def _cancel(found: Services, row: Row) -> Response:
    """The row stays, as cancelled: the slot is free again and the history is kept."""
    changed = await found.db.one(
        "UPDATE appointments SET status = 'cancelled', calendar_stale_at = clock_timestamp(), next_try_at = now(),"
        " tries = 0 WHERE id = %(id)s RETURNING *",
        id=row["id"],
    )
    if changed is None:
        return refusal(404, "not_found")
    await _follow_in_calendar(found, changed)
    return _answer(changed)


async def _follow_in_calendar(found: Services, row: Row) -> None:
    owner = await tenants.by_id(found.db, row["business_id"])
    if owner is None or row["google_event_id"] is None:
        return
    found.background.start(found.calendar.follow(Business.of(owner), Appointment.of(row), row["calendar_stale_at"]))
