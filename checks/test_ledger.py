"""The ledger on real traffic (P0 to P2): what providers did of late, and what the tables say, agree entry by entry.

Nothing is written anywhere. A payment that was taken twice, a call of which no table knows, an event that was answered
with 200 and dropped: each shows here although every single request went well.
"""

from __future__ import annotations

from dialtone import check, each, fail, ok, undecided

KNOWN = ["payments", "calls", "events", "calendar"]


def _agree(balance):
    """Judge what two lists say of each other."""
    told = {"listed": balance.listed, "rows": balance.rows, "hours": round((balance.until - balance.since) / 3600, 1)}
    if balance.bad:
        fail(balance.told, value=balance.bad, unit="count", **told)
    if not balance.listed and not balance.rows:
        undecided(f"neither {balance.provider} nor the table has any {balance.what} of that time", **told)
    ok(balance.told, value=0, unit="count", **told)


@check(
    severity="P0",
    runbook="payments",
    proof="observed",
    catches=["invoices-unrecorded", "invoices-for-one-booking", "payments-unproved"],
    needs=["traffic.payments", "providers.stripe"],
    requests=0,
    reads=3,
)
def test_payments_balance(traffic):
    """What Stripe took is in the table, what the table calls paid was taken, and no booking is paid twice."""
    _agree(traffic("payments"))


@check(
    severity="P1",
    runbook="external-apis",
    proof="observed",
    catches=["calls-unrecorded"],
    needs=["traffic.calls", "providers.retell"],
    requests=0,
    reads=2,
)
def test_calls_balance(traffic):
    """Every call that the voice agent held is in the table, once."""
    _agree(traffic("calls"))


@check(
    severity="P0",
    runbook="data-loss",
    proof="observed",
    catches=["telnyx-events-unstored"],
    needs=["traffic.events", "providers.telnyx"],
    requests=0,
    reads=2,
)
def test_delivered_events_are_stored(traffic):
    """An event that was delivered, and so is never sent again, was stored."""
    _agree(traffic("events"))


@check(
    severity="P2",
    runbook="calendar",
    proof="observed",
    catches=["calendar-events-gone"],
    needs=["traffic.calendar", "providers.google"],
    requests=0,
    reads=2,
)
def test_calendar_balances(traffic):
    """Every appointment that names a calendar event has that event, once."""
    _agree(traffic("calendar"))


@each("traffic", "name", but=KNOWN)
@check(severity="P1", runbook="data-loss", proof="observed", needs=["traffic.{name}"], requests=0, reads=2)
def test_traffic_balances(traffic, name):
    """The same for whatever else a profile lists."""
    _agree(traffic(name))
