"""Calls and SMS: the caller is answered, booked, confirmed by SMS; who has no agent is not left in silence."""

from __future__ import annotations

from dialtone import check, eventually, fail, ok, pick, undecided


@check(
    severity="P0",
    runbook="calls",
    objective="call_success",
    catches=["calls-failing"],
    needs=["database", "indicators.call_success"],
    requests=0,
)
def test_call_success_rate(indicator):
    """Of the calls of the window, nearly all were answered."""
    indicator("call_success", what="calls that were answered")


def _ring(hook, tenant, **values):
    """A caller rings: Telnyx tells the application. Goes on only if it takes the event."""
    voice = hook("telnyx_voice", tenant)
    event = voice.event("genuine", **values)
    answer = voice.send(event)
    if not voice.accepted(answer):
        undecided(f"the event is not accepted ({answer.status}); see webhook_accepts_genuine")
    return event


def _commands(journal, event, action, *, count=1, within=None):
    path = f"*/calls/{event.values['object_id']}/actions/{action}"
    return journal.wait(count, provider="telnyx", path=path, within=within)


@check(
    severity="P0",
    runbook="calls",
    effect="writes",
    catches=["bridge-skipped"],
    needs=["webhooks.telnyx_voice", "tenant", "journal"],
    requests=1,
)
def test_call_is_bridged_to_the_agent(target, hook, tenant, journal):
    """A caller of a business with an agent is connected to that agent."""
    event = _ring(hook, tenant)
    asked = journal.wait(provider="retell", path="/v2/register-phone-call", contains=tenant["retell_agent_id"])
    if not asked:
        fail(f"the agent was not asked for within {target.profile.settle:g} s")
    if not _commands(journal, event, "transfer"):
        fail("the call was not bridged to the agent")
    ok("the call was bridged to the agent")


@check(
    severity="P1",
    runbook="calls",
    effect="writes",
    catches=["apology-silent"],
    needs=["webhooks.telnyx_voice", "values.unknown_number", "journal"],
    requests=1,
)
def test_unknown_number_hears_an_apology(target, hook, journal):
    """A call to a number that belongs to no business is answered by a spoken apology, not by silence."""
    nobody = {"id": "", "phone_number": target.value("unknown_number")}
    event = _ring(hook, nobody)
    if not _commands(journal, event, "speak"):
        fail("the caller hears nothing")
    ok("the caller hears an apology")


@check(
    severity="P1",
    runbook="calls",
    effect="writes",
    catches=["forward-skipped"],
    needs=["webhooks.telnyx_voice", "tenant", "journal"],
    requests=1,
)
def test_business_without_agent_is_forwarded(tenants, hook, journal):
    """A call to a business without an agent goes on to its escalation phone."""
    tenant = tenants(agent=None)
    event = _ring(hook, tenant)
    forwarded = _commands(journal, event, "transfer")
    if not forwarded:
        fail("the call was not forwarded")
    if not any(tenant["escalation_phone"] in str(r.get("body")) for r in forwarded):
        fail("the call was forwarded, but not to the escalation phone")
    ok("the call was forwarded to the escalation phone")


@check(
    severity="P0",
    runbook="calls",
    effect="costs",
    catches=["booking-lost"],
    needs=["webhooks.retell", "requests.book", "tenant", "database", "queries.appointment"],
    requests=1,
)
def test_booking_is_stored(target, book, tenant, db):
    """What the agent promised the caller is in the database: day, time and phone number."""
    booking = book(tenant)
    if booking.answer.failure or booking.answer.status >= 500:
        fail(f"the tool call failed: {booking.answer.failure or booking.answer.status}")
    if booking.answer.status in (400, 401, 403):
        undecided(f"the tool call was refused ({booking.answer.status}); see webhook_accepts_genuine")
    if not booking.success or not booking.appointment_id:
        fail("the tool call booked nothing for a free slot")
    row = eventually(
        lambda: db.one(target.query("appointment"), {"appointment_id": booking.appointment_id}),
        bool,
        within=target.profile.settle,
    )
    if not row:
        fail("the caller was promised an appointment that the database does not hold")
    wrong = [
        what
        for what, wanted in (("date", booking.date), ("time", booking.time), ("phone", booking.caller))
        if not str(row[what]).startswith(wanted)
    ]
    if wrong:
        fail(f"the stored appointment has another {' and '.join(wrong)} than the caller was promised")
    ok("the appointment is stored as promised")


@check(
    severity="P1",
    runbook="calls",
    effect="costs",
    catches=["sms-unsent", "telnyx-key-newline"],
    needs=["webhooks.retell", "requests.book", "tenant", "journal"],
    requests=1,
)
def test_booking_confirms_by_sms(target, book, tenant, journal):
    """The caller gets a confirmation by SMS."""
    booking = book(tenant).must_have_worked()
    if not journal.wait(provider="telnyx", path="*/messages", contains=booking.caller):
        fail(f"no SMS to the caller within {target.profile.settle:g} s")
    ok("the confirmation was sent")


@check(
    severity="P2",
    runbook="calls",
    effect="costs",
    catches=["availability-blind"],
    needs=["webhooks.retell", "requests.book", "requests.availability", "tenant", "fields.slots"],
    requests=3,
)
def test_availability_excludes_taken_slots(target, book, hook, tenant, run):
    """A slot that is taken is not offered again."""
    retell = hook("retell", tenant)

    def slots(date):
        event = retell.event(text=target.request("availability"), call_id=run.id("call_"), date=date)
        answer = retell.send(event)
        found = pick(answer.json(), target.field("slots", "slots")) if answer.ok else None
        if not found:
            undecided(f"no slots were offered (status {answer.status})")
        return [str(s) for s in found]

    booking = book(tenant, time="11:00").must_have_worked()
    offered = slots(booking.asked["date"])
    if any(s.startswith((booking.time, booking.asked["time"])) for s in offered):
        fail("the slot that was just booked is offered to the next caller")
    ok(f"{len(offered)} free slots offered, the taken one not", value=len(offered), unit="count")


def _text(hook, form):
    sms = hook("telnyx_sms")
    event = sms.event(form)
    answer = sms.send(event)
    if not sms.accepted(answer):
        undecided(f"the message is not accepted ({answer.status}); see webhook_accepts_genuine")
    return event


@check(
    severity="P1",
    runbook="calls",
    effect="costs",
    catches=["stop-ignored"],
    needs=["webhooks.telnyx_sms", "tenant", "database", "queries.consents"],
    requests=1,
)
def test_stop_is_honoured(target, hook, tenant, db):
    """Whoever texts STOP is recorded as opted out: the law asks for it."""
    event = _text(hook, "stop")
    status = eventually(
        lambda: db.value(target.query("consents"), {"id": tenant["id"], "caller": event.values["caller"]}),
        bool,
        within=target.profile.settle,
    )
    if status is None:
        fail("STOP was taken, but no consent was recorded")
    if "out" not in str(status) and str(status) not in ("stopped", "revoked", "false"):
        fail("STOP was recorded as something else than an opt-out")
    ok("STOP is recorded as an opt-out")


@check(
    severity="P2",
    runbook="calls",
    effect="costs",
    catches=["help-silent"],
    needs=["webhooks.telnyx_sms", "tenant", "journal"],
    requests=1,
)
def test_help_is_answered(target, hook, tenant, journal):
    """Whoever texts HELP gets an answer."""
    event = _text(hook, "help")
    sent = journal.wait(provider="telnyx", path="*/messages", contains=tenant["phone_number"])
    if not any(event.values["caller"] in str(r.get("body")) for r in sent):
        fail(f"HELP was not answered within {target.profile.settle:g} s")
    ok("HELP is answered")


@check(
    severity="P1",
    runbook="calls",
    effect="disrupts",
    catches=["no-timeouts"],
    needs=["webhooks.retell", "requests.book", "tenant", "credentials.google_slow_token"],
    requests=1,
)
def test_booking_survives_a_slow_calendar(target, tenants, book, run):
    """A calendar that takes for ever costs the caller a moment, not the appointment."""
    slow = f"{target.secret('google_slow_token')}-{run.id()}"
    booking = book(tenants(connected="true", refresh_token=slow, token_life="-60"))
    took = booking.answer.phases.total or 0.0
    limit = float(target.profile.values.get("tool_patience", "6"))
    if booking.answer.failure or took > limit:
        fail(
            f"the tool call took {took:.1f} s while the calendar was slow: the caller hears silence",
            value=took,
            unit="s",
        )
    if not booking.success:
        undecided("the tool call booked nothing; see booking_is_stored")
    ok(f"booked in {took:.1f} s while the calendar was slow", value=took, unit="s")
