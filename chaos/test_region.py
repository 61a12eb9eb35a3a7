"""A region is lost: every provider of a booking is gone at once, and comes back. Nobody is turned away."""

from __future__ import annotations

from dialtone import experiment, fault

HOSTS = ["api.stripe.com", "api.telnyx.com", "oauth2.googleapis.com", "www.googleapis.com", "sandbox.upstash.io"]
LOST = [fault("refuse", host=host) for host in HOSTS]


@experiment(
    dependency="region",
    runbook="external-apis",
    severity="P0",
    needs=["webhooks.retell", "tenant", "journal", "requests.book", "providers.google", "books.event"],
    recover_within=25,
    catches=["fee-not-queued", "fee-outbox-not-drained"],
    smoke=True,
)
def test_booking_survives_a_lost_region(story, connected, book, reconciled):
    """While all of them are gone callers are booked; when they are back all is made up for, once."""
    tenant = connected(expired=True)
    story.steady("a booking works", lambda: book(tenant).success)

    with story.fault(*LOST):
        # Nobody is just being sent a message: one that is in doubt is not sent again (test_telnyx.py).
        callers = story.load("callers", lambda: book(tenant))
        story.fallback("callers get their appointments", lambda: len(story.during_fault(callers)) >= 3, within=30)
        story.fallback("all of them", all(sample.good for sample in story.during_fault(callers)))
        story.alert("sentry", names=["stripe"])
        story.alert("slack", names=["stripe"], about=tenant["id"], once=False)

    story.recovered("a caller books", lambda: book(tenant).success)
    story.ledger(reconciled)
