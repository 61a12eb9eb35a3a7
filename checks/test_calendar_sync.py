"""Calendar sync (P2): appointments reach Google, and access tokens are refreshed, stored and given up as they should.

Each check brings a tenant of its own in the state in question; Google (or its stand-in) does the rest.
"""

from __future__ import annotations

from dialtone import check, eventually, expect, fail, ok, undecided
from dialtone.probes.provider import access_token

_PATH = ["webhooks.retell", "requests.book", "tenant", "database"]


@check(
    severity="P2",
    runbook="calendar",
    objective="calendar_sync",
    catches=["calendar-unsynced"],
    needs=["database", "indicators.calendar_sync"],
    requests=0,
)
def test_calendar_sync_rate(indicator):
    """Of the appointments of connected businesses, nearly all are in the calendar."""
    indicator("calendar_sync", what="appointments that reached the calendar")


def _connected(target, tenants, run, *, life, credential="google_refresh_token", access="ya29.dialtone-expired"):
    """A tenant whose calendar is connected and whose access token has `life` seconds left."""
    refresh = (
        f"{target.secret(credential)}-{run.id()}" if credential != "google_refresh_token" else target.secret(credential)
    )
    return tenants(connected="true", access_token=access, refresh_token=refresh, token_life=str(life))


def _tokens(target, db, tenant):
    row = db.one(target.query("stored_token"), {"id": tenant["id"]})
    if not row:
        undecided("the synthetic tenant is gone")
    return row


def _synced(target, db, booking):
    return eventually(
        lambda: db.one(target.query("appointment"), {"appointment_id": booking.appointment_id}),
        lambda row: bool(row and row["event_id"]),
        within=target.profile.settle,
    )


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["refresh-not-stored"],
    needs=[*_PATH, "queries.appointment", "credentials.google_refresh_token", "queries.stored_token"],
    requests=1,
)
def test_expired_token_is_refreshed(target, tenants, book, db, run, unsealed):
    """An expired access token is refreshed on the way, and the new one is stored with its time."""
    tenant = _connected(target, tenants, run, life=-60)
    booking = book(tenant).must_have_worked()
    if not (_synced(target, db, booking) or {}).get("event_id"):
        undecided("the appointment did not reach the calendar; see booking_reaches_the_calendar")
    row = eventually(
        lambda: _tokens(target, db, tenant), lambda r: float(r["life"] or 0) > 60, within=target.profile.settle
    )
    if float(row["life"] or 0) <= 60 or unsealed(row["token"]) == "ya29.dialtone-expired":
        fail("the refreshed access token was not stored: every call refreshes it again")
    ok("the expired token was refreshed and stored", value=float(row["life"]), unit="s")


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["refresh-late"],
    needs=[*_PATH, "queries.appointment", "credentials.google_refresh_token", "queries.stored_token", "journal"],
    requests=1,
)
def test_token_is_refreshed_before_expiry(target, tenants, book, db, run, journal):
    """A token with a minute left is refreshed before it is used: clocks differ, and calls take time."""
    own = f"{target.secret('google_refresh_token')}-{run.id()}"
    tenant = tenants(connected="true", access_token=access_token(target, "google"), refresh_token=own, token_life="60")
    booking = book(tenant).must_have_worked()
    if not (_synced(target, db, booking) or {}).get("event_id"):
        undecided("the appointment did not reach the calendar; see booking_reaches_the_calendar")
    if not journal.wait(provider="google_oauth", contains=own, within=target.profile.quiet):
        fail("a token with one minute left was used until its end")
    ok("a token is refreshed minutes before it expires")


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["skew-401-gives-up"],
    needs=[*_PATH, "credentials.google_refresh_token", "queries.appointment"],
    requests=1,
)
def test_clock_skew_is_healed(target, tenants, book, db, run):
    """A token that looks valid here but not to Google (401) is refreshed once, and the call made again."""
    tenant = _connected(target, tenants, run, life=3000, access="ya29.dialtone-not-valid")
    booking = book(tenant).must_have_worked()
    if not (_synced(target, db, booking) or {}).get("event_id"):
        fail("a calendar 401 was not answered by a refresh: the appointment is missing in the calendar")
    ok("a calendar 401 is healed by a refresh")


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["rotation-dropped"],
    needs=[*_PATH, "queries.appointment", "credentials.google_rotating_token", "queries.stored_token"],
    requests=1,
)
def test_rotated_token_is_kept(target, tenants, book, db, run, unsealed):
    """When a refresh brings a new refresh token, that one is kept: the old one is dead."""
    tenant = _connected(target, tenants, run, life=-60, credential="google_rotating_token")

    def kept():
        return unsealed(_tokens(target, db, tenant)["refresh"])

    before = kept()
    booking = book(tenant).must_have_worked()
    if not (_synced(target, db, booking) or {}).get("event_id"):
        undecided("the appointment did not reach the calendar; see booking_reaches_the_calendar")
    if eventually(kept, lambda token: token != before, within=target.profile.quiet) == before:
        fail("the rotated refresh token was dropped: the calendar disconnects at the next refresh")
    ok("the rotated refresh token is kept")


def _revoked(tenants, run):
    """A tenant whose owner took the permission back, and its refresh token."""
    refresh = f"1//revoked-{run.id()}"
    return tenants(
        connected="true", access_token="ya29.dialtone-expired", refresh_token=refresh, token_life="-60"
    ), refresh


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["invalid-grant-ignored"],
    needs=[*_PATH, "queries.stored_token", "queries.reconnect_asked"],
    requests=1,
)
def test_revoked_grant_asks_to_reconnect(target, tenants, book, db, run):
    """An owner who took back the permission is asked to reconnect, and no longer counted as connected."""
    tenant, _ = _revoked(tenants, run)
    book(tenant).must_have_worked()

    def look():
        asked = db.value(target.query("reconnect_asked"), {"id": tenant["id"]})
        return int(asked or 0), bool(_tokens(target, db, tenant)["connected"])

    asked, connected = eventually(look, lambda seen: seen[0] > 0 and not seen[1], within=target.profile.settle)
    if not asked:
        fail("the calendar permission is gone and nobody asks the owner to reconnect")
    if connected:
        fail("the calendar permission is gone and the business still counts as connected")
    ok("the owner is asked to reconnect")


@check(
    severity="P3",
    runbook="calendar",
    effect="costs",
    catches=["invalid-grant-retried"],
    needs=[*_PATH, "journal"],
    requests=2,
)
def test_revoked_grant_is_not_retried(target, tenants, book, journal, run):
    """A refresh that was refused for good (invalid_grant) is not tried again and again."""
    tenant, refresh = _revoked(tenants, run)
    book(tenant).must_have_worked()

    def tries():
        return len(journal.requests(provider="google_oauth", contains=refresh))

    seen = eventually(tries, lambda n: n > 2, within=target.profile.quiet)
    if seen == 0:
        undecided("no refresh was tried")
    if seen > 2:
        fail(f"a refresh that was refused for good was tried {seen} times for one booking", value=seen, unit="count")
    ok("a refusal for good is taken as one", value=seen, unit="count")


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["calendar-skipped"],
    needs=[*_PATH, "credentials.google_refresh_token", "queries.appointment"],
    requests=1,
)
def test_booking_reaches_the_calendar(target, tenants, book, db, run):
    """A booking of a connected business is in its calendar a moment later."""
    tenant = _connected(target, tenants, run, life=3000, access=access_token(target, "google"))
    booking = book(tenant).must_have_worked()
    if not (_synced(target, db, booking) or {}).get("event_id"):
        fail(f"the appointment is not in the calendar after {target.profile.settle:g} s")
    ok("the appointment is in the calendar")


@check(
    severity="P2",
    runbook="calendar",
    effect="costs",
    catches=["calendar-never-resynced"],
    needs=[
        "tenant",
        "database",
        "routes.jobs",
        "cron",
        "credentials.google_refresh_token",
        "queries.appointment",
        "queries.unsynced_appointment",
        "values.caller",
    ],
    requests=2,
)
def test_unsynced_appointment_is_synchronised_later(target, tenants, cron, db, run):
    """An appointment whose calendar write failed is synchronised by the next background run."""
    tenant = _connected(target, tenants, run, life=-60)
    row = db.write(
        target.query("unsynced_appointment"),
        {"id": tenant["id"], "caller": target.value("caller"), "marker": run.marker},
    )[0]
    expect(cron("jobs")).status(200, 202, 204)
    found = eventually(
        lambda: db.one(target.query("appointment"), {"appointment_id": row["appointment_id"]}),
        lambda r: bool(r and r["event_id"]),
        within=target.profile.settle,
    )
    if not found or not found["event_id"]:
        fail("an appointment that missed the calendar once is never written there")
    ok("the background run brings missed appointments into the calendar")
