"""Appointments in Google Calendar: written with the booking, or later by the cron route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Database
from dialtone_receptionist.defects import on
from dialtone_receptionist.grants import Grant, Grants, NotConnected
from dialtone_receptionist.providers.google import Budget, Google, GoogleUnavailable
from dialtone_receptionist.providers.outgoing import OutgoingError
from dialtone_receptionist.records import Appointment, Business

_TOTAL = 3.0  # seconds for everything that one appointment needs of Google

Act = Callable[[str, Budget], Awaitable[httpx.Response]]


class Calendar:
    """The calendars of the businesses. A failure is reported and leaves the appointment to the cron route."""

    def __init__(self, db: Database, google: Google, alerts: Alerts) -> None:
        self._db = db
        self._google = google
        self._alerts = alerts
        self.grants = Grants(db, google, alerts)

    async def write(self, business: Business, appointment: Appointment, *, from_cron: bool = False) -> bool:
        """Write the event of an appointment and note its id; whether it is in the calendar now."""

        async def insert(token: str, budget: Budget) -> httpx.Response:
            return await self._google.insert_event(token, appointment.event(business.timezone), budget)

        answer = await self._act(
            business,
            insert,
            even_if_disconnected=from_cron and on("invalid-grant-retried"),
            skips_with_good_token=not from_cron and on("calendar-skipped"),
        )
        # 409: an earlier write arrived although its answer did not; the id is our own, so it is the same event.
        if answer is None or not (answer.is_success or answer.status_code == 409):
            return False
        await self._db.execute(
            "UPDATE appointments SET google_event_id = %(event)s WHERE id = %(id)s",
            event=appointment.event_id,
            id=appointment.id,
        )
        return True

    async def move(self, business: Business, appointment: Appointment) -> None:
        """Bring a written event to what the appointment says now."""
        event = appointment.event(business.timezone)
        await self._act(
            business, lambda token, budget: self._google.patch_event(token, appointment.event_id, event, budget)
        )

    async def remove(self, business: Business, appointment: Appointment) -> None:
        """Remove the event of a cancelled appointment."""
        await self._act(business, lambda token, budget: self._google.delete_event(token, appointment.event_id, budget))

    async def _act(
        self, business: Business, act: Act, *, even_if_disconnected: bool = False, skips_with_good_token: bool = False
    ) -> httpx.Response | None:
        """Act on the calendar with a token that works; None when that was not possible."""
        if not business.calendar_connected and not even_if_disconnected:
            return None
        budget = Budget(None if on("no-timeouts") else _TOTAL)
        try:
            grant = await self.grants.find(business.id, even_if_disconnected=even_if_disconnected)
            answer = await self._with_token(grant, act, budget, skips_with_good_token)
        except NotConnected:
            return None
        except (GoogleUnavailable, OutgoingError) as error:
            self._alerts.error(error)
            return None
        if answer is not None and not answer.is_success and answer.status_code != 409:
            self._alerts.message(f"Google Calendar answered {answer.status_code}", "high")
        return answer

    async def _with_token(
        self, grant: Grant, act: Act, budget: Budget, skips_with_good_token: bool
    ) -> httpx.Response | None:
        token, is_new = await self.grants.fresh(grant, budget)
        if skips_with_good_token and not is_new:
            answer = await self._google.probe(token, budget)
            if answer.is_success:
                return None
        else:
            answer = await act(token, budget)
        if answer.status_code == 401 and not is_new and not on("skew-401-gives-up"):
            # The clocks disagree, or the token was withdrawn: what looks valid here is not valid there.
            token = await self.grants.refresh(grant, budget)
            answer = await act(token, budget)
        return answer

    async def unsynced(self, limit: int) -> list[tuple[Business, Appointment]]:
        """Coming appointments of connected businesses without an event, the latest bookings first."""
        rows = await self._db.all(
            "SELECT a.*, b.id AS b_id, b.business_name, b.phone_number, b.timezone, b.stripe_customer_id,"
            " b.calendar_connected FROM appointments a JOIN businesses b ON b.id = a.business_id"
            " WHERE a.google_event_id IS NULL AND a.status = 'scheduled' AND a.scheduled_date >= current_date - 1"
            " AND (b.calendar_connected OR %(retry_revoked)s)"
            " AND (b.google_access_token IS NOT NULL OR b.google_refresh_token IS NOT NULL)"
            " ORDER BY a.created_at DESC LIMIT %(limit)s",
            limit=limit,
            retry_revoked=on("invalid-grant-retried"),
        )
        return [(Business.of({**row, "id": row["b_id"]}), Appointment.of(row)) for row in rows]
