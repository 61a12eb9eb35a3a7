"""Circuit breakers, and the calls that go through them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone_receptionist.breakers import Breaker, Breakers
from dialtone_receptionist.providers.outgoing import Outgoing, OutgoingError, Repeat, retry_after


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@given(st.lists(st.one_of(st.booleans(), st.floats(0.1, 4)), max_size=60))
def test_a_breaker_is_open_after_failures_in_a_row_and_tries_one_call_at_a_time(steps: list[bool | float]) -> None:
    """Whatever comes: open means three failures in a row before, closed again by one answer, told once each."""
    clock, told = Clock(), list[tuple[str, str]]()
    breaker = Breaker("stripe", 3, 5.0, lambda name, why: told.append((name, why)), clock)
    in_a_row, opened_at = 0, None
    for step in steps:
        if not isinstance(step, bool):
            clock.now += step
            continue
        may = breaker.admits()
        assert may == (opened_at is None or clock.now >= opened_at + 5)
        if not may:
            continue
        assert opened_at is None or not breaker.admits()  # the one trial is on its way
        if step:
            breaker.succeeded()
            in_a_row, opened_at = 0, None
        else:
            breaker.failed("no answer")
            in_a_row += 1
            opened_at = clock.now if in_a_row >= 3 else None
        assert breaker.is_open == (opened_at is not None)
    assert [why for _, why in told] == [("no answer", "")[n % 2] for n in range(len(told))]


def test_a_cancelled_trial_is_none() -> None:
    """A call that was given up says nothing: the next one may try."""
    clock = Clock()
    breaker = Breaker("stripe", 1, 5.0, lambda *_: None, clock)
    breaker.failed("x")
    clock.now = 5
    assert breaker.admits()
    breaker.gave_up()
    assert breaker.admits()


def sent(
    answers: list[httpx.Response | Exception], repeat: Repeat, times: int = 1, **more: Any
) -> tuple[int, list[Any]]:
    """How many requests went out for so many calls, and what became of each call."""
    asked = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        answer = answers[min(asked, len(answers) - 1)]
        asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> list[Any]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        outgoing = Outgoing(context, httpx.MockTransport(handle), Breakers(**more))
        ended: list[Any] = []
        for _ in range(times):
            try:
                answer = await outgoing.call("stripe", "POST", "http://x.test/", total=5, repeat=repeat)
                ended.append(answer.status_code)
            except OutgoingError as error:
                ended.append(error.maybe_taken)
        await outgoing.close()
        return ended

    ended = asyncio.run(run())
    return asked, ended


@pytest.mark.parametrize(
    ("answers", "repeat", "requests", "end"),
    [
        ([httpx.Response(503), httpx.Response(200)], "always", 2, 200),
        ([httpx.Response(503), httpx.Response(200)], "unsent", 1, 503),
        ([httpx.Response(503), httpx.Response(200)], "never", 1, 503),
        ([httpx.ConnectError("refused"), httpx.Response(200)], "unsent", 2, 200),
        ([httpx.ReadError("reset"), httpx.Response(200)], "unsent", 1, True),
        ([httpx.ReadError("reset"), httpx.Response(200)], "always", 2, 200),
        ([httpx.ConnectError("refused")], "always", 3, False),
        ([httpx.Response(400)], "always", 1, 400),
        ([httpx.Response(429, headers={"retry-after": "60"}), httpx.Response(200)], "always", 1, 429),
        ([httpx.LocalProtocolError("a line break")], "never", 1, False),
    ],
)
def test_what_may_be_repeated_is(answers: list[Any], repeat: Repeat, requests: int, end: Any) -> None:
    """Within the budget, three times at most, and never what may have been taken unless that does no harm."""
    assert sent(answers, repeat) == (requests, [end])


def test_a_provider_that_is_down_is_left_alone() -> None:
    """After five calls that failed no request goes out any more; an error of our own, or a refusal, is no failure."""
    assert sent([httpx.Response(500)], "never", times=8)[0] == 5
    assert sent([httpx.ConnectError("refused")], "never", times=8, failures=2)[0] == 2
    for harmless in (httpx.Response(429), httpx.Response(402), httpx.LocalProtocolError("a line break")):
        assert sent([harmless], "never", times=8)[0] == 8


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), ("999999", 3600.0)],
)
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds; a date is not worth its parser; a day is an hour."""
    assert retry_after(httpx.Response(429, headers={"retry-after": value} if value else {})) == seconds


@pytest.mark.parametrize(("defect", "requests"), [("breaker-never-opens", 8), ("retry-storm", 40 * 5)])
def test_defects(switch: Callable[..., None], defect: str, requests: int) -> None:
    """Each is wrong in its one way."""
    switch(defect)
    assert sent([httpx.Response(503)], "always" if "storm" in defect else "never", times=8)[0] == requests


def test_a_breaker_that_never_closes_does_when_somebody_switches_anew(switch: Callable[..., None]) -> None:
    """The defect ends with its turn: the next experiment finds a provider that is asked again."""
    switch("breaker-never-closes")
    clock = Clock()
    breaker = Breaker("stripe", 1, 5.0, lambda *_: None, clock)
    breaker.failed("no answer")
    clock.now = 1000
    assert not breaker.admits()
    switch("breaker-never-closes")
    assert breaker.admits()


def test_a_breaker_that_is_open_is_closed_when_somebody_switches(switch: Callable[..., None]) -> None:
    """Nobody is told that the provider answers again: nobody has asked it."""
    switch()
    told: list[str] = []
    breaker = Breaker("stripe", 2, 5.0, lambda _, why: told.append(why), Clock())
    breaker.failed("no answer")
    breaker.failed("no answer")
    assert not breaker.admits()
    switch()
    assert breaker.admits()
    breaker.failed("one failure is not two")
    assert breaker.admits()
    breaker.failed("no answer")
    assert not breaker.admits()
    assert told == ["no answer", "no answer"]


@pytest.mark.parametrize("defect", ["breaker-never-opens", "breaker-never-closes"])
def test_the_defects_of_providers_breakers_spare_the_database(switch: Callable[..., None], defect: str) -> None:
    """Its breaker opens and closes as ever."""
    switch(defect)
    clock = Clock()
    breaker = Breaker("postgres", 1, 5.0, lambda *_: None, clock)
    breaker.failed("no answer")
    assert not breaker.admits()
    clock.now = 5
    assert breaker.admits()
