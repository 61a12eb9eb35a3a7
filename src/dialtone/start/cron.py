"""How often a cron starts something: POSIX cron, as GitHub takes it.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/crontab.html: where day of month and day of week are both
restricted, either of them is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES = {
    name: number
    for names, first in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for number, name in enumerate(names.split(), first)
}


class CronError(ValueError):
    """An expression that is none."""


def starts_a_month(expression: str) -> float:
    """Starts in a twelfth of a year of 365 days."""
    fields = expression.split()
    if len(fields) != 5:
        raise CronError(f"{expression!r}: a cron has five fields")
    minutes, hours, days, months, weekdays = (set(_field(f, *r)) for f, r in zip(fields, _RANGES, strict=True))
    weekdays = {day % 7 for day in weekdays}
    either = fields[2] != "*" and fields[4] != "*"
    count = 0
    for number in range(365):
        day = date(2026, 1, 1) + timedelta(number)
        fits = (day.day in days, day.isoweekday() % 7 in weekdays)
        count += day.month in months and (any(fits) if either else all(fits))
    return count * len(minutes) * len(hours) / 12


def _field(text: str, low: int, high: int) -> Iterator[int]:
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            begin = low if span == "*" else _number(first)
            end = high if span == "*" or (step and not dash) else _number(last) if dash else begin
            every = int(step) if step else 1
        except (ValueError, KeyError):
            raise CronError(f"{text!r} is no field of a cron") from None
        if not (low <= begin <= end <= high and every >= 1):
            raise CronError(f"{text!r} is outside of {low} to {high}")
        yield from range(begin, end + 1, every)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NAMES[text.lower()]
