"""Meters: what a charger reads is believed, stored once, and nobody else's word is."""

from __future__ import annotations

from dialtone import check, fail, ok, undecided


@check(
    severity="P0",
    runbook="metering",
    effect="writes",
    proof="signed",
    catches=["reading-dropped"],
    needs=["webhooks.meter", "tenant"],
    requests=1,
)
def test_reading_is_stored(hook):
    """A sealed reading is accepted, and is there afterwards."""
    meter = hook("meter")
    event = meter.event()
    answer = meter.send(event)
    if not meter.accepted(answer):
        fail(f"a genuine reading is answered {answer.status}")
    missing = [what for what, times in meter.await_effects(event).items() if not times]
    if missing:
        fail(f"accepted, but not: {', '.join(missing)}")
    ok("the reading is stored")


@check(
    severity="P0",
    runbook="metering",
    effect="provokes",
    proof="signed",
    catches=["seal-ignored"],
    needs=["webhooks.meter", "tenant"],
    requests=2,
)
def test_broken_seal_is_refused(hook):
    """A reading under another key, or whose energy was changed on the way, is refused."""
    meter = hook("meter")
    event = meter.event()
    forged = meter.send(event, meter.sign(event, key=meter.forged_key()))
    changed = meter.send(event, meter.sign(event), event.body.replace(b"4.2", b"420"))
    for what, answer in (("under a key that nobody has", forged), ("that was changed after sealing", changed)):
        if answer.status not in meter.spec.refuses:
            fail(f"a reading {what} is answered {answer.status}")
    ok("both are refused")


@check(
    severity="P1",
    runbook="metering",
    effect="writes",
    proof="signed",
    catches=["reading-twice"],
    needs=["webhooks.meter", "tenant", "database"],
    requests=2,
)
def test_reading_counts_once(hook):
    """A meter that heard no answer sends its reading again: it counts once."""
    meter = hook("meter")
    event = meter.event()
    if not meter.accepted(meter.send(event)) or not all(meter.await_effects(event).values()):
        undecided("the first delivery was not stored; see reading_is_stored")
    if not meter.accepted(meter.send(event)):
        fail("the second delivery of a reading is refused: its meter will send it for ever")
    if not all(meter.effects(event).values()):
        fail("a reading that was delivered twice is not stored as it was read")
    ok("delivered twice, stored once")


@check(
    severity="P1",
    runbook="metering",
    objective="chargers_heard",
    catches=["chargers-silent"],
    needs=["database", "indicators.chargers_heard"],
    requests=0,
)
def test_chargers_are_heard(target, db, objective):
    """Every charger is heard of four times an hour."""
    seen = db.one(target.profile.indicators["chargers_heard"].sql)
    objective.rate(seen["events"], seen["samples"], what="chargers heard of within 15 minutes")
