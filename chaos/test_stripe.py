"""Stripe fails: the caller's appointment is not lost, the fee is charged once, later, and somebody hears of it."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "api.stripe.com"
NEEDS = ["webhooks.retell", "tenant", "journal", "requests.book", "books.charge", "routes.jobs", "cron"]
PATIENCE = 4.0  # seconds that a caller waits for an answer at most
LOST = ["fee-not-queued", "fee-outbox-not-drained"]
TOLD = ["alert-missing-stripe", "alert-floods"]


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P0",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "unavailable": fault("stripe.any.unavailable"),
        "gone": fault("refuse", host=HOST),
        "silent": fault("hang", host=HOST),
        "page": fault("html", host=HOST),
        "key-revoked": fault("stripe.any.key_revoked"),
    },
    catches={
        "unavailable": [*LOST, *TOLD],
        "gone": [*LOST, *TOLD],
        "silent": [*LOST, *TOLD, "no-timeout-stripe"],
        "page": [*LOST, *TOLD, "page-taken-for-charge"],
        "key-revoked": [*LOST, *TOLD],
    },
)
def test_booking_survives_stripe(story, fault, tenants, book, reconciled, served):
    """While Stripe fails every call still books; the team hears of the failed fee; each fee is charged once."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))

    callers = story.load("callers", lambda: book(tenant), most=12)
    with story.fault(fault):
        story.fallback("callers get their appointments", lambda: len(story.during_fault(callers)) >= 3, within=15)
        served = story.during_fault(callers)
        story.fallback("all of them, and soon", all(s.good and s.seconds < PATIENCE for s in served))
        story.alert("sentry", names=["stripe"], about=tenant["id"])
        story.alert("slack", names=["stripe"], about=tenant["id"])

    story.recovered("a caller books", lambda: book(tenant).success)
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P0",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "once": fault("in-doubt", host=HOST, method="POST", nth=1, says="the answer to a charge is lost"),
        "always": fault("in-doubt", host=HOST, method="POST", says="every answer of Stripe is lost"),
    },
    catches={
        "once": ["fee-no-idempotency-key"],
        "always": ["fee-no-idempotency-key", *LOST],
    },
)
def test_a_lost_answer_is_charged_once(story, fault, tenants, book, reconciled, served):
    """Stripe charges and its answer never comes: asked again with the same key, nobody pays twice."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        story.fallback("the caller gets the appointment", book(tenant).success)
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={"slow": fault("latency", host=HOST, seconds=1.3)},
    catches=["booking-waits-for-all", "tool-retry-charges", "no-timeout-stripe"],
)
def test_a_slow_stripe_costs_the_caller_a_moment(story, fault, tenants, book, reconciled, hook, served):
    """Stripe takes seconds for a charge: the caller does not, and a tool call sent again is charged once."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        callers = story.load("callers", lambda: book(tenant), most=2)
        story.fallback("callers are answered", lambda: len(callers.samples) == 2, within=20)
        story.fallback("before the fee is through", all(s.good and s.seconds < PATIENCE for s in callers.samples))
        again = callers.samples[-1].got
        retell = hook("retell", tenant)
        story.fallback(
            "a repeated tool call has the same answer", retell.send(again.event).json() == again.answer.json()
        )
    story.ledger(reconciled)
    story.silence("slack", "mail", about=tenant["id"])


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={"limited": fault("rate-limit", host=HOST, retry_after=2)},
    catches=["retry-after-ignored", "no-backoff", "retry-storm", "no-timeout-stripe", "alert-missing-stripe", *LOST],
)
def test_stripe_is_left_alone_as_long_as_it_asks(story, fault, tenants, book, reconciled, cron, served):
    """Stripe answers 429 and says for how long: nobody asks before, however often the background job runs."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        story.fallback("the caller gets the appointment", book(tenant).success)
        for _ in range(4):
            cron("jobs")
        story.fallback("Stripe was asked once or twice", story.acted() <= 2)
        story.alert("slack", names=["stripe", "429"], about=tenant["id"])
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="payments",
    severity="P1",
    needs=NEEDS,
    faults={"declined": fault("stripe.charges.card_declined", path="/v1/invoices/*/pay")},
    catches=["declined-retried", "alert-missing-stripe"],
)
def test_a_declined_card_is_taken_for_an_answer(story, fault, tenants, book, cron, served):
    """A card is declined: the appointment stands, the team hears of it, and the card is not tried again and again."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        story.fallback("the caller gets the appointment", book(tenant).success)
        story.alert("slack", names=["stripe", "402"], about=tenant["id"])
        for _ in range(3):
            cron("jobs")
        story.fallback("the card was tried once", story.acted() == 1)
    story.recovered("a caller books", lambda: book(tenant).success)


@experiment(
    dependency="stripe",
    runbook="external-apis",
    severity="P1",
    needs=NEEDS,
    recover_within=15,
    alert_within=15,
    faults={"silent": fault("hang", host=HOST)},
    catches=[
        *("breaker-never-opens", "breaker-never-closes", "alert-never-resolved"),
        *("no-timeout-stripe", *TOLD, *LOST),
    ],
)
def test_a_dead_stripe_is_not_waited_for(story, fault, tenants, book, reconciled, served):
    """Stripe is silent for longer: soon hardly any caller waits for it; when it is back, people hear that too."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        lines = [story.load(f"line {n}", lambda: book(tenant), most=40) for n in (1, 2, 3)]
        story.fallback("soon hardly anybody waits", lambda: _hardly_anybody_waits(lines), within=15)
        story.alert("slack", names=["stripe is down", "fees"])
    story.resolved("slack", names=["resolved", "stripe"])
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="database",
    severity="P1",
    needs=[*NEEDS, "queries.booked_slots"],
    faults={"slow": fault("latency", host=HOST, seconds=0.3)},
    catches=["slot-checked-then-inserted"],
)
def test_one_hour_is_sold_once(story, fault, tenants, served, book_at, at_once, db, target):
    """Bookings take long, and callers want the same hour at the same moment: one of them gets it."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        booked = at_once(lambda _: book_at(tenant, "10:00"), *range(6))
        story.fallback("all are answered", all(booking.answer.ok for booking in booked))
        story.fallback("one of them gets the hour", sum(booking.success for booking in booked) == 1)
    rows = db.rows(target.query("booked_slots"), {"id": tenant["id"]})
    story.fallback("it stands in the book once", sum("10:00" in row["slot"] for row in rows) == 1)
    story.recovered("another hour can be had", lambda: book_at(tenant, "11:00").success)


def _hardly_anybody_waits(lines):
    latest = sorted((s for line in lines for s in line.samples), key=lambda s: s.at)[-8:]
    return len(latest) == 8 and sum(s.seconds < 1 for s in latest) >= 5
