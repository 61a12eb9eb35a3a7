"""Google fails: the appointment stands, its event follows or the owner is asked to reconnect, nobody hammers Google."""

from __future__ import annotations

from dialtone import eventually, experiment, fault

NEEDS = ["webhooks.retell", "tenant", "journal", "requests.book", "providers.google", "books.event"]


@experiment(
    dependency="google",
    runbook="calendar",
    severity="P2",
    needs=[*NEEDS, "queries.reconnect_asked"],
    faults={"invalid-grant": fault("google.token.invalid_grant")},
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
        story.alert("sentry", about=tenant["id"])
        story.alert("slack", about=tenant["id"], once=False)

    story.recovered("a connected tenant books again", lambda: _in_calendar(book(connected()), db, target))


def _in_calendar(booking, db, target):
    row = eventually(
        lambda: db.one(target.query("appointment"), {"appointment_id": booking.appointment_id}),
        lambda found: bool(found and found["event_id"]),
        within=5,
    )
    return bool(row and row["event_id"])
