"""The fee of 50 dollars that a business pays for each booking: charged once, however often it is tried."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Connection, Database
from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.outgoing import OutgoingError
from dialtone_receptionist.providers.stripe import Stripe, StripeRefusal
from dialtone_receptionist.records import Business

FEE_CENTS = 5000
DESCRIPTION = "Booking fee"


class Fees:
    """Fees and their rows in `billing_history`: pending with the booking, then paid or failed.

    Two bookings of one business at the same moment may share an invoice, since Stripe puts all pending items on it: the
    sum is right all the same.
    """

    def __init__(self, db: Database, stripe: Stripe, alerts: Alerts, retry_seconds: float = 30.0) -> None:
        self._db = db
        self._stripe = stripe
        self._alerts = alerts
        self._first = retry_seconds
        self._lease = stripe.longest + 5  # seconds

    async def promise(self, connection: Connection, business: Business, appointment_id: UUID) -> bool:
        """Note a fee in the booking's transaction; False for a business that is not charged.

        The lease keeps a cron run away while the booking itself is charging.
        """
        if not business.stripe_customer_id:
            return False
        await connection.execute(
            "INSERT INTO billing_history (business_id, appointment_id, amount_cents, status, description, leased_until)"
            " VALUES (%s, %s, %s, 'pending', %s, now() + interval '1 second' * %s)",
            (business.id, appointment_id, FEE_CENTS, DESCRIPTION, self._lease),
        )
        return True

    async def charge(self, business_id: UUID, customer: str, appointment_id: UUID, attempt: str = "") -> bool:
        """Charge a promised fee; whether it is paid. A failure that may pass leaves it pending for the cron route.

        Another `attempt` is another charge: without a defect there is but one.
        """
        stripe = self._stripe
        if on("live-key"):
            stripe = replace(stripe, api_key="sk_live_" + stripe.api_key.removeprefix("sk_test_"))
        reference, key = str(appointment_id), f"booking-{appointment_id}{attempt}"
        if on("stripe-old-key-first"):
            with suppress(StripeRefusal):
                await replace(stripe, api_key="sk_test_rotated").charge(
                    customer, FEE_CENTS, DESCRIPTION, reference, f"{key}-old"
                )
        try:
            invoice = await stripe.charge(customer, FEE_CENTS, DESCRIPTION, reference, key)
            if on("fee-doubled"):
                await stripe.charge(customer, FEE_CENTS, DESCRIPTION, reference, f"{key}-retry")
        except (StripeRefusal, OutgoingError) as error:
            await self._put_off(appointment_id, error)
            if not on("alert-missing-stripe"):
                self._alerts.trouble("booking fee not charged", str(business_id), str(error))
            return False
        await self._db.execute(
            "UPDATE billing_history SET status = 'paid', stripe_invoice_id = %(invoice)s, leased_until = NULL"
            " WHERE appointment_id = %(appointment)s",
            invoice=invoice,
            appointment=appointment_id,
        )
        return True

    async def _put_off(self, appointment_id: UUID, error: StripeRefusal | OutgoingError) -> None:
        refusal = error if isinstance(error, StripeRefusal) else None
        is_final = (refusal is not None and refusal.is_final) or on("fee-not-queued")
        await self._db.execute(
            "UPDATE billing_history SET status = %(status)s, leased_until = NULL, tries = tries + 1,"
            " next_try_at = next_try(tries, %(first)s, %(asked)s)"
            " WHERE appointment_id = %(appointment)s AND status = 'pending'",
            status="failed" if is_final and not on("declined-retried") else "pending",
            appointment=appointment_id,
            first=self._first,
            asked=refusal.wait if refusal is not None else 0.0,
        )

    async def take_pending(self, limit: int) -> list[tuple[UUID, str, UUID]]:
        """Lease fees that nobody is charging: (business, Stripe customer, appointment).

        Only of the last 23 hours: Stripe forgets idempotency keys after 24, and a second charge is worse than none.
        """
        if on("fee-outbox-not-drained"):
            return []
        rows = await self._db.all(
            "UPDATE billing_history h SET leased_until = now() + interval '1 second' * %(lease)s"
            " FROM businesses b WHERE h.id IN ("
            "  SELECT id FROM billing_history WHERE status = 'pending' AND appointment_id IS NOT NULL"
            "  AND (leased_until IS NULL OR leased_until < now()) AND created_at > now() - interval '23 hours' AND"
            "  (next_try_at <= now() OR %(hasty)s) ORDER BY created_at DESC LIMIT %(limit)s FOR UPDATE SKIP LOCKED)"
            " AND b.id = h.business_id AND b.stripe_customer_id IS NOT NULL"
            " RETURNING h.business_id, b.stripe_customer_id, h.appointment_id",
            limit=limit,
            lease=self._lease,
            hasty=on("no-backoff"),
        )
        return [(row["business_id"], row["stripe_customer_id"], row["appointment_id"]) for row in rows]
