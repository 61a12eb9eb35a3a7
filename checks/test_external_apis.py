"""External APIs: do the providers answer us, and what do their own records say of deliveries to the application?"""

from __future__ import annotations

from dialtone import check, degraded, each, expect, fail, note, ok, pick, undecided
from dialtone.verdict import Unarmed


@check(
    severity="P1",
    runbook="external-apis",
    catches={"stripe": ["stripe-balance-503"]},
    needs=["providers.{provider}.probe"],
    requests=0,
)
@each("providers", "provider", ["stripe", "retell", "telnyx", "google", "upstash"])
def test_provider_answers(provider, ask, target):
    """The provider's cheapest read answers; a refusal of our own credential says nothing about it."""
    expect(ask(provider)).status(*target.provider(provider).status)


@check(
    severity="P1",
    runbook="external-apis",
    catches=["telnyx-deliveries-failing"],
    needs=["providers.telnyx.deliveries"],
    proof="observed",
    objective="error_rate",
    requests=0,
)
def test_telnyx_deliveries_succeed(target, record, objective):
    """By Telnyx' own record, nearly all webhook deliveries to the application succeeded."""
    told = record("telnyx", target.provider("telnyx").deliveries)
    known = [d for d in pick(told, "data") or [] if d.get("status") in ("delivered", "failed")]
    failed = sum(d["status"] == "failed" for d in known)
    objective.rate(failed, len(known), what="webhook deliveries that failed")


@check(severity="P3", runbook="external-apis", catches=["status-page-incident"], needs=["providers"], requests=0)
def test_providers_report_no_incident(status_pages):
    """No provider tells of an outage on its own status page: known before anyone searches."""
    if not status_pages.named():
        raise Unarmed("no provider of the profile has a status_page")
    told = {name: status_pages.of(name) for name in status_pages.named()}
    understood = {name: status for name, status in told.items() if status.level is not None}
    for name in told.keys() - understood.keys():
        note(f"status page of {name}", told[name].reason)
    if not understood:
        undecided("no status page could be read")
    outages = [status.words(name) for name, status in understood.items() if status.level.name == "MAJOR"]
    if outages:
        fail("; ".join(outages), value=len(outages), unit="count")
    lesser = [status.words(name) for name, status in understood.items() if status.level.name != "OK"]
    if lesser:
        degraded("; ".join(lesser), value=len(lesser), unit="count")
    ok(f"{len(understood)} of {len(told)} status pages read: no outage", value=0, unit="count")
