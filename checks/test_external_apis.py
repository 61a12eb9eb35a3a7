"""External APIs: do the providers answer us, and what do their own records say of deliveries to the application?"""

from __future__ import annotations

from dialtone import check, each, expect, pick, undecided


@check(
    severity="P1",
    runbook="external-apis",
    catches={"stripe": ["stripe-balance-503"]},
    requests=0,
)
@each("providers", "provider", ["stripe", "retell", "telnyx", "google", "upstash"])
def test_provider_answers(provider, ask):
    """The provider's cheapest read answers; a refusal of our own credential says nothing about it."""
    expect(ask(provider)).status(200)


@check(
    severity="P1",
    runbook="external-apis",
    catches=["telnyx-deliveries-failing"],
    needs=["providers.telnyx"],
    proof="observed",
    objective="error_rate",
    requests=0,
)
def test_telnyx_deliveries_succeed(target, ask, objective):
    """By Telnyx' own record, nearly all webhook deliveries to the application succeeded."""
    path = target.provider("telnyx").deliveries
    if path is None:
        undecided("the profile names no record of deliveries")
    answer = ask("telnyx", path)
    expect(answer).status(200)
    known = [d for d in pick(answer.json(), "data") or [] if d.get("status") in ("delivered", "failed")]
    failed = sum(d["status"] == "failed" for d in known)
    objective.rate(failed, len(known), what="webhook deliveries that failed")
