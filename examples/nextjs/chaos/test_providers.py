"""A provider fails: the customer has the hour all the same, the team hears of it, and everything is done once."""

from __future__ import annotations

from dialtone import experiment, fault

NEEDS = ["routes.bookings", "tenant", "journal", "books.fee"]
PATIENCE = 2.5  # seconds that a customer waits for an answer at most


def _steady(story, place, book, undone):
    """A booking works and all of it is done: every provider has a connection that a fault can meet."""
    story.steady("a booking works", lambda: book(place).success)
    story.steady("all of it is done", lambda: undone() == 0, within=6)


def _survives(story, fault, place, book, undone, reconciled, word):
    """Customers are served as ever; whoever has to mend it hears which provider it is, once."""
    _steady(story, place, book, undone)
    callers = story.load("customers", lambda: book(place), every=0.5, most=6)
    with story.fault(fault):
        story.fallback("customers get their hour", lambda: len(story.during_fault(callers)) >= 2, within=15)
        served = story.during_fault(callers)
        story.fallback("all of them, and soon", all(s.good and s.seconds < PATIENCE for s in served))
        if word:
            story.alert("slack", names=[word], about=place["name"])
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="providers",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={
        "unavailable": fault("stripe.any.unavailable"),
        "gone": fault("refuse", host="api.stripe.com"),
        "silent": fault("hang", host="api.stripe.com"),
    },
)
def test_booking_survives_stripe(story, fault, shop, book, undone, reconciled):
    """The fee follows when Stripe is back."""
    _survives(story, fault, shop(), book, undone, reconciled, "Stripe")


@experiment(
    dependency="stripe",
    runbook="providers",
    severity="P0",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={"always": fault("in-doubt", host="api.stripe.com", method="POST", says="no answer to a fee arrives")},
    catches=["fee-without-key"],
)
def test_a_lost_answer_is_charged_once(story, fault, shop, book, undone, reconciled):
    """Stripe took the fee and its answer never came: asked again, by the outbox too, nobody pays twice."""
    place = shop()
    _steady(story, place, book, undone)
    with story.fault(fault):
        story.fallback("the customer has the hour", book(place).success)
        story.alert("slack", names=["Stripe"], about=place["name"])
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)


@experiment(
    dependency="retell",
    runbook="providers",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "silent": fault("hang", host="api.retellai.com"),
        "gone": fault("refuse", host="api.retellai.com"),
        "page": fault("html", host="api.retellai.com"),
        "failing": fault("retell.any.server_error"),
    },
    catches={"silent": ["call-without-timeout"]},
)
def test_booking_survives_retell(story, fault, shop, book, undone, reconciled):
    """The voice assistant is a nicety: without it there is a booking without a call."""
    _survives(story, fault, shop(), book, undone, reconciled, None)


@experiment(
    dependency="telnyx",
    runbook="providers",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "limited": fault("telnyx.any.rate_limited"),
        "gone": fault("refuse", host="api.telnyx.com"),
        "silent": fault("hang", host="api.telnyx.com"),
    },
    catches=["texts-forgotten"],
)
def test_texts_follow(story, fault, shop, book, undone, reconciled):
    """The text goes out when Telnyx is back."""
    _survives(story, fault, shop(), book, undone, reconciled, "Telnyx")


@experiment(
    dependency="google",
    runbook="providers",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={
        "tokens": fault("google.token.unavailable"),
        "unavailable": fault("google.calendar.backend"),
        "gone": fault("refuse", host="www.googleapis.com"),
        "silent": fault("hang", host="oauth2.googleapis.com"),
    },
)
def test_events_follow(story, fault, shop, book, undone, reconciled):
    """The calendar has every booking when Google is back."""
    _survives(story, fault, shop(), book, undone, reconciled, "Google")


@experiment(
    dependency="telnyx",
    runbook="providers",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={"once": fault("in-doubt", host="api.telnyx.com", method="POST", nth=1)},
    catches=["texts-sent-again", "texts-forgotten"],
)
def test_a_lost_answer_is_one_text(story, fault, shop, book, undone, reconciled):
    """Telnyx sent the text and its answer never came: nobody gets it twice."""
    place = shop()
    _steady(story, place, book, undone)
    with story.fault(fault):
        story.fallback("the customer has the hour", book(place).success)
        story.alert("slack", names=["Telnyx"], about=place["name"])
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)


@experiment(
    dependency="google",
    runbook="providers",
    severity="P1",
    needs=NEEDS,
    recover_within=10,
    faults={"once": fault("in-doubt", host="www.googleapis.com", method="POST", nth=1)},
)
def test_a_lost_answer_is_one_event(story, fault, shop, book, undone, reconciled):
    """Google wrote the event and its answer never came: there is one event."""
    place = shop()
    _steady(story, place, book, undone)
    with story.fault(fault):
        story.fallback("the customer has the hour", book(place).success)
        story.alert("slack", names=["Google"], about=place["name"])
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)


@experiment(
    dependency="slack",
    runbook="providers",
    severity="P2",
    needs=NEEDS,
    recover_within=10,
    faults={"silent": fault("hang", host="hooks.slack.com")},
)
def test_a_silent_slack_costs_nobody_anything(story, fault, faults, shop, book, undone, reconciled):
    """Nobody can be told that Stripe fails: the fee follows all the same."""
    place = shop()
    _steady(story, place, book, undone)
    with story.fault(fault, faults.stripe.any.unavailable()):
        story.fallback("the customer has the hour", book(place).success)
        story.fallback("somebody was to be told", lambda: story.acted() >= 2, within=6)
    story.recovered("a customer books", lambda: book(place).success)
    story.ledger(reconciled)
