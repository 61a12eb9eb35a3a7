"""Payment processing (P0): payments succeed, each once, and Stripe's own record of us is clean."""

from __future__ import annotations

import time

from dialtone import check, eventually, expect, fail, ok, pick, undecided
from dialtone.template import fill


@check(
    severity="P0",
    runbook="payments",
    objective="payment_success",
    catches=["payments-failing"],
    needs=["database", "indicators.payment_success"],
    requests=0,
)
def test_payment_success_rate(indicator):
    """Of the payments of the window, nearly all succeeded."""
    indicator("payment_success", what="payments that succeeded")


@check(
    severity="P0",
    runbook="payments",
    catches=["stripe-endpoint-disabled"],
    needs=["providers.stripe.endpoints", "webhooks.stripe.route"],
    proof="observed",
    requests=0,
)
def test_stripe_endpoint_is_enabled(target, record):
    """Stripe still delivers to us: our endpoint is in its list, and not disabled."""
    told = record("stripe", target.provider("stripe").endpoints)
    route = target.webhook("stripe").route
    where = target.url(route).rstrip("/")
    ours = [e for e in pick(told, "data") or [] if str(e.get("url", "")).rstrip("/") == where]
    if not ours:
        fail(f"Stripe has no webhook endpoint for {route} of this target")
    if any(e.get("status") != "enabled" for e in ours):
        fail(f"Stripe has disabled the webhook endpoint for {route}: events stop without an error anywhere")
    ok("Stripe's endpoint is enabled")


@check(
    severity="P0",
    runbook="payments",
    objective="undelivered_age",
    catches=["stripe-undelivered"],
    needs=["providers.stripe.deliveries"],
    proof="observed",
    requests=0,
)
def test_stripe_events_are_delivered(target, record, objective):
    """No event waits at Stripe for longer than a retry or two explains."""
    told = record("stripe", target.provider("stripe").deliveries)
    waiting = [e for e in pick(told, "data") or [] if e.get("pending_webhooks", 0)]
    oldest = max((time.time() - float(e["created"]) for e in waiting), default=0.0) / 60
    objective.value(oldest, what="minutes that the oldest undelivered event waits", undelivered=len(waiting))


@check(
    severity="P1",
    runbook="payments",
    effect="costs",
    catches=["fee-doubled", "stripe-key-revoked"],
    needs=["webhooks.retell", "requests.book", "tenant", "providers.stripe", "values.stripe_charges"],
    requests=1,
    reads=80,  # looks until the charge is there, and whether a second one comes
)
def test_booking_charges_once(target, book, tenant, ask):
    """A booking is charged, and charged once: Stripe's own list of the customer's paid invoices has one."""
    booking = book(tenant).must_have_worked()
    path = fill(target.value("stripe_charges"), {"customer": tenant["stripe_customer_id"]})

    def paid():
        answer = ask("stripe", path)
        expect(answer).status(200)
        return [i for i in pick(answer.json(), "data") or [] if i.get("status") == "paid"]

    seen = eventually(paid, lambda found: len(found) >= 1, within=target.profile.settle)
    if not seen:
        fail(f"the booking was not charged within {target.profile.settle:g} s")
    seen = eventually(paid, lambda found: len(found) > 1, within=target.profile.quiet)
    if len(seen) > 1:
        fail(f"the booking was charged {len(seen)} times", value=len(seen), unit="count")
    ok(f"booking of {booking.date} charged once", value=1, unit="count")


@check(
    severity="P0",
    runbook="payments",
    effect="writes",
    proof="signed",
    catches=["invoice-not-activating"],
    needs=["webhooks.stripe", "tenant", "database", "queries.subscription"],
    requests=1,
)
def test_paid_invoice_activates_the_subscription(target, hook, tenants, db):
    """A business whose invoice was paid is active a moment later."""
    tenant = tenants(subscription="past_due")
    stripe = hook("stripe", tenant)
    event = stripe.event("genuine")
    answer = stripe.send(event)
    if not stripe.accepted(answer):
        undecided(f"the event is not accepted ({answer.status}); see webhook_accepts_genuine")
    if not all(stripe.await_effects(event).values()):
        undecided("the payment was not recorded; see webhook_acceptance_has_its_effect")
    status = eventually(
        lambda: db.value(target.query("subscription"), {"id": tenant["id"]}),
        lambda found: found in ("active", "trialing"),
        within=target.profile.settle,
    )
    if status not in ("active", "trialing"):
        fail("the invoice was paid and recorded, and the subscription is still not active")
    ok("a paid invoice activates the subscription")


@check(
    severity="P0",
    runbook="payments",
    objective="unpaid_activations",
    catches=["subscription-not-activated"],
    needs=["database", "queries.paid_and_inactive"],
    requests=0,
)
def test_nobody_who_pays_is_inactive(target, db, objective):
    """Nobody has a subscription that runs at Stripe and an account that does not."""
    seen = int(db.value(target.query("paid_and_inactive")) or 0)
    objective.value(float(seen), what="businesses that pay and are not active:")


@check(
    severity="P0",
    runbook="payments",
    effect="writes",
    catches=["stripe-price-archived"],
    needs=["providers.stripe", "requests.checkout", "values.checkout_open", "values.checkout_expire"],
    requests=0,
    reads=2,
)
def test_checkout_opens_and_expires(target, ask, run):
    """Stripe opens a checkout page for what customers buy, and closes it again: nobody pays, nothing is left."""
    values = {"run": run.token, "marker": run.marker, "id": run.id("checkout-"), "soon": int(time.time()) + 1860}
    opened = ask("stripe", target.value("checkout_open"), form=fill(target.request("checkout"), values))
    if 400 <= opened.status < 500:
        fail(f"Stripe opens no checkout page for what customers buy: it answers {opened.status}")
    expect(opened).status(200).json_field("status", "open")
    session = str(pick(opened.json(), "id"))
    closed = ask("stripe", fill(target.value("checkout_expire"), {"id": session}), form="")
    expect(closed).status(200).json_field("status", "expired")
    ok("a checkout page opens and expires")
