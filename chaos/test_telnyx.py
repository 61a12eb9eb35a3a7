"""Telnyx fails: confirmations follow later and once, live calls are commanded again, silence on the line is told."""

from __future__ import annotations

from dialtone import experiment, fault

HOST = "api.telnyx.com"
MESSAGES, COMMANDS = "/v2/messages", "/v2/calls/*/actions/*"
NEEDS = ["webhooks.retell", "tenant", "journal", "requests.book", "books.message", "routes.jobs", "cron"]
CALLS = ["webhooks.telnyx_voice", "tenant", "journal", "books.call"]
PATIENCE = 4.0  # seconds that a caller waits for an answer at most
CLAIMS = ["sms-not-queued", "sms-outbox-not-drained", "alert-missing-sms", "alert-floods"]


@experiment(
    dependency="telnyx",
    runbook="external-apis",
    severity="P2",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "limited": fault("telnyx.any.rate_limited"),
        "unexpected": fault("telnyx.any.unexpected"),
        "edge-502": fault("telnyx.any.edge_502"),
        "gone": fault("refuse", host=HOST),
        "page": fault("html", host=HOST),
        "key-refused": fault("telnyx.any.unauthorized"),
    },
    catches={
        **dict.fromkeys(["limited", "unexpected", "edge-502", "key-refused"], CLAIMS),
        "gone": [claim for claim in CLAIMS if claim != "sms-not-queued"],
        "page": [*CLAIMS, "page-taken-for-sms"],
    },
)
def test_confirmation_follows_later(story, fault, tenants, book, reconciled, served):
    """While Telnyx takes no message callers are booked; each gets one confirmation later, and the team hears of it."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        story.fallback("callers get their appointments", all(book(tenant).success for _ in range(2)))
        story.alert("sentry", names=["telnyx"], about=tenant["id"])
        story.alert("slack", names=["confirmation", "telnyx"], about=tenant["id"])
    story.ledger(reconciled)


@experiment(
    dependency="telnyx",
    runbook="external-apis",
    severity="P2",
    needs=NEEDS,
    faults={
        "reset": fault("in-doubt", host=HOST, path=MESSAGES, then="reset", says="the answer to a message is lost"),
        "unanswered": fault("in-doubt", host=HOST, path=MESSAGES, then="timeout", says="a message is never answered"),
    },
    catches={
        "reset": ["sms-retry-doubles", "alert-missing-sms"],
        "unanswered": ["sms-retry-doubles", "alert-missing-sms", "no-timeout-telnyx"],
    },
)
def test_a_message_in_doubt_is_not_sent_twice(story, fault, tenants, book, reconciled, served):
    """Telnyx sends a message and its answer never comes: the caller gets one, and somebody may look after it."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    with story.fault(fault):
        story.fallback("the caller gets the appointment", book(tenant).success)
        story.alert("slack", names=["confirmation", "telnyx"], about=tenant["id"])
    story.ledger(reconciled)


@experiment(
    dependency="telnyx",
    runbook="external-apis",
    severity="P2",
    needs=NEEDS,
    faults={"silent": fault("hang", host=HOST, path=MESSAGES)},
    catches=["no-timeout-telnyx", "alert-missing-sms", "alert-floods"],
)
def test_a_silent_telnyx_costs_the_caller_a_moment(story, fault, tenants, book, served):
    """Telnyx does not answer to messages: callers are booked soon, and the team hears of it."""
    tenant = tenants()
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    callers = story.load("callers", lambda: book(tenant), most=3)
    with story.fault(fault):
        story.fallback("callers get their appointments", lambda: len(story.during_fault(callers)) >= 2, within=12)
        served = story.during_fault(callers)
        story.fallback("all of them, and soon", all(s.good and s.seconds < PATIENCE for s in served))
        story.alert("slack", names=["confirmation", "telnyx"], about=tenant["id"])
    story.recovered("a caller books", lambda: book(tenant).success)


@experiment(
    dependency="telnyx",
    runbook="calls",
    severity="P1",
    needs=CALLS,
    faults={
        "unexpected": fault("telnyx.any.unexpected", path=COMMANDS, nth=1),
        "reset": fault("reset", host=HOST, path=COMMANDS, nth=1),
        "limited": fault("rate-limit", host=HOST, path=COMMANDS, nth=1, retry_after=0),
    },
    catches=["command-not-repeated"],
)
def test_a_live_call_is_commanded_again(story, fault, tenants, ring, heard, reconciled, answered):
    """Telnyx fails at one command to a live call: it is sent again, and the caller notices nothing."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    with story.fault(fault):
        call = ring(tenant)
        story.fallback("the call is answered", lambda: heard(call, "answer"))
        story.fallback("and reaches the agent", lambda: heard(call, "transfer", "sip:"))
    story.ledger(reconciled)
    story.silence("slack", "mail", about=tenant["id"])


@experiment(
    dependency="telnyx",
    runbook="calls",
    severity="P0",
    needs=CALLS,
    faults={
        "gone": fault("refuse", host=HOST),
        "unexpected": fault("telnyx.any.unexpected"),
        "silent": fault("hang", host=HOST),
    },
    catches={
        "gone": ["alert-missing-telnyx"],
        "unexpected": ["alert-missing-telnyx"],
        "silent": ["alert-missing-telnyx", "no-timeout-telnyx"],
    },
)
def test_unanswered_calls_are_told(story, fault, tenants, ring, heard, reconciled, answered):
    """Telnyx takes no command: nobody can answer the call, so a human hears of it at once, and it is noted."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    with story.fault(fault):
        story.fallback("Telnyx' event is taken", ring(tenant).taken)
        story.alert("slack", names=["not answered", "telnyx"], about=tenant["id"])
    story.recovered("a call reaches the agent again", lambda: heard(ring(tenant), "transfer", "sip:", within=2))
    story.ledger(reconciled)
