"""Windows in local time, over a change of the clocks; silences that end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone.incidents.silence import Silence, lapsed, maintained, quiet_until, window
from dialtone.target.alerting import WEEKDAYS

from .conftest import NOON, alerting


def at(text: str) -> float:
    """A time of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("moment", "begin", "end"),
    [
        ("2026-03-28 02:30", "2026-03-28 02:00", "2026-03-28 04:00"),  # the day before: 03:00 to 05:00 CET
        ("2026-03-29 02:30", "2026-03-29 01:00", "2026-03-29 03:00"),  # the clocks went on: 03:00 to 05:00 CEST
        ("2026-10-25 02:30", "2026-10-25 02:00", "2026-10-25 04:00"),  # the clocks went back: CET again
    ],
)
def test_a_window_keeps_its_local_hour(moment, begin, end):
    """03:00 to 05:00 in Berlin, whatever UTC says."""
    assert window("03:00-05:00", "Europe/Berlin", WEEKDAYS, at(moment)) == (at(begin), at(end))


def test_a_beginning_that_the_clocks_skip():
    """02:30 does not exist on that night: the window begins half an hour after the gap, and lasts to its end."""
    assert window("02:30-04:00", "Europe/Berlin", WEEKDAYS, at("2026-03-29 01:45")) == (
        at("2026-03-29 01:30"),
        at("2026-03-29 02:00"),
    )


def test_an_hour_that_comes_twice():
    """From the first 02:30 on: the window is an hour longer that night."""
    found = window("02:30-04:00", "Europe/Berlin", WEEKDAYS, at("2026-10-25 01:00"))
    assert found == (at("2026-10-25 00:30"), at("2026-10-25 03:00"))


def test_over_midnight_it_belongs_to_the_day_of_its_beginning():
    """Sunday night reaches into Monday; Monday night is another."""
    assert window("22:00-07:00", "UTC", ["sun"], at("2026-06-01 06:00"))  # Monday morning
    assert window("22:00-07:00", "UTC", ["sun"], at("2026-06-01 23:00")) is None


@given(
    moment=st.floats(1.7e9, 2.0e9),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"]),
    span=st.sampled_from(["22:00-07:00", "02:00-03:00", "00:00-12:00", "01:30-01:45"]),
)
def test_whoever_is_in_a_window_is_between_its_ends(moment, zone, span):
    """And it is never longer than a day and an hour."""
    found = window(span, zone, WEEKDAYS, moment)
    if found:
        assert found[0] <= moment < found[1]
        assert 0 < found[1] - found[0] <= 25 * 3600


def test_an_expired_window_says_so():
    """It is no window any more, and there is a sentence for people."""
    windows = {
        "w": {"at": "00:00-23:59", "timezone": "UTC", "until": "2026-06-02T00:00:00Z", "reason": "r", "owner": "ada"}
    }
    found = alerting(maintenance=windows).maintenance
    assert maintained(found, "production", "x", NOON) == ("w", at("2026-06-01 23:59"))
    assert lapsed(found, NOON) == []
    assert maintained(found, "production", "x", NOON + 86_400) is None
    assert lapsed(found, NOON + 86_400) == ["maintenance w ended on 2026-06-02: renew it with ada, or remove it (r)"]


def test_a_silence_ends():
    """It covers what fits, from its beginning to its end."""
    one = Silence("s", "production", "calendar*", NOON + 60, "r", "ada", NOON)
    assert one.covers("production", "calendar_sync", NOON + 59)
    assert not one.covers("production", "calendar_sync", NOON + 60)
    assert not one.covers("production", "health", NOON)
    assert not one.covers("preview", "calendar_sync", NOON)


def test_no_quiet_hours():
    """Where none are given nothing waits."""
    assert quiet_until(None, NOON) is None
    assert quiet_until(alerting().on_call, NOON) is None
