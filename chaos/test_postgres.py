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
    recover_within=9,
    faults=AWAY,
    catches=CLAIMS,
    smoke=True,
)
def test_calls_reach_a_human_without_the_database(story, fault, tenants, ring, heard, reconciled, answered):
    """While Postgres is away callers are put through to the escalation phone; their calls are noted later."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    story.steady("whose number is known", lambda: answered(tenant))
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
    recover_within=9,
    faults=AWAY,
    catches=["database-away-says-yes", "postgres-no-reconnect"],
)
def test_nothing_is_promised_that_is_not_stored(story, fault, tenants, book, reconciled, served):
    """While Postgres is away the agent is told so, soon; nobody is promised an appointment that is not there."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
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
    catches=["database-tried-once", "database-away-says-yes", "postgres-no-reconnect"],
)
def test_a_broken_connection_costs_no_booking(story, faults, tenants, book, reconciled, served):
    """Connections to Postgres break: each tool call is tried once more, and callers are booked."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    breaking = faults.put("reset", after=4000, match={"host": HOST})
    with story.fault(breaking, says="each connection to Postgres breaks after a while"):
        with story.fault(AWAY["gone"], says="Postgres restarts, so that all connections are new"):
            story.fallback("the agent is answered", book(tenant).answer.ok)
        story.fallback("both processes are back", lambda: book(tenant).success and book(tenant).success, within=9)
        booked = [book(tenant) for _ in range(14)]
        story.fallback("callers get their appointments", all(booking.success for booking in booked))
    story.recovered("a booking works", lambda: book(tenant).success)
    story.ledger(reconciled)


@experiment(
    dependency="postgres",
    runbook="database",
    severity="P1",
    needs=BOOKINGS,
    recover_within=9,
    catches=["no-timeout-postgres", "postgres-no-reconnect"],
)
def test_a_silent_connection_costs_a_moment(story, faults, tenants, book, served):
    """Connections to Postgres fall silent in the middle of a statement: the agent is answered soon all the same."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    silent = faults.put("freeze", after=2500, match={"host": HOST})
    with story.fault(silent, says="each connection to Postgres falls silent after a while"):
        with story.fault(AWAY["gone"], says="Postgres restarts, so that all connections are new"):
            story.fallback("the agent is answered", book(tenant).answer.ok)
        answers = [book(tenant).answer for _ in range(10)]
        story.fallback("and later too, each time", all(answer.ok for answer in answers))
        story.fallback("and soon", all((answer.phases.total or 99) < PATIENCE for answer in answers))
    story.recovered("callers get all that they are promised", lambda: served(tenants()))


@experiment(
    dependency="postgres",
    runbook="webhooks",
    severity="P0",
    needs=["webhooks.stripe", "webhooks.telnyx_sms", "tenant", "journal"],
    recover_within=9,
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


def _delivered(webhook, event):
    return webhook.accepted(webhook.send(event)) and all(webhook.await_effects(event).values())
