"""What checks and experiments share: a customer who books an hour, and the scheduler. Policy, free of mechanism."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialtone import eventually
from dialtone.drill import Answer, Promise


@dataclass
class Customers:
    """Who booked in this test, in which shops, and what each was told."""

    promises: list[Promise] = field(default_factory=list)
    shops: list[Mapping[str, Any]] = field(default_factory=list)


@pytest.fixture
def customers() -> Customers:
    """Everybody who booked."""
    return Customers()


@pytest.fixture
def shop(tenants, customers, target):
    """`shop()`: a barber's shop with a calendar; `grant=…` is another one than Google knows."""

    def make(**fields: Any) -> Any:
        made = tenants(**{"grant": target.secret("grant"), **fields})
        customers.shops.append(made)
        return made

    return make


@dataclass(frozen=True)
class Booking:
    """What came of it."""

    answer: Any
    asked: Mapping[str, str]
    key: str

    @property
    def success(self) -> bool:
        """Whether the customer has the hour."""
        return bool(self.answer.status == 201)

    @property
    def id(self) -> str | None:
        """The booking's."""
        return self.answer.json()["booking"] if self.success else None


@pytest.fixture
def book(http, target, run, customers):
    """`book(shop)`: a customer books the next free half hour; `book(shop, again=booking)` asks for the same once more.

    What the customer is told is a promise; an error that may have come too late leaves it in doubt.
    """
    hours = itertools.count(48)

    def make(shop: Mapping[str, Any], again: Booking | None = None) -> Booking:
        if again is None:
            phone = "+1500" + f"{int(run.id()[-6:], 16):07d}"[-7:]
            at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(minutes=30 * next(hours))
            again = Booking(None, {"shop": shop["id"], "phone": phone, "at": at.isoformat()}, run.id())
        told, begun = Answer.DOUBT, time.time()
        try:
            headers = {"content-type": "application/json", "idempotency-key": again.key}
            answer = http.post(target.route("bookings"), content=json.dumps(again.asked), headers=headers)
            refused = 400 <= (answer.status or 0) < 500
            told = Answer.YES if answer.status == 201 else Answer.NO if refused else Answer.DOUBT
        finally:
            earlier = [p for p in customers.promises if p.key == again.asked["phone"]]
            for promise in earlier:
                customers.promises.remove(promise)
            if any(p.answer is Answer.YES for p in earlier):
                told = Answer.YES
            customers.promises.append(Promise("booking", again.asked["phone"], begun, told))
        return Booking(answer, again.asked, again.key)

    return make


@pytest.fixture
def scheduler(http, target):
    """`scheduler()`: the background job's turn."""
    return lambda: http.get(
        target.route("jobs"), headers={"authorization": f"Bearer {target.secret(target.profile.cron.key)}"}
    )


@pytest.fixture
def undone(customers, scheduler, db, target):
    """`undone()`: how many fees, texts and events still wait, after the scheduler's turn."""

    def count() -> int:
        scheduler()
        shops = [str(shop["id"]) for shop in customers.shops]
        return len(db.rows(target.query("retries"), {"tenants": shops}))

    return count


@pytest.fixture
def reconciled(books, customers, undone):
    """The ledger, once nothing waits: a fee that is asked for again may yet be one too many."""

    def look() -> Any:
        eventually(undone, lambda left: left == 0, within=8)
        return books.balance(customers.promises, *customers.shops, now=time.time())

    return look


@pytest.fixture
def canaries(book, tenants, customers, target):
    """A booking calls everybody but Slack; one of a shop whose calendar is gone has the team told.

    Nobody was promised anything: whether they are done or not is all the same to the ledger.
    """

    def call(grant: str) -> None:
        book(tenants(grant=grant))
        customers.promises[:] = [each._replace(answer=Answer.DOUBT) for each in customers.promises]

    return {
        "a booking": lambda: call(target.secret("grant")),
        "a booking of a shop that revoked its grant": lambda: call("1//revoked"),
        **dict.fromkeys(("sandbox.upstash.io", "sandbox.ingest.sentry.io", "smtp", "postgres")),
    }
