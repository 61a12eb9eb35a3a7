"""The database is away or slow: calls reach a human, nothing is promised that is not stored, all is made up for."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "postgres"
CALLS = ["webhooks.telnyx_voice", "tenant", "journal", "books.call"]
BOOKINGS = ["webhooks.retell", "tenant", "journal", "requests.book", "books.appointment"]
PATIENCE = 6.0  # seconds that a caller waits for an answer at most
CLAIMS = [
    *("calls-need-database", "alert-missing-postgres", "alert-never-resolved", "alert-floods", "postgres-no-reconnect"),
]
AWAY = {"gone": fault("refuse", host=HOST), "silent": fault("blackhole", host=HOST)}


@experiment(
    dependency="postgres",
    runbook="database",
    severity="P0",
    needs=CALLS,
    alert_within=15,
    recover_within=15,
    faults=AWAY,
    catches={
        "gone": CLAIMS,
        "silent": [*CLAIMS, "no-timeout-postgres"],
    },
    smoke=True,
)
def test_calls_reach_a_human_without_the_database(story, fault, tenants, ring, heard, reconciled, answered):
    """While Postgres is away callers are put through to the escalation phone; their calls are noted later."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenant))
    with story.fault(fault):
        calls = [ring(tenant) for _ in range(6)]
        story.fallback("Telnyx' events are taken", all(call.taken for call in calls))
        put_through = [bool(heard(call, "transfer", tenant["escalation_phone"], within=6)) for call in calls]
        story.fallback("every caller is put through to a human", all(put_through))
        story.alert("slack", names=["postgres is down"])
    story.resolved("slack", names=["resolved", "postgres"])
    story.recovered("a call reaches the agent again", lambda: heard(ring(tenant), "transfer", "sip:", within=2))
    story.ledger(reconciled)


@experiment(
    dependency="postgres",
    runbook="database",
    severity="P0",
    needs=BOOKINGS,
    recover_within=15,
    faults=AWAY,
    catches={
        "gone": ["database-away-says-yes", "postgres-no-reconnect"],
        "silent": ["database-away-says-yes", "postgres-no-reconnect", "no-timeout-postgres"],
    },
)
def test_nothing_is_promised_that_is_not_stored(story, fault, tenants, book, reconciled, served):
    """While Postgres is away the agent is told so, soon; nobody is promised an appointment that is not there."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenant))
    with story.fault(fault):
        callers = story.load("callers", lambda: book(tenant).answer.ok, most=5)
        story.fallback("the agent is answered", lambda: len(callers.samples) == 5, within=30)
        story.fallback("each time, and soon", all(s.good and s.seconds < PATIENCE for s in callers.samples))
    story.recovered("bookings work again", lambda: all(book(tenant).success for _ in range(4)))
    story.ledger(reconciled)


@experiment(
    dependency="postgres",
    runbook="database",
    severity="P1",
    needs=BOOKINGS,
    catches=["database-tried-once", "postgres-no-reconnect"],
)
def test_a_broken_connection_costs_no_booking(story, faults, tenants, book, reconciled, served):
    """Connections to Postgres break: each tool call is tried once more, and callers are booked."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenant))
    breaking = faults.put("reset", after=2500, match={"host": HOST})
    with story.fault(breaking, says="each connection to Postgres breaks after a while"):
        with story.fault(AWAY["gone"], says="Postgres restarts, so that all connections are new"):
            story.fallback("the agent is answered", book(tenant).answer.ok)
        booked = [book(tenant) for _ in range(16)]
        story.fallback("callers get their appointments", all(booking.success for booking in booked[2:]))
    story.recovered("a booking works", lambda: book(tenant).success)
    story.ledger(reconciled)


@experiment(
    dependency="postgres",
    runbook="webhooks",
    severity="P0",
    needs=["webhooks.stripe", "webhooks.telnyx_sms", "tenant", "journal"],
    recover_within=15,
    faults=AWAY,
    catches=["webhook-swallows-errors", "claim-before-processing", "postgres-no-reconnect"],
)
def test_what_cannot_be_stored_is_delivered_again(story, fault, tenants, hook):
    """While Postgres is away webhooks are refused, so that they come again; then each has its effect, once."""
    tenant = tenants()
    hooks = {name: hook(name, tenant) for name in ("stripe", "telnyx_sms")}
    story.steady("a payment is recorded", lambda: _delivered(hooks["stripe"], hooks["stripe"].event()))
    events = {name: each.event() for name, each in hooks.items()}
    with story.fault(fault):
        for name, each in hooks.items():
            story.fallback(f"{name} is told to come again", not each.accepted(each.send(events[name])))
    for name, each in hooks.items():
        story.recovered(f"what {name} delivers again has its effect", lambda n=name, h=each: _delivered(h, events[n]))
    for name, each in hooks.items():
        each.send(events[name])
        story.fallback(f"{name} has it once", all(times == 1 for times in each.effects(events[name]).values()))


@experiment(
    dependency="postgres",
    runbook="database",
    severity="P1",
    needs=[*BOOKINGS, "queries.booked_slots"],
    faults={"slow": fault("latency", host=HOST, seconds=0.05)},
    catches=["slot-checked-then-inserted"],
)
def test_one_hour_is_sold_once(story, fault, tenants, book_at, at_once, db, target):
    """Postgres is slow and callers want the same hour at the same moment: one of them gets it."""
    tenant = tenants()
    story.steady("a booking works", lambda: book_at(tenant, "09:00").success)
    with story.fault(fault):
        with story.fault(AWAY["gone"], says="Postgres restarts, so that all connections are new"):
            story.fallback("the agent is answered", book_at(tenant, "12:00").answer.ok)
        story.fallback("bookings work again", lambda: book_at(tenant, "13:00").success, within=10)
        booked = at_once(lambda _: book_at(tenant, "10:00"), *range(8))
        story.fallback("one caller gets the hour", sum(booking.success for booking in booked) == 1)
    rows = db.rows(target.query("booked_slots"), {"id": tenant["id"]})
    story.fallback("it stands in the book once", sum("10:00" in row["slot"] for row in rows) == 1)
    story.recovered("another hour can be had", lambda: book_at(tenant, "11:00").success)


def _delivered(webhook, event):
    return webhook.accepted(webhook.send(event)) and all(webhook.await_effects(event).values())
