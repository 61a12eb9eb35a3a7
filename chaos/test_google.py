"""Google fails: the appointment stands, its event follows or the owner is asked to reconnect, nobody hammers Google."""

from __future__ import annotations

from dialtone import eventually, experiment, fault

CALENDAR, TOKENS = "www.googleapis.com", "oauth2.googleapis.com"
NEEDS = [
    *("webhooks.retell", "tenant", "journal", "requests.book", "providers.google", "books.event", "routes.jobs"),
    "cron",
]
PATIENCE = 4.0  # seconds that a caller waits for an answer at most
CLAIMS = ["calendar-no-outbox", "alert-missing-google", "alert-floods"]


@experiment(
    dependency="google",
    runbook="calendar",
    severity="P2",
    needs=NEEDS,
    recover_within=10,
    smoke=True,
    faults={
        "backend": fault("google.calendar.backend"),
        "quota": fault("google.calendar.rate_limited"),
        "too-many": fault("google.calendar.too_many"),
        "gone": fault("refuse", host=CALENDAR),
        "page": fault("html", host=CALENDAR),
        "silent": fault("hang", host=CALENDAR),
        "no-token": fault("google.token.unavailable"),
        "token-edge-502": fault("google.token.edge_502"),
        "token-page": fault("google.token.page_with_200"),
        "tokens-gone": fault("refuse", host=TOKENS),
        "tokens-silent": fault("hang", host=TOKENS),
    },
    catches={
        **dict.fromkeys(
            ["backend", "quota", "too-many", "gone", "no-token", "token-edge-502", "token-page", "tokens-gone"], CLAIMS
        ),
        "page": [*CLAIMS, "page-taken-for-event"],
        "silent": [*CLAIMS, "no-timeout-google"],
        "tokens-silent": [*CLAIMS, "no-timeout-google"],
    },
)
def test_appointment_follows_into_the_calendar(story, fault, connected, book, reconciled, db, target, served):
    """While Google fails callers are booked soon; each event is written once, later; the business stays connected."""
    story.steady("callers get all that they are promised", lambda: served(connected()))
    story.steady("tokens are refreshed", lambda: _refreshed(connected, book, db, target))
    tenant = connected(expired=fault.host == TOKENS)
    with story.fault(fault):
        callers = story.load("callers", lambda: book(tenant), most=3)
        story.fallback("callers get their appointments", lambda: len(story.during_fault(callers)) >= 2, within=12)
        served = story.during_fault(callers)
        story.fallback("all of them, and soon", all(s.good and s.seconds < PATIENCE for s in served))
        story.alert("sentry", names=["google"], about=tenant["id"])
        story.alert("slack", names=["calendar", "google"], about=tenant["id"])
    story.ledger(reconciled)
    story.fallback("the business is still connected", _connected(tenant, db, target))


@experiment(
    dependency="google",
    runbook="calendar",
    severity="P2",
    needs=NEEDS,
    recover_within=10,
    faults={
        "once": fault("in-doubt", host=CALENDAR, method="POST", nth=1, says="the answer to an event is lost"),
        "always": fault("in-doubt", host=CALENDAR, method="POST", says="every answer of the calendar is lost"),
    },
    catches={"once": ["calendar-repeat-blind"], "always": ["calendar-new-id-each-try", "calendar-repeat-blind"]},
)
def test_an_event_in_doubt_is_written_once(story, fault, connected, book, reconciled, db, target, served):
    """Google writes an event and its answer never comes: written again under the same name, it is there once."""
    tenant = connected()
    story.steady("callers get all that they are promised", lambda: served(connected()))
    with story.fault(fault):
        booking = book(tenant)
        story.fallback("the caller gets the appointment", booking.success)
    story.ledger(reconciled)
    story.recovered("the appointment knows its event", lambda: _in_calendar(booking, db, target))


@experiment(
    dependency="google",
    runbook="calendar",
    severity="P2",
    needs=[*NEEDS, "queries.stored_token", "credentials.google_rotating_token"],
    faults={"slow": fault("latency", host=TOKENS, seconds=0.6)},
    catches=["refresh-race"],
)
def test_two_processes_refresh_once(
    story, fault, tenants, connected, book, reconciled, at_once, run, db, target, served
):
    """Several bookings meet an expired token that may be used once: one refreshes, and the business stays connected."""
    story.steady("callers get all that they are promised", lambda: served(tenants()))
    grant = f"{target.secret('google_rotating_token')}-{run.id()}"
    tenant = connected(expired=True, grant=grant)
    with story.fault(fault):
        booked = at_once(book, *[tenant] * 4)
        story.fallback("all callers get their appointments", all(booking.success for booking in booked))
        story.fallback("the token was refreshed once", story.acted() == 1)
    story.fallback("the business is still connected", _connected(tenant, db, target))
    story.ledger(reconciled)


@experiment(
    dependency="google",
    runbook="calendar",
    severity="P2",
    needs=[*NEEDS, "queries.reconnect_asked"],
    faults={"invalid-grant": fault("google.token.invalid_grant")},
    catches=["alert-missing-reconnect"],
    smoke=True,
)
def test_booking_survives_a_revoked_grant(story, fault, connected, book, db, target):
    """Google answers invalid_grant: the caller is booked, the owner is asked once, and a reconnected tenant works."""
    well = connected()
    story.steady("a booking reaches the calendar", lambda: _in_calendar(book(well), db, target))

    with story.fault(fault):
        tenant = connected(expired=True)
        story.fallback("the caller gets the appointment", book(tenant).success)
        asked = target.query("reconnect_asked")
        story.fallback("the owner is asked to reconnect", lambda: db.value(asked, {"id": tenant["id"]}), within=5)
        story.fallback("Google is not asked again and again", 1 <= story.acted() <= 2)
        story.alert("sentry", names=["google"], about=tenant["id"])
        story.alert("slack", names=["google"], about=tenant["id"])

    story.recovered("a connected tenant books again", lambda: _in_calendar(book(connected()), db, target))


def _refreshed(connected, book, db, target):
    """Two bookings after each other, which meet two processes, reach calendars whose token has to be refreshed."""
    return all(_in_calendar(book(connected(expired=True)), db, target, within=1) for _ in range(2))


def _connected(tenant, db, target):
    return bool(db.one(target.query("stored_token"), {"id": tenant["id"]})["connected"])


def _in_calendar(booking, db, target, within=5):
    row = eventually(
        lambda: db.one(target.query("appointment"), {"appointment_id": booking.appointment_id}),
        lambda found: bool(found and found["event_id"]),
        within=within,
    )
    return bool(row and row["event_id"])
