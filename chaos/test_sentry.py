"""Sentry is away: the service does not notice, and people hear of troubles by the other channels."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "sandbox.ingest.sentry.io"
STRIPE = fault("stripe.any.unavailable")
PATIENCE = 2.0  # seconds: a report must not make a caller wait


@experiment(
    dependency="sentry",
    runbook="alert-channels",
    severity="P2",
    needs=["webhooks.retell", "tenant", "journal", "requests.book", "books.charge", "routes.jobs", "cron"],
    recover_within=10,
    smoke=True,
    faults={
        "gone": fault("refuse", host=HOST),
        "silent": fault("hang", host=HOST),
        "unavailable": fault("sentry.envelope.unavailable"),
        "key-disabled": fault("sentry.envelope.disabled_key"),
    },
    catches=["sentry-needed", "alert-missing-stripe", "alert-floods", "fee-not-queued", "fee-outbox-not-drained"],
)
def test_nobody_needs_sentry(story, fault, tenants, book, report, journal, reconciled, served):
    """Stripe and Sentry fail: callers are booked soon, Slack hears of the fee, and each fee is charged later."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    story.steady("Sentry hears of an error", lambda: journal.wait(provider="sentry", contains=report(), within=2))
    with story.fault(fault, STRIPE):
        callers = story.load("callers", lambda: book(tenant), most=2)
        story.fallback("callers get their appointments", lambda: len(callers.samples) == 2, within=10)
        story.fallback("without waiting for a report", all(s.good and s.seconds < PATIENCE for s in callers.samples))
        report()
        story.alert("slack", names=["stripe"], about=tenant["id"])
    story.ledger(reconciled)
