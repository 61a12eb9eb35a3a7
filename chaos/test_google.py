"""Google refuses a tenant's grant: the booking stands, the owner is asked to reconnect, nobody hammers Google."""

from __future__ import annotations

from dialtone import eventually, experiment
from dialtone.probes.provider import access_token


@experiment(
    runbook="calendar",
    severity="P2",
    needs=["webhooks.retell", "tenant", "journal", "requests.book", "providers.google", "queries.reconnect_asked"],
)
def test_booking_survives_a_revoked_grant(story, tenants, book, journal, db, target):
    """Google answers invalid_grant: the caller is booked, the owner is asked once, and a reconnected tenant works."""
    grant = target.secret("google_refresh_token")

    def connected(life="3000"):
        token = access_token(target, "google") if life == "3000" else "ya29.dialtone-expired"
        return tenants(connected="true", access_token=token, refresh_token=grant, token_life=life)

    story.steady("a booking reaches the calendar", lambda: _in_calendar(book(connected(), time="09:00"), db, target))

    refused = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    with story.fault(
        "Google answers invalid_grant", provider="google_oauth", path="/token", status=400, body=refused, ttl=30
    ):
        tenant = connected(life="-60")
        booking = book(tenant, time="10:00")
        story.fallback("the caller gets the appointment", booking.success)
        story.fallback(
            "the owner is asked to reconnect",
            bool(eventually(lambda: db.value(target.query("reconnect_asked"), {"id": tenant["id"]}), bool, within=5)),
        )
        tries = [r for r in journal.requests(provider="google_oauth") if r["status"] == 400]
        story.fallback("Google is not asked again and again", 1 <= len(tries) <= 2)
        mark = tenant["id"]
        story.alert("Sentry hears of it", lambda: journal.wait(provider="sentry", contains=mark))
        story.alert("Slack hears of it", lambda: journal.wait(provider="slack", contains=mark))

    story.recovered("a connected tenant books again", lambda: _in_calendar(book(connected(), time="11:00"), db, target))


def _in_calendar(booking, db, target):
    row = eventually(
        lambda: db.one(target.query("appointment"), {"appointment_id": booking.appointment_id}),
        lambda found: bool(found and found["event_id"]),
        within=5,
    )
    return bool(row and row["event_id"])
