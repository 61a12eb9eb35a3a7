"""When matching incidents are kept but tell nobody: silences by hand, and maintenance windows that recur.

Both have an end, a reason and an owner. A window is given in the local time of its zone, so that it keeps its hour when
the clocks change: where the local beginning is skipped it begins at the first moment after the gap, where it comes
twice at the first of the two (PEP 495, fold=0).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as Clock
from zoneinfo import ZoneInfo

from dialtone.incidents.grouping import matches
from dialtone.target.alerting import WEEKDAYS, Maintenance, OnCall, times


@dataclass(frozen=True, slots=True)
class Silence:
    """Until `until` (seconds since 1970) nobody is told of incidents whose cause fits `pattern`."""

    id: str
    target: str
    pattern: str
    until: float
    reason: str
    owner: str
    begun: float = 0.0

    @property
    def words(self) -> str:
        """What is said when it is over."""
        return f"the silence of {self.pattern} by {self.owner} has ended: {self.reason}"

    def covers(self, target: str, cause: str, at: float) -> bool:
        """Whether it applies."""
        return self.begun <= at < self.until and matches(target, [self.target]) and matches(cause, [self.pattern])


def moment(day: date, clock: Clock, zone: tzinfo) -> float:
    """Seconds since 1970 of a local time. One that the clocks skip is as long after midnight as it would have been."""
    return datetime.combine(day, clock, zone).astimezone(UTC).timestamp()


def window(span: str, zone: str, days: Iterable[str], at: float) -> tuple[float, float] | None:
    """Beginning and end of the recurring window that `at` lies in, or None. The day is that of the beginning."""
    begin, end = times(span)
    local = ZoneInfo(zone)
    today = datetime.fromtimestamp(at, local).date()
    for day in (today - timedelta(days=1), today):
        if WEEKDAYS[day.weekday()] not in days:
            continue
        since = moment(day, begin, local)
        until = moment(day if end > begin else day + timedelta(days=1), end, local)
        if since <= at < until:
            return since, until
    return None


def maintained(windows: Mapping[str, Maintenance], target: str, cause: str, at: float) -> tuple[str, float] | None:
    """Name and end of a maintenance window that applies; None where none does, or it has not been renewed."""
    for name, one in windows.items():
        if at >= one.until.timestamp() or not matches(target, one.targets) or not matches(cause, one.checks):
            continue
        found = window(one.at, one.timezone, one.days, at)
        if found:
            return name, min(found[1], one.until.timestamp())
    return None


def lapsed(windows: Mapping[str, Maintenance], at: float) -> list[str]:
    """A sentence for each window that is over for good: it says so instead of being obeyed in silence."""
    return [
        f"maintenance {name} ended on {one.until:%Y-%m-%d}: renew it with {one.owner}, or remove it ({one.reason})"
        for name, one in windows.items()
        if at >= one.until.timestamp()
    ]


def quiet_until(on_call: OnCall | None, at: float) -> float | None:
    """When the quiet hours end that `at` lies in; None outside of them."""
    if on_call is None or on_call.quiet is None:
        return None
    found = window(on_call.quiet, on_call.timezone, WEEKDAYS, at)
    return found[1] if found else None
