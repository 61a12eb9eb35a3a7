"""Stripe fails: the caller's appointment is not lost, the fee is charged once, later, and somebody hears of it."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "api.stripe.com"


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P0",
    needs=["webhooks.retell", "tenant", "journal", "requests.book", "books.charge"],
    recover_within=15,
    catches=["fee-not-queued", "fee-outbox-not-drained", "alert-missing-stripe"],
    smoke=True,
    faults={
        "unavailable": fault("stripe.any.unavailable"),
        "gone": fault("refuse", host=HOST),
    },
)
def test_booking_survives_stripe(story, fault, tenants, book, reconciled):
    """While Stripe fails every call still books; the team hears of the failed fee; each fee is charged once."""
    tenant = tenants()
    story.steady("a booking works", lambda: book(tenant).success)

    callers = story.load("callers", lambda: book(tenant))
    with story.fault(fault):
        story.fallback("callers get their appointments", lambda: len(story.during_fault(callers)) >= 3, within=10)
        story.fallback("all of them", all(sample.good for sample in story.during_fault(callers)))
        story.alert("sentry", names=["stripe"], about=tenant["id"])
        story.alert("slack", names=["stripe"], about=tenant["id"], once=False)

    story.recovered("a caller books", lambda: book(tenant).success)
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P0",
    needs=["webhooks.retell", "tenant", "journal", "requests.book", "books.charge"],
    faults={
        "reset": fault("in-doubt", host=HOST, method="POST", nth=1, says="the answer to a charge is lost"),
    },
    catches=["fee-no-idempotency-key"],
    smoke=True,
)
def test_a_lost_answer_is_charged_once(story, fault, tenants, book, reconciled):
    """Stripe charges and its answer never comes: asked again with the same key, nobody pays twice or hears of it."""
    tenant = tenants()
    story.steady("a booking works", lambda: book(tenant).success)
    with story.fault(fault):
        story.fallback("the caller gets the appointment", book(tenant).success)
    story.ledger(reconciled)
    story.silence("slack", "mail", about=tenant["id"])
