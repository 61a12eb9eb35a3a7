"""When an event takes place, read as the Calendar API reads `start` and `end`.

Either `date`, or `dateTime` by RFC 3339 with an offset or with `timeZone` beside it
(https://developers.google.com/workspace/calendar/api/v3/reference/events).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def span(event: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Start and end of an event. Raises ValueError with Google's words for what is missing."""
    return _moment(event["start"], "start"), _moment(event["end"], "end")


def instant(text: str) -> datetime:
    """A time with an offset. Raises ValueError for anything else."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no offset")
    return at


def _moment(told: Mapping[str, Any], which: str) -> datetime:
    text = told.get("dateTime") or told.get("date")
    if not isinstance(text, str):
        raise ValueError(f"Missing {which} time.")  # noqa: TRY004 - what was sent is wrong, not the caller's code
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"Invalid value for: {which}") from None
    if at.tzinfo is not None:
        return at
    if "dateTime" not in told:
        return at.replace(tzinfo=UTC)
    zone = told.get("timeZone")
    if not isinstance(zone, str) or not zone:
        raise ValueError(f"Missing time zone definition for {which} time.")
    try:
        return at.replace(tzinfo=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"Invalid time zone definition for {which} time.") from None
