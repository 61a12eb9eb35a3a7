"""Webhooks come late, twice, in the wrong order and all at once: each has its effect once, and the last word counts."""

from __future__ import annotations

import json
import time

from dialtone import eventually, experiment, fault

STRIPE, TELNYX = "api.stripe.com", "api.telnyx.com"
EARLIER = "2026-01-02T10:00:00Z"


@experiment(
    dependency="telnyx",
    runbook="webhooks",
    severity="P1",
    needs=["webhooks.telnyx_voice", "tenant", "journal", "books.call"],
    faults={"twice": fault("latency", host=TELNYX, seconds=0.5, says="Telnyx is slow and delivers twice")},
    catches=["ring-redelivery-answered"],
)
def test_a_call_that_is_told_twice_is_bridged_once(story, fault, tenants, ring, heard, journal, reconciled, answered):
    """Telnyx tells of a call a second time while the first is being put through: the agent is called once."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    before = len(_registered(journal, tenant))
    with story.fault(fault):
        call = ring(tenant)
        ring(tenant, call.event)
        story.fallback("the call reaches the agent", lambda: heard(call, "transfer", "sip:"))
    story.ledger(reconciled)
    story.fallback("the agent was called once", len(_registered(journal, tenant)) - before == 1)


@experiment(
    dependency="telnyx",
    runbook="webhooks",
    severity="P2",
    needs=["webhooks.telnyx_voice", "tenant", "journal", "books.call", "queries.call_status"],
    faults={"reordered": fault("latency", host=TELNYX, seconds=0.3, says="Telnyx is slow and in disorder")},
    catches=["hangup-first-lost"],
)
def test_a_call_that_is_over_before_it_rings(
    story, fault, tenants, ring, heard, hook, reconciled, db, target, answered
):
    """The end of a call is told before its beginning: it is noted as over, and nobody is called."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    with story.fault(fault):
        story.fallback("a call in order reaches the agent", lambda: heard(ring(tenant), "transfer", "sip:"))
        voice = hook("telnyx_voice", tenant)
        begin = voice.event()
        end = voice.event(text=_hangup(voice.spec.genuine), object_id=begin.values["object_id"])
        story.fallback("the end is taken", voice.accepted(voice.send(end)))
        late = ring(tenant, begin)
        story.fallback("and so is the beginning", late.taken)
        story.fallback("nobody answers a call that is over", not heard(late, "answer", within=1))
    status = db.value(target.query("call_status"), {"call": begin.values["object_id"]})
    story.fallback("it is noted as missed", status == "missed")
    story.ledger(reconciled)


@experiment(
    dependency="stripe",
    runbook="webhooks",
    severity="P1",
    needs=["webhooks.stripe", "webhooks.retell", "tenant", "journal", "requests.book", "queries.subscription"],
    faults={"reordered": fault("latency", host=STRIPE, seconds=0.2, says="Stripe is slow and in disorder")},
    catches=["stripe-order-ignored", "late-event-ignored"],
)
def test_the_newest_state_of_a_subscription_counts(story, fault, tenants, hook, book, db, target, served):
    """Stripe tells late, and the older state last: the newer one stays."""
    tenant = tenants()
    stripe, now = hook("stripe", tenant), int(time.time())
    story.steady("callers get all that they are promised", lambda: served(tenants()))

    def tell(status, at):
        event = stripe.event(text=json.dumps(_subscription(tenant, status, at)))
        return stripe.accepted(stripe.send(event))

    with story.fault(fault):
        story.fallback("a caller is booked", book(tenant).success)
        story.fallback("a state of an hour ago is taken", tell("past_due", now - 3600))
        story.fallback("the newest state is taken", tell("canceled", now))
        story.fallback("an older one that comes last is taken", tell("trialing", now - 1800))
    subscription = target.query("subscription")
    story.fallback("the newest counts", db.value(subscription, {"id": tenant["id"]}) == "inactive")
    later = tenants()
    tenant = later
    story.fallback("what is late is not too late", tell("past_due", now - 7200))
    story.fallback("and counts", db.value(subscription, {"id": later["id"]}) == "past_due")


@experiment(
    dependency="telnyx",
    runbook="webhooks",
    severity="P1",
    needs=["webhooks.telnyx_sms", "tenant", "journal", "queries.consents"],
    faults={"reordered": fault("latency", host=TELNYX, seconds=0.2, says="Telnyx is slow and in disorder")},
    catches=["consent-order-ignored"],
)
def test_the_last_word_about_consent_counts(story, fault, tenants, hook, number, db, target):
    """START, then STOP; STOP is delivered first: who has opted out last is not written to."""
    tenant, caller = tenants(), number()
    sms, consents = hook("telnyx_sms", tenant), target.query("consents")
    story.steady("a text is stored", lambda: sms.accepted(sms.send(sms.event())))
    asked = {"id": tenant["id"], "caller": caller}
    with story.fault(fault):
        stop = sms.event("stop", caller=caller)
        start = sms.event(
            text=sms.spec.stop.replace('"STOP"', '"START"'), caller=caller, now_iso="2026-01-02T10:00:00Z"
        )
        story.fallback("both are taken", all(sms.accepted(sms.send(word)) for word in (stop, start)))
        said = lambda: db.value(consents, asked)  # noqa: E731
        story.fallback("STOP counts", eventually(said, bool, within=2) == "opted_out")
        story.fallback("the replies go out", lambda: story.acted() >= 1, within=4)
    story.fallback("STOP still counts", said() == "opted_out")


@experiment(
    dependency="telnyx",
    runbook="webhooks",
    severity="P2",
    needs=["webhooks.telnyx_sms", "tenant", "journal", "queries.texts"],
    faults={"burst": fault("latency", host=TELNYX, seconds=0.2, says="Telnyx is slow and delivers in bursts")},
    catches=["burst-dropped"],
)
def test_a_burst_of_texts_is_stored(story, fault, tenants, hook, number, at_once, db, target):
    """Forty texts at the same moment: each is stored once, or refused and stored when it comes again."""
    tenant = tenants()
    sms, texts = hook("telnyx_sms", tenant), target.query("texts")
    story.steady("a text is stored", lambda: sms.accepted(sms.send(sms.event())))
    events = [sms.event("help", caller=number()) for _ in range(40)]
    with story.fault(fault):
        taken = at_once(lambda event: sms.accepted(sms.send(event)), *events)
        story.fallback("most are taken at once", sum(taken) >= 20)
        again = [sms.accepted(sms.send(event)) for event, was in zip(events, taken, strict=True) if not was]
        story.fallback("the others when they come again", all(again))
        story.fallback("the replies go out", lambda: story.acted() >= 1, within=4)
    stored = db.value(texts, {"id": tenant["id"], "text": "HELP"})
    story.fallback(f"each is stored once: {stored} of 40", stored == 40)


def _registered(journal, tenant):
    return journal.wait(0, provider="retell", path="/v2/register-phone-call", contains=tenant["retell_agent_id"])


def _hangup(genuine):
    return genuine.replace('"call.initiated"', '"call.hangup"').replace(
        '"state":"parked"', '"state":"hangup","hangup_cause":"originator_cancel"'
    )


def _subscription(tenant, status, at):
    return {
        "id": "{{event_id}}",
        "object": "event",
        "created": at,
        "type": "customer.subscription.updated",
        "data": {
            "object": {
                "id": "sub_{{event_id}}",
                "object": "subscription",
                "customer": tenant["stripe_customer_id"],
                "status": status,
            }
        },
    }
