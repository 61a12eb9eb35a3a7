"""Billing: every charge is billed, once, at the price that the tariff promises."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from dialtone import check, expect, fail, ok, pick


@check(
    severity="P1",
    runbook="billing",
    objective="billed",
    catches=["unbilled"],
    needs=["database", "indicators.billed"],
    requests=0,
)
def test_charges_are_billed(target, db, objective):
    """What was delivered is billed within the hour."""
    seen = db.one(target.profile.indicators["billed"].sql)
    objective.rate(seen["events"], seen["samples"], what="charges billed within an hour")


@check(severity="P0", runbook="billing", catches=["billed-twice"], needs=["database"], requests=0)
def test_no_charge_is_billed_twice(target, db):
    """Nobody pays twice."""
    twice = db.value(target.query("billed_twice"))
    if twice:
        fail(f"{twice} charges are billed more than once", value=float(twice), unit="count")
    ok("each charge has one bill at most")


@check(severity="P0", runbook="billing", catches=["tariff-free"], needs=["routes.tariff", "database"], requests=1)
def test_tariff_is_what_is_billed(target, http, db):
    """The price that drivers are promised is the one of the latest bill."""
    answer = http.get(target.route("tariff"))
    expect(answer).status(200).json_field("tariff.currency", "EUR")
    try:
        promised = Decimal(str(pick(answer.json(), "tariff.kwh")))
    except InvalidOperation:
        fail("the tariff's price is not a number")
    if abs(promised - db.value(target.query("price"))) > Decimal("0.005"):
        fail("the promised price of a kilowatt-hour is not the one that is billed", value=float(promised), unit="EUR")
    ok("promised as billed")
