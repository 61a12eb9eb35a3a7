"""When an appointment can be: the grid of a day, what is taken, and storing one where nothing is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4

from dialtone_receptionist.database import Connection, Database
from dialtone_receptionist.defects import on
from dialtone_receptionist.records import Appointment

OPENS, CLOSES = time(9), time(17)
GRID = timedelta(minutes=30)
MOST_MINUTES = 8 * 60


class SlotTaken(Exception):
    """Another scheduled appointment overlaps with the wish."""


class AlreadyBooked(Exception):
    """The same tool call has been here before. Carries the appointment that it made."""

    def __init__(self, appointment_id: UUID) -> None:
        super().__init__("this tool call has made its appointment")
        self.appointment_id = appointment_id


@dataclass(frozen=True, slots=True, repr=False)
class Wish:
    """What a caller or a user asks for. No `repr`: customers' data."""

    customer_name: str
    customer_phone: str | None
    day: date
    start: time
    minutes: int
    service_type: str | None
    notes: str | None = None

    @property
    def end(self) -> time:
        """The end of the appointment; on the same day, see `parse_slot`."""
        return (datetime.combine(self.day, self.start) + timedelta(minutes=self.minutes)).time()


def parse_slot(day: object, start: object, minutes: object = None) -> tuple[date, time, int]:
    """Read `YYYY-MM-DD`, `HH:MM` and a length (60 minutes by default); raises ValueError with what is wrong.

    Yesterday is allowed: it is still today somewhere west of the server.
    """
    if not isinstance(day, str) or not isinstance(start, str):
        raise ValueError("date and time are needed")  # noqa: TRY004  # a wrong argument, whatever its type
    when = date.fromisoformat(day)
    at = time.fromisoformat(start)
    length = 60 if minutes is None else minutes
    if not isinstance(length, int) or not 0 < length <= MOST_MINUTES:
        raise ValueError("duration is not a number of minutes")
    if at.tzinfo is not None or at.second or at.microsecond:
        raise ValueError("time is not HH:MM")
    if when < datetime.now(UTC).date() - timedelta(days=1):
        raise ValueError("date is in the past")
    if (datetime.combine(when, at) + timedelta(minutes=length)).date() != when:
        raise ValueError("the appointment would end on another day")
    return when, at, length


async def is_free(
    connection: Connection, business_id: UUID, day: date, start: time, end: time, besides: UUID | None = None
) -> bool:
    """Whether no scheduled appointment overlaps; `besides` is left out of account.

    Locks the business until the end of the transaction, so that of two wishes at once one sees the other. The row lock
    is one that inserts of its appointments (foreign keys) do not wait for.
    """
    if not on("slot-checked-then-inserted"):
        await connection.execute("SELECT FROM businesses WHERE id = %s FOR NO KEY UPDATE", (business_id,))
    cursor = await connection.execute(
        "SELECT FROM appointments WHERE business_id = %s AND scheduled_date = %s AND status = 'scheduled'"
        " AND start_time < %s AND end_time > %s AND id IS DISTINCT FROM %s LIMIT 1",
        (business_id, day, end, start, besides),
    )
    is_there = await cursor.fetchone() is not None
    if on("slot-checked-then-inserted"):
        await asyncio.sleep(0.1)
    return not is_there


async def store(connection: Connection, business_id: UUID, wish: Wish, tool_call_key: str | None = None) -> Appointment:
    """Store an appointment; raises `SlotTaken`, and `AlreadyBooked` for a tool call that made one before."""
    if tool_call_key is not None:
        cursor = await connection.execute("SELECT id FROM appointments WHERE tool_call_key = %s", (tool_call_key,))
        if (row := await cursor.fetchone()) is not None:
            raise AlreadyBooked(row["id"])
    if not await is_free(connection, business_id, wish.day, wish.start, wish.end):
        if tool_call_key is not None:  # the same tool call may have been committed while this one waited for the lock
            cursor = await connection.execute("SELECT id FROM appointments WHERE tool_call_key = %s", (tool_call_key,))
            if (row := await cursor.fetchone()) is not None:
                raise AlreadyBooked(row["id"])
        raise SlotTaken
    appointment = Appointment(
        uuid4(), business_id, wish.customer_name, wish.customer_phone, wish.day, wish.start, wish.end, wish.service_type
    )
    await connection.execute(
        "INSERT INTO appointments (id, business_id, customer_name, customer_phone, scheduled_date, start_time,"
        " end_time, duration, service_type, notes, tool_call_key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            appointment.id,
            business_id,
            wish.customer_name,
            wish.customer_phone,
            wish.day,
            wish.start,
            wish.end,
            wish.minutes,
            wish.service_type,
            wish.notes,
            tool_call_key,
        ),
    )
    return appointment


async def free_slots(db: Database, business_id: UUID, day: date, minutes: int = 30) -> list[str]:
    """Where on the half-hour grid of a day an appointment of that length would still fit, as `HH:MM`."""
    rows = await db.all(
        "SELECT start_time, end_time FROM appointments WHERE business_id = %(business)s AND scheduled_date = %(day)s"
        " AND status = 'scheduled'",
        business=business_id,
        day=day,
    )
    taken = [] if on("availability-blind") else [(row["start_time"], row["end_time"]) for row in rows]
    slots = []
    start, close = datetime.combine(day, OPENS), datetime.combine(day, CLOSES)
    while (end := start + timedelta(minutes=minutes)) <= close:
        if all(end.time() <= begins or start.time() >= ends for begins, ends in taken):
            slots.append(f"{start:%H:%M}")
        start += GRID
    return slots
