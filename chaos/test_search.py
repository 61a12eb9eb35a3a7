"""Whatever happens in whatever order: nobody is lost, nobody is charged twice, and no hour is given to two."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from dialtone import eventually, experiment, fail, fault
from dialtone.drill import Act

FAULTS = {
    "Stripe charges and its answer is lost": fault("in-doubt", host="api.stripe.com", method="POST", nth=1),
    "Stripe is unavailable": fault("stripe.any.unavailable"),
    "the calendar writes and its answers are lost": fault("in-doubt", host="www.googleapis.com", method="POST"),
    "the calendar is unavailable": fault("google.calendar.backend"),
    "Google's tokens are slow": fault("latency", host="oauth2.googleapis.com", seconds=0.6),
    "Postgres is away": fault("refuse", host="postgres"),
    "Postgres is slow": fault("latency", host="postgres", seconds=0.05),
    "Telnyx is unavailable": fault("telnyx.any.unexpected"),
    "Redis is away": fault("refuse", host="sandbox.upstash.io"),
}
# A drill runs these; `dialtone drill search` draws others, from nothing.
KNOWN = [
    (Act("a caller books", ("Stripe charges and its answer is lost",)),),
    (Act("the agent sends a booking again"),),
]
NEEDS = [
    "webhooks.retell",
    "webhooks.stripe",
    "tenant",
    "journal",
    "requests.book",
    "books.charge",
    "cron",
    "credentials.google_rotating_token",
]


@experiment(
    dependency="schedules",
    runbook="external-apis",
    severity="P1",
    needs=NEEDS,
    recover_within=60,
    catches=["fee-no-idempotency-key", "tool-retry-charges"],
)
def test_no_schedule_breaks_the_books(search, book, at_once, connected, hook,
                                      reconciled, run, journal, callers, target):  # fmt: skip
    """Schedules of faults, customers and deliveries, as a seed draws them."""
    told: list[Any] = []
    grants: list[Any] = []

    def begin():
        visitor = callers(run.id())  # whoever asks all the time from one address is limited
        for _ in range(4):  # each process has its database back: no story begins in the last one's trouble
            eventually(lambda: visitor.get(target.route("health")).ok, bool, within=5, sleep=_a_moment)
        told.clear()
        grants.clear()
        tenant, booked = connected(), []

        def books():
            booked.append(book(tenant))

        def asks_again():
            hook("retell", tenant).send((booked or [book(tenant)])[-1].event)

        def one_hour():
            if sum(booking.success for booking in at_once(lambda _: book(tenant, (30, "10:00")), *range(4))) > 1:
                fail("one hour was given to two callers")

        def expired():
            grant = f"{target.secret('google_rotating_token')}-{run.id()}"
            grants.append(grant)
            at_once(book, *[connected(expired=True, grant=grant)] * 4)

        def payment():
            stripe = hook("stripe", tenant)
            event = stripe.event()
            told.append((stripe, event))
            stripe.send(event)

        return {
            "a caller books": books,
            "four callers want one hour": one_hour,
            "callers book while the token has expired": expired,
            "Stripe tells of a payment": payment,
            "the agent sends a booking again": asks_again,
        }

    def after():
        """Stripe delivers until it hears yes; what was taken has its effect."""
        for stripe, event in told:
            if not eventually(partial(_taken, stripe, event), bool, within=8):
                fail("an event of Stripe's is refused for good")
            if not eventually(partial(_once, stripe, event), bool, within=2):
                fail("an event of Stripe's was taken and has no effect")

        if grants and eventually(lambda: any(_refused(journal, g) for g in grants), bool, within=1.5):
            fail("Google refused a grant that is good: its token was used twice")

    search(begin, FAULTS, reconciled, known=KNOWN, after=after, within=8)


def _a_moment(pause):
    time.sleep(max(pause, 0.25))


def _taken(hook, event):
    return hook.accepted(hook.send(event))


def _once(hook, event):
    return all(times == 1 for times in hook.effects(event).values())


def _refused(journal, grant):
    return [entry for entry in journal.requests(provider="google_oauth", contains=grant) if entry["status"] == 400]
