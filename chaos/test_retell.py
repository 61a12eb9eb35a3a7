"""The voice agent takes no call: the caller reaches a human instead, and somebody hears of it."""

from __future__ import annotations

from dialtone import experiment, fault

HOST, REGISTER = "api.retellai.com", "/v2/register-phone-call"
NEEDS = ["webhooks.telnyx_voice", "tenant", "journal", "books.call"]
CLAIMS = ["escalation-skipped", "alert-missing-retell", "alert-floods"]


@experiment(
    dependency="retell",
    runbook="calls",
    severity="P1",
    needs=NEEDS,
    smoke=True,
    faults={
        "gone": fault("refuse", host=HOST),
        "unavailable": fault("retell.any.unavailable"),
        "full": fault("retell.calls.concurrency_full", path=REGISTER),
        "unpaid": fault("retell.calls.payment_required", path=REGISTER),
        "page": fault("html", host=HOST),
        "silent": fault("hang", host=HOST),
    },
    catches={
        **dict.fromkeys(["gone", "unavailable", "full", "unpaid", "page"], CLAIMS),
        "silent": [*CLAIMS, "no-timeout-retell"],
    },
)
def test_a_call_reaches_a_human(story, fault, tenants, ring, heard, reconciled, answered):
    """While Retell takes no call, each is put through to the escalation phone; the team hears of it once."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    with story.fault(fault):
        calls = [ring(tenant), ring(tenant)]
        story.fallback("Telnyx' events are taken", all(call.taken for call in calls))
        story.fallback(
            "both callers are put through to a human",
            all(heard(call, "transfer", tenant["escalation_phone"]) for call in calls),
        )
        story.alert("sentry", names=["retell"], about=tenant["id"])
        story.alert("slack", names=["retell"], about=tenant["id"])
    story.recovered("a call reaches the agent again", lambda: heard(ring(tenant), "transfer", "sip:", within=2))
    story.ledger(reconciled)


@experiment(
    dependency="retell",
    runbook="calls",
    severity="P2",
    needs=NEEDS,
    faults={"slow": fault("latency", host=HOST, seconds=0.8)},
    catches=["retell-impatient"],
)
def test_a_slow_agent_still_gets_the_call(story, fault, tenants, ring, heard, reconciled, answered):
    """Retell takes a second: the caller hears it ring a little longer, and nobody is woken."""
    tenant = tenants()
    story.steady("calls reach the agent", lambda: answered(tenants()))
    with story.fault(fault):
        story.fallback("the call reaches the agent", lambda: heard(ring(tenant), "transfer", "sip:"))
    story.ledger(reconciled)
    story.silence("slack", "mail", about=tenant["id"])
