"""The database fails: the customer hears so at once, asks again, and has one booking."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "sandbox.supabase.co"
NEEDS = ["routes.bookings", "tenant", "journal", "books.fee"]
PATIENCE = 3.0


@experiment(
    dependency="supabase",
    runbook="database",
    severity="P0",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "gone": fault("refuse", host=HOST),
        "silent": fault("hang", host=HOST),
        "pool": fault("postgrest.any.pool_timeout"),
    },
    catches={"silent": ["health-retries"]},
)
def test_without_a_database_customers_are_told_so(story, fault, http, target, shop, book, undone, reconciled):
    """A refusal with a time to come back, soon; health says it; and what was refused is not done."""
    place = shop()
    story.steady("a booking works", lambda: book(place).success)
    story.steady("all of it is done", lambda: undone() == 0, within=6)
    with story.fault(fault):
        refused = story.load("customers", lambda: book(place), every=0.5, most=3)
        story.fallback("customers hear of it", lambda: len(refused.samples) >= 2, within=12)
        told = refused.samples
        story.fallback("soon", all(s.seconds < PATIENCE for s in told))
        story.fallback("with a time", all(s.got.answer.header("retry-after") for s in told if s.got))
        story.fallback("health says so", http.get(target.route("health")).status == 503)
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)


@experiment(
    dependency="supabase",
    runbook="database",
    severity="P0",
    needs=NEEDS,
    recover_within=10,
    faults={"once": fault("in-doubt", host=HOST, path="*/rpc/book", nth=1, says="the answer to a booking is lost")},
)
def test_a_booking_asked_twice_is_one(story, fault, shop, book, undone, reconciled):
    """The database has it and the answer is lost: the customer asks again and has one hour and one fee."""
    place = shop()
    story.steady("a booking works", lambda: book(place).success)
    story.steady("all of it is done", lambda: undone() == 0, within=6)
    with story.fault(fault):
        first = book(place)
        story.fallback("the customer is asked to come back", first.answer.status == 503)
        story.fallback("and has the hour then", book(place, again=first).success)
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)


@experiment(
    dependency="supabase",
    runbook="database",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={"notes": fault("postgrest.any.pool_timeout", path="*/rpc/note", says="no outcome can be noted")},
    catches=["texts-sent-again"],
)
def test_what_was_done_and_not_noted_is_done_once(story, fault, shop, book, undone, reconciled):
    """Fee, text and event are through, and the database does not learn of it: nothing is done twice."""
    place = shop()
    story.steady("a booking works", lambda: book(place).success)
    story.steady("all of it is done", lambda: undone() == 0, within=6)
    with story.fault(fault):
        story.fallback("the customer has the hour", book(place).success)
        story.fallback("three outcomes were to be noted", lambda: story.acted() >= 3, within=6)
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)
