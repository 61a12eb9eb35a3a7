"""POST /api/stripe/webhook: subscriptions and payments, as Stripe reports them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dialtone_receptionist import tenants
from dialtone_receptionist.database import Connection
from dialtone_receptionist.defects import on
from dialtone_receptionist.events import claim, mark_processed, seen_in_redis
from dialtone_receptionist.routes.answers import BadRequest, parse_object, received, refusal, unhandled
from dialtone_receptionist.services import Services, services
from dialtone_receptionist.verification import stripe_is_genuine

Object = dict[str, Any]
Handler = Callable[[Connection, UUID, Object, int], Awaitable[None]]

_STATUSES = {"trialing": "trialing", "active": "active", "past_due": "past_due", "unpaid": "past_due"}


async def stripe_webhook(request: Request) -> Response:
    """Verify, then the event and its effect in one transaction: a failure is a 500, and Stripe tries again."""
    found = services(request)
    body = await request.body()
    if on("webhook-redirects") and not request.url.path.endswith("/"):
        return RedirectResponse(request.url.path + "/", 308)
    if on("stripe-truncated-accepted") and not _parses(body):
        return received()
    if not found.settings.stripe_webhook_secret:
        return refusal(500, "webhook_secret_not_configured")
    if not stripe_is_genuine(body, request.headers, found.settings):
        return refusal(401, "invalid_signature")
    event = parse_object(body)
    event_type, event_id, data = event.get("type"), event.get("id"), event.get("data")
    if not isinstance(event_type, str) or not isinstance(event_id, str):
        raise BadRequest("invalid_event")
    subject = data.get("object") if isinstance(data, dict) else None
    handler = _HANDLERS.get(event_type)
    if handler is None or not isinstance(subject, dict):
        return unhandled(event_id)
    if await seen_in_redis(found.redis, "stripe", event_id):
        return received()
    created = event.get("created")
    if on("late-event-ignored") and isinstance(created, int) and created < time.time() - 300:
        return received()
    await _process(found, handler, event_id, event_type, subject, created if isinstance(created, int) else 0)
    return received()


def _parses(body: bytes) -> bool:
    try:
        parse_object(body)
    except BadRequest:
        return False
    return True


async def _process(
    found: Services, handler: Handler, event_id: str, event_type: str, subject: Object, created: int
) -> None:
    if on("stripe-claims-first"):
        async with found.db.transaction() as connection:
            await claim(connection, "stripe", event_id, event_type)
            await mark_processed(connection, "stripe", event_id)
        return  # where the handler's error would be caught and forgotten
    async with found.db.transaction() as connection:
        if not await claim(connection, "stripe", event_id, event_type):
            return
        business_id = await tenants.by_customer(connection, subject.get("client_reference_id"), subject.get("customer"))
        if business_id is None:
            found.alerts.message(f"a Stripe event {event_type} names no business of ours", "high")
        else:
            await handler(connection, business_id, subject, created)
        await mark_processed(connection, "stripe", event_id)


async def _checkout_completed(connection: Connection, business_id: UUID, session: Object, created: int) -> None:
    await connection.execute(
        "UPDATE businesses SET stripe_customer_id = coalesce(%s, stripe_customer_id) WHERE id = %s",
        (_text(session, "customer"), business_id),
    )
    await _set_status(connection, business_id, "active", created)
    await _store_subscription(
        connection, business_id, _text(session, "subscription") or _text(session, "id"), session, "active"
    )


async def _invoice_paid(connection: Connection, business_id: UUID, invoice: Object, created: int) -> None:
    is_fee = await _store_payment(connection, business_id, invoice, "paid", invoice.get("amount_paid"))
    if not is_fee and not on("invoice-not-activating"):
        await _set_status(connection, business_id, "active", created)


async def _invoice_failed(connection: Connection, business_id: UUID, invoice: Object, created: int) -> None:
    is_fee = await _store_payment(connection, business_id, invoice, "failed", invoice.get("amount_due"))
    if not is_fee:
        await _set_status(connection, business_id, "past_due", created)


async def _subscription_updated(connection: Connection, business_id: UUID, subject: Object, created: int) -> None:
    status = _STATUSES.get(_text(subject, "status") or "", "inactive")
    await _set_status(connection, business_id, status, created)
    await _store_subscription(connection, business_id, _text(subject, "id"), subject, status)


async def _subscription_deleted(connection: Connection, business_id: UUID, subject: Object, created: int) -> None:
    await _set_status(connection, business_id, "cancelled", created)
    await _store_subscription(connection, business_id, _text(subject, "id"), subject, "cancelled")


_HANDLERS: dict[str, Handler] = {
    "checkout.session.completed": _checkout_completed,
    "invoice.paid": _invoice_paid,
    "invoice.payment_failed": _invoice_failed,
    "customer.subscription.created": _subscription_updated,
    "customer.subscription.updated": _subscription_updated,
    "customer.subscription.deleted": _subscription_deleted,
}


def _text(subject: Object, name: str) -> str | None:
    value = subject.get(name)
    return value if isinstance(value, str) else None


async def _set_status(connection: Connection, business_id: UUID, status: str, created: int) -> None:
    """Stripe promises no order: an event older than the one that set the status does not set it back."""
    await connection.execute(
        "UPDATE businesses SET subscription_status = %s, subscription_event_at = to_timestamp(%s)"
        " WHERE id = %s AND (subscription_event_at IS NULL OR subscription_event_at <= to_timestamp(%s) OR %s)",
        (status, created, business_id, created, on("stripe-order-ignored")),
    )


async def _store_subscription(
    connection: Connection, business_id: UUID, identifier: str | None, subject: Object, status: str
) -> None:
    await connection.execute(
        "INSERT INTO stripe_subscriptions (business_id, stripe_subscription_id, stripe_customer_id, status)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (stripe_subscription_id)"
        " DO UPDATE SET status = excluded.status, updated_at = now()",
        (business_id, identifier, _text(subject, "customer"), status),
    )


async def _store_payment(
    connection: Connection, business_id: UUID, invoice: Object, status: str, amount: object
) -> bool:
    """Note a payment once for each invoice, a paid one for good; whether it is a booking fee of ours."""
    metadata = invoice.get("metadata")
    appointment = metadata.get("appointment_id") if isinstance(metadata, dict) else None
    if isinstance(appointment, str):
        await connection.execute(
            "UPDATE billing_history SET status = %s, stripe_invoice_id = %s, leased_until = NULL"
            " WHERE business_id = %s AND appointment_id::text = %s AND status <> 'paid'",
            (status, _text(invoice, "id"), business_id, appointment),
        )
        return True
    await connection.execute(
        "INSERT INTO billing_history (business_id, stripe_invoice_id, amount_cents, status, description)"
        " VALUES (%s, %s, %s, %s, 'Subscription') ON CONFLICT (stripe_invoice_id)"
        " DO UPDATE SET status = excluded.status, amount_cents = excluded.amount_cents"
        " WHERE billing_history.status <> 'paid'",
        (business_id, _text(invoice, "id"), amount if isinstance(amount, int) else 0, status),
    )
    return False
