"""Outgoing SMS: queued with what they confirm, sent at most once, and not to who has opted out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Connection, Database, Row
from dialtone_receptionist.defects import on
from dialtone_receptionist.desk import Work
from dialtone_receptionist.providers.outgoing import OutgoingError, retry_after
from dialtone_receptionist.providers.telnyx import Telnyx
from dialtone_receptionist.records import Appointment, Business

_PASSING = (401, 403, 408, 429)  # statuses below 500 that a later try can get over


class Messages:
    """The outbox. A row of `sms_messages` goes queued -> sending -> sent, or suppressed / failed / unconfirmed."""

    def __init__(
        self, db: Database, telnyx: Telnyx, alerts: Alerts, later: Callable[[Work], None], retry_seconds: float = 30.0
    ) -> None:
        self._later = later
        self._db = db
        self._telnyx = telnyx
        self._alerts = alerts
        self._first = retry_seconds

    async def queue_confirmation(
        self, connection: Connection, business: Business, appointment: Appointment
    ) -> UUID | None:
        """Queue the confirmation of a booking in its transaction; None when there is no number to or from."""
        if not business.phone_number or not appointment.customer_phone or on("sms-unsent"):
            return None
        text = (
            f"{business.name}: your {appointment.service_type or 'appointment'} is booked for "
            f"{appointment.day:%d %B %Y} at {appointment.start:%H:%M}. Reply STOP to opt out."
        )
        return await self._queue(
            connection, business.id, business.phone_number, appointment.customer_phone, text, appointment.id
        )

    async def queue_reply(self, connection: Connection, business_id: UUID, sender: str, to: str, text: str) -> UUID:
        """Queue the answer to a keyword such as STOP or HELP: the law wants it sent to who has opted out as well."""
        return await self._queue(connection, business_id, sender, to, text, None)

    async def _queue(
        self, connection: Connection, business_id: UUID, sender: str, to: str, text: str, appointment_id: UUID | None
    ) -> UUID:
        cursor = await connection.execute(
            "INSERT INTO sms_messages (business_id, direction, from_number, to_number, body, status, appointment_id)"
            " VALUES (%s, 'outbound', %s, %s, %s, 'queued', %s) RETURNING id",
            (business_id, sender, to, text, appointment_id),
        )
        row = await cursor.fetchone()
        assert row is not None
        identifier: UUID = row["id"]
        return identifier

    async def deliver(self, identifier: UUID) -> bool:
        """Send a queued message; whether it is off. Whoever sets it to `sending` first sends it, nobody else."""
        taken_by = uuid4()
        try:
            row = await self._take(identifier, taken_by)
        except psycopg.OperationalError:
            # It may be ours without our knowing, and surely was not sent.
            self._later(lambda: self._give_back(identifier, taken_by))
            raise
        if row is None or row["status"] == "suppressed":
            return False
        is_confirmation = row["appointment_id"] is not None
        key = self._telnyx.api_key + "\n" if is_confirmation and on("telnyx-key-newline") else ""
        try:
            answer = await self._telnyx.send_message(row["from_number"], row["to_number"], row["body"], key)
        except OutgoingError as error:
            # Telnyx has no idempotency key for messages: one that may have been taken is not sent again.
            is_over = error.maybe_taken and not on("sms-retry-doubles")
            await self._put_off(identifier, "unconfirmed" if is_over else "queued")
            self._tell(row["business_id"], str(error))
            return False
        message_id = _message_id(answer)
        if answer.is_success and (message_id or on("page-taken-for-sms")):
            await self._db.execute(
                "UPDATE sms_messages SET status = 'sent', message_id = %(message)s WHERE id = %(id)s",
                id=identifier,
                message=message_id,
            )
            return True
        is_passing = answer.status_code >= 500 or answer.status_code in _PASSING or answer.is_success
        is_queued = is_passing and not on("sms-not-queued")
        await self._put_off(identifier, "queued" if is_queued else "failed", retry_after(answer))
        self._tell(row["business_id"], f"telnyx answered {answer.status_code} to an SMS")
        return False

    async def _take(self, identifier: UUID, taken_by: UUID) -> Row | None:
        return await self._db.one(
            "UPDATE sms_messages m SET taken_by = %(taken_by)s, status = CASE WHEN m.appointment_id IS NOT NULL"
            " AND EXISTS (SELECT FROM consents c WHERE c.business_id = m.business_id"
            "  AND c.phone_number = m.to_number AND c.status = 'opted_out') THEN 'suppressed' ELSE 'sending' END"
            " WHERE id = %(id)s AND status = 'queued'"
            " RETURNING status, from_number, to_number, body, business_id, appointment_id",
            id=identifier,
            taken_by=taken_by,
        )

    async def _give_back(self, identifier: UUID, taken_by: UUID) -> None:
        await self._db.execute(
            "UPDATE sms_messages SET status = 'queued' WHERE id = %(id)s AND status = 'sending'"
            " AND taken_by = %(taken_by)s",
            id=identifier,
            taken_by=taken_by,
        )

    async def _put_off(self, identifier: UUID, status: str, asked: float = 0.0) -> None:
        await self._db.execute(
            "UPDATE sms_messages SET status = %(status)s, tries = tries + 1,"
            " next_try_at = next_try(tries, %(first)s, %(asked)s) WHERE id = %(id)s",
            id=identifier,
            status=status,
            first=self._first,
            asked=asked,
        )

    def _tell(self, business_id: UUID, why: str) -> None:
        if not on("alert-missing-sms"):
            self._alerts.trouble("confirmation not sent", str(business_id), why)

    async def queued(self, limit: int) -> list[UUID]:
        """Messages of the last day that still wait, newest first."""
        if on("sms-outbox-not-drained"):
            return []
        rows = await self._db.all(
            "SELECT id FROM sms_messages WHERE status = 'queued' AND direction = 'outbound'"
            " AND created_at > now() - interval '1 day' AND (next_try_at <= now() OR %(hasty)s)"
            " ORDER BY created_at DESC LIMIT %(limit)s",
            limit=limit,
            hasty=on("no-backoff"),
        )
        return [row["id"] for row in rows]


def _message_id(answer: Any) -> str | None:
    try:
        return str(answer.json()["data"]["id"])
    except (ValueError, KeyError, TypeError):
        return None
