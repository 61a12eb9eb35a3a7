"""Appointments in Google Calendar: written with the booking, or later by the cron route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import uuid4

import httpx

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Database
from dialtone_receptionist.defects import on
from dialtone_receptionist.grants import Grant, Grants, NotConnected
from dialtone_receptionist.providers.google import Google, GoogleUnavailable
from dialtone_receptionist.providers.outgoing import Budget, OutgoingError, retry_after
from dialtone_receptionist.records import Appointment, Business

_GONE = (404, 410)  # an event that its owner has removed stays removed

Act = Callable[[str, Budget], Awaitable[httpx.Response]]


class Calendar:
    """The calendars of the businesses. A failure is reported and leaves the appointment to the cron route.

    `seconds` for everything that one appointment needs of Google, `retry_seconds` for the first wait of the outbox.
    """

    def __init__(
        self, db: Database, google: Google, alerts: Alerts, seconds: float = 3.0, retry_seconds: float = 30.0
    ) -> None:
        self._db = db
        self._google = google
        self._alerts = alerts
        self._seconds = seconds
        self._first = retry_seconds
        self.grants = Grants(db, google, alerts)

    async def write(self, business: Business, appointment: Appointment, *, from_cron: bool = False) -> bool:
        """Write the event of an appointment and note its id; whether it is in the calendar now."""

        event = appointment.event(business.timezone)
        if on("calendar-new-id-each-try") and await self._was_tried(appointment):
            event["id"] = f"b{uuid4().hex}"

        async def insert(token: str, budget: Budget) -> httpx.Response:
            return await self._google.insert_event(token, event, budget)

        if on("calendar-no-outbox"):
            await self._written(appointment)
        answer = await self._act(
            business,
            insert,
            even_if_disconnected=from_cron and on("invalid-grant-retried"),
            skips_with_good_token=not from_cron and on("calendar-skipped"),
        )
        # 409: an earlier write arrived although its answer did not; the id is our own, so it is the same event.
        is_there = answer is not None and answer.status_code == 409 and not on("calendar-repeat-blind")
        if answer is None or not (_is_event(answer) or is_there):
            if answer is not None and answer.is_success:
                self._tell(business, "google answered with something else than an event")
            if business.calendar_connected:
                await self._put_off(appointment, answer)
            return False
        await self._written(appointment)
        return True

    async def _was_tried(self, appointment: Appointment) -> bool:
        row = await self._db.one("SELECT tries FROM appointments WHERE id = %(id)s", id=appointment.id)
        return row is not None and row["tries"] > 0

    async def _written(self, appointment: Appointment) -> None:
        """Note the event; an appointment that was cancelled meanwhile has one too many now."""
        await self._db.execute(
            "UPDATE appointments SET google_event_id = %(event)s, tries = 0, next_try_at = now(),"
            " calendar_stale_at = CASE WHEN status = 'scheduled' THEN calendar_stale_at ELSE clock_timestamp() END"
            " WHERE id = %(id)s",
            event=appointment.event_id,
            id=appointment.id,
        )

    async def _put_off(self, appointment: Appointment, answer: httpx.Response | None) -> None:
        await self._db.execute(
            "UPDATE appointments SET tries = tries + 1, next_try_at = next_try(tries, %(first)s, %(asked)s)"
            " WHERE id = %(id)s",
            id=appointment.id,
            first=self._first,
            asked=retry_after(answer) if answer is not None else 0.0,
        )

    async def follow(self, business: Business, appointment: Appointment, stale_at: datetime) -> bool:
        """Bring a written event to what the appointment says since `stale_at`: moved, or gone; whether it is now."""
        if appointment.status == "scheduled":
            event = appointment.event(business.timezone)
            answer = await self._act(
                business, lambda token, budget: self._google.patch_event(token, appointment.event_id, event, budget)
            )
        else:
            answer = await self._act(
                business, lambda token, budget: self._google.delete_event(token, appointment.event_id, budget)
            )
        if answer is None or not (answer.is_success or answer.status_code in _GONE):
            await self._put_off(appointment, answer)
            return False
        await self._db.execute(
            "UPDATE appointments SET calendar_stale_at = NULL, tries = 0, next_try_at = now()"
            " WHERE id = %(id)s AND calendar_stale_at = %(seen)s",
            id=appointment.id,
            seen=stale_at,
        )
        return True

    async def _act(
        self, business: Business, act: Act, *, even_if_disconnected: bool = False, skips_with_good_token: bool = False
    ) -> httpx.Response | None:
        """Act on the calendar with a token that works; None when that was not possible."""
        if not business.calendar_connected and not even_if_disconnected:
            return None
        budget = Budget(None if on("no-timeouts") or on("no-timeout-google") else self._seconds)
        try:
            grant = await self.grants.find(business.id, even_if_disconnected=even_if_disconnected)
            answer = await self._with_token(grant, act, budget, skips_with_good_token)
        except NotConnected:
            return None
        except (GoogleUnavailable, OutgoingError) as error:
            self._tell(business, str(error))
            return None
        if answer is not None and not answer.is_success and answer.status_code not in (409, *_GONE):
            self._tell(business, f"google answered {answer.status_code}")
        return answer

    def _tell(self, business: Business, why: str) -> None:
        if not on("alert-missing-google"):
            self._alerts.trouble("calendar not written", str(business.id), why)

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
        return [pair for pair, _ in await self._waiting(limit, stale=False)]

    async def stale(self, limit: int) -> list[tuple[tuple[Business, Appointment], datetime]]:
        """Appointments whose event says something else than they do, with the time of the change."""
        return await self._waiting(limit, stale=True)

    async def _waiting(self, limit: int, *, stale: bool) -> list[tuple[tuple[Business, Appointment], datetime]]:
        rows = await self._db.all(
            "SELECT a.*, b.id AS b_id, b.business_name, b.phone_number, b.timezone, b.stripe_customer_id,"
            " b.calendar_connected FROM appointments a JOIN businesses b ON b.id = a.business_id"
            " WHERE CASE WHEN %(stale)s THEN a.google_event_id IS NOT NULL AND a.calendar_stale_at IS NOT NULL"
            "  ELSE a.google_event_id IS NULL AND a.status = 'scheduled' AND a.scheduled_date >= current_date - 1 END"
            " AND (a.next_try_at <= now() OR %(hasty)s) AND (b.calendar_connected OR %(retry_revoked)s)"
            " AND (b.google_access_token IS NOT NULL OR b.google_refresh_token IS NOT NULL)"
            " ORDER BY a.created_at DESC LIMIT %(limit)s",
            limit=limit,
            stale=stale,
            hasty=on("no-backoff"),
            retry_revoked=on("invalid-grant-retried"),
        )
        return [
            ((Business.of({**row, "id": row["b_id"]}), Appointment.of(row)), row["calendar_stale_at"]) for row in rows
        ]


def _is_event(answer: httpx.Response) -> bool:
    """Whether Google wrote the event: a page that somebody else answers with 200 is none."""
    if on("page-taken-for-event"):
        return answer.is_success
    return answer.is_success and "json" in answer.headers.get("content-type", "")
