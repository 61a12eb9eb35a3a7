"""Stripe fails: the caller's appointment is not lost, and somebody hears of it."""

from __future__ import annotations

from dialtone import eventually, experiment


@experiment(runbook="external-apis", severity="P0", needs=["webhooks.retell", "tenant", "journal", "requests.book"])
def test_booking_survives_stripe_being_down(story, tenants, book, journal, db, target):
    """While Stripe answers 503 a call still books; the team hears of the failed fee; later bookings are charged."""
    story.steady("a booking works and is charged", lambda: _charged(book(tenants(), time="09:00"), journal))

    with story.fault("Stripe answers 503", provider="stripe", path="/v1/*", status=503, ttl=30):
        tenant = tenants()
        booking = book(tenant, time="10:00")
        story.fallback("the caller gets the appointment", booking.success and booking.appointment_id is not None)
        row = db.one(target.query("appointment"), {"appointment_id": booking.appointment_id})
        story.fallback("the appointment is stored", bool(row) and row["status"] == "scheduled")
        mark = tenant["id"]
        story.alert("Sentry hears of it", lambda: journal.wait(provider="sentry", contains=mark))
        story.alert("Slack hears of it", lambda: journal.wait(provider="slack", contains=mark))

    story.recovered("bookings are charged again", lambda: _charged(book(tenants(), time="11:00"), journal))


def _charged(booking, journal):
    customer = booking.tenant["stripe_customer_id"]
    seen = eventually(
        lambda: journal.requests(provider="stripe", method="POST", contains=customer),
        lambda found: any(r["accepted"] for r in found),
        within=5,
    )
    return booking.success and any(r["accepted"] for r in seen)
