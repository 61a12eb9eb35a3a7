"""What experiments share: callers who book, what they were promised, and how the application is made to call everybody.

Policy of this suite, as `conftest.py` above; the fixtures of the engine come from the plugin `dialtone`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import pytest

from dialtone.drill import Answer, Promise
from dialtone.probes.provider import access_token
from dialtone.template import body


@dataclass
class Callers:
    """Who called in this experiment, and what each was told."""

    promises: list[Promise] = field(default_factory=list)
    tenants: list[Mapping[str, Any]] = field(default_factory=list)
    connected: set[str] = field(default_factory=set)


@pytest.fixture
def callers_so_far() -> Callers:
    """Everybody who booked in this experiment."""
    return Callers()


@pytest.fixture
def tenants(tenants, callers_so_far):
    """As the engine's; the books are read for each."""

    def make(**fields: Any) -> Any:
        made = tenants(**fields)
        callers_so_far.tenants.append(made)
        if fields.get("connected") == "true":
            callers_so_far.connected.add(made["id"])
        return made

    return make


@pytest.fixture
def book(book, number, callers_so_far):
    """`book(tenant)`: a caller books the next free hour, or a given one; what the caller is told is a promise."""
    hours: dict[str, Iterator[int]] = {}

    def make(tenant: Mapping[str, Any], hour: tuple[int, str] | None = None) -> Any:
        free = hours.setdefault(str(tenant["id"]), itertools.count())
        days, at = hour or _hour(next(free))  # several at once: a count may be asked by all, a generator may not
        caller, begun = number(), time.time()
        told = Answer.DOUBT
        try:
            booking = book(tenant, time=at, days=days, caller=caller)
            told = Answer.YES if booking.success else Answer.NO if booking.answer.ok else Answer.DOUBT
        finally:
            callers_so_far.promises.append(Promise("booking", caller, begun, told))
            if tenant["id"] in callers_so_far.connected:
                callers_so_far.promises.append(Promise("calendar", caller, begun, told))
        return booking

    return make


@pytest.fixture
def book_at(booking, hook):
    """`book_at(tenant, "10:00")`: a caller books an hour that others may want too."""

    def make(tenant: Mapping[str, Any], at: str) -> Any:
        return booking(hook("retell", tenant), tenant, lambda _: True, at, 4)

    return make


def _hour(number: int) -> tuple[int, str]:
    day, hour = divmod(number, 8)
    return 3 + day, f"{9 + hour:02d}:00"


@dataclass
class Ring:
    """A call that came in: the event that Telnyx sent, and whether the application took it."""

    event: Any
    taken: bool


@pytest.fixture
def ring(hook, callers_so_far):
    """`ring(tenant)`: a caller rings; an event that the application takes is a promise that the call is noted."""

    def make(tenant: Mapping[str, Any], event: Any = None) -> Ring:
        voice, begun = hook("telnyx_voice", tenant), time.time()
        event = event or voice.event()
        answer = voice.send(event)
        told = Answer.YES if voice.accepted(answer) else Answer.DOUBT
        callers_so_far.promises.append(Promise("call", event.values["object_id"], begun, told))
        return Ring(event, told is Answer.YES)

    return make


@pytest.fixture
def heard(journal):
    """`heard(call, "transfer", to="+1500…")`: the commands of a kind that Telnyx took for a call, within a moment."""

    def look(call: Ring, action: str, to: str | None = None, *, within: float = 4.0) -> Any:
        path = f"*/calls/{call.event.values['object_id']}/actions/{action}"
        return journal.wait(provider="telnyx", path=path, contains=to, within=within)

    return look


@pytest.fixture
def served(book, journal, callers_so_far):
    """`served(tenant)`: two callers after each other, who meet two processes, get all that belongs to a booking."""
    owed = {"stripe": "/v1/invoices/*/pay", "telnyx": "/v2/messages"}

    def done(providers: Mapping[str, str]) -> int:
        return sum(len(journal.wait(0, provider=name, path=path, within=0)) for name, path in providers.items())

    def look(tenant: Mapping[str, Any]) -> bool:
        events = {"google": "/calendar/v3/calendars/*/events"} if tenant["id"] in callers_so_far.connected else {}
        providers = {**owed, **events}
        for _ in range(2):
            before = done(providers)
            if not book(tenant).success or done(providers) - before < len(providers):
                return False
        return True

    return look


@pytest.fixture
def answered(ring, heard):
    """`answered(tenant)`: two calls after each other, which meet two processes, reach the agent."""
    return lambda tenant: all(heard(ring(tenant), "transfer", "sip:", within=1.5) for _ in range(2))


@pytest.fixture
def at_once():
    """`at_once(work, *cases)`: what came of a piece of work, done for all cases at the same moment."""

    def run(work: Callable[..., Any], *cases: Any) -> list[Any]:
        with ThreadPoolExecutor(max(1, len(cases))) as pool:
            return [each.result() for each in [pool.submit(copy_context().run, work, case) for case in cases]]

    return run


@pytest.fixture
def connected(tenants, target):
    """`connected()`: a tenant whose calendar is connected; `expired=True` with a token that has to be refreshed,
    by `grant` instead of the profile's."""

    def make(*, expired: bool = False, grant: str | None = None, **fields: Any) -> Any:
        token = "ya29.dialtone-expired" if expired else access_token(target, "google")
        grant = grant or target.secret("google_refresh_token")
        life = "-60" if expired else "3000"
        return tenants(connected="true", access_token=token, refresh_token=grant, token_life=life, **fields)

    return make


@pytest.fixture
def reconciled(books, callers_so_far, cron):
    """The ledger as it stands, after the background job has had its turn."""

    def look() -> Any:
        cron("jobs")
        return books.balance(callers_so_far.promises, *callers_so_far.tenants, now=time.time())

    return look


@pytest.fixture
def report(http, run, target):
    """`report()`: a visitor's browser reports a critical error; the mark in it, by which it is known."""

    def make() -> str:
        mark: str = run.id()
        content = body(target.request("client_error"), {"mark": mark, "severity": "critical"})
        http.post(target.route("client_error"), content=content, headers={"content-type": "application/json"})
        return mark

    return make


@pytest.fixture
def canaries(book, ring, connected, report):
    """A booking, a call and an error of a page: together they call every provider."""

    return {
        "a booking": lambda: book(connected(expired=True)),
        "a call": lambda: ring(connected()),
        "an error of a page": report,
        "sandbox.supabase.co": None,  # it speaks to Postgres itself
    }
