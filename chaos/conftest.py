"""What experiments share: callers who book, what they were promised, and how the application is made to call everybody.

Policy of this suite, as `conftest.py` above; the fixtures of the engine come from the plugin `dialtone`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
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
    """`book(tenant)`: a caller books the next free hour; what the caller is told is a promise."""
    hours: dict[str, Iterator[tuple[int, str]]] = {}

    def make(tenant: Mapping[str, Any]) -> Any:
        free = hours.setdefault(str(tenant["id"]), _hours())
        days, at = next(free)
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


def _hours() -> Iterator[tuple[int, str]]:
    return ((day, f"{hour:02d}:00") for day in itertools.count(3) for hour in range(9, 17))


@pytest.fixture
def connected(tenants, target):
    """`connected()`: a tenant whose calendar is connected; `expired=True` with a token that has to be refreshed."""

    def make(*, expired: bool = False, **fields: Any) -> Any:
        token = "ya29.dialtone-expired" if expired else access_token(target, "google")
        grant = target.secret("google_refresh_token")
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
def canaries(book, connected, hook, http, target, run):
    """A booking, a call and an error of a page: together they call every provider."""

    def ring() -> None:
        voice = hook("telnyx_voice", connected())
        voice.send(voice.event())

    def trouble() -> None:
        told = body(target.request("client_error"), {"mark": run.id(), "severity": "critical"})
        http.post(target.route("client_error"), content=told, headers={"content-type": "application/json"})

    return {
        "a booking": lambda: book(connected(expired=True)),
        "a call": ring,
        "an error of a page": trouble,
        "sandbox.supabase.co": None,  # it speaks to Postgres itself
    }
