"""The two records that the business path hands around: whose appointment, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialtone_receptionist.database import Row


@dataclass(frozen=True, slots=True, repr=False)
class Business:
    """A tenant, as far as a booking needs it. No `repr`: customers' data."""

    id: UUID
    name: str
    phone_number: str | None
    timezone: str
    stripe_customer_id: str | None
    calendar_connected: bool

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row with the columns of `businesses`."""
        return cls(
            row["id"],
            row["business_name"],
            row["phone_number"],
            row["timezone"],
            row["stripe_customer_id"],
            row["calendar_connected"],
        )


@dataclass(frozen=True, slots=True, repr=False)
class Appointment:
    """An appointment. No `repr`: customers' data."""

    id: UUID
    business_id: UUID
    customer_name: str
    customer_phone: str | None
    day: date
    start: time
    end: time
    service_type: str | None
    status: str = "scheduled"

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row with the columns of `appointments`."""
        return cls(
            row["id"],
            row["business_id"],
            row["customer_name"],
            row["customer_phone"],
            row["scheduled_date"],
            row["start_time"],
            row["end_time"],
            row["service_type"],
            row["status"],
        )

    @property
    def event_id(self) -> str:
        """The id of its calendar event, derived, so that a repeated write cannot make a second one.

        Google wants 5 to 1024 characters of base32hex (0-9, a-v): hexadecimal digits are among them.
        """
        return f"b{self.id.hex}"

    def event(self, timezone: str) -> dict[str, Any]:
        """The event as the calendar API takes it; local times of the business."""
        return {
            "id": self.event_id,
            "summary": f"{self.service_type or 'Appointment'}: {self.customer_name}",
            "description": f"Booked by phone. Customer: {self.customer_phone or 'unknown'}",
            "start": {"dateTime": datetime.combine(self.day, self.start).isoformat(), "timeZone": _known(timezone)},
            "end": {"dateTime": datetime.combine(self.day, self.end).isoformat(), "timeZone": _known(timezone)},
        }


def _known(timezone: str) -> str:
    try:
        return ZoneInfo(timezone).key
    except (ZoneInfoNotFoundError, ValueError):
        return "UTC"
