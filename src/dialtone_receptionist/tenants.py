"""Finding the business that a call, a message or an event is about."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from dialtone_receptionist.database import Connection, Database, Row

_COLUMNS: LiteralString = (
    "SELECT id, business_name, phone_number, escalation_phone, timezone, retell_agent_id, stripe_customer_id,"
    " calendar_connected FROM businesses"
)
_NEWEST: LiteralString = " ORDER BY created_at DESC LIMIT 1"


async def by_number(db: Database, number: str) -> Row | None:
    """The business whose phone number this is."""
    return await db.one(_COLUMNS + " WHERE phone_number = %(number)s" + _NEWEST, number=number)


async def by_agent(db: Database, agent_id: str | None, number: str | None) -> Row | None:
    """The business of a Retell agent, else the one with the number that was called."""
    row = None
    if agent_id:
        row = await db.one(_COLUMNS + " WHERE retell_agent_id = %(agent)s" + _NEWEST, agent=agent_id)
    if row is None and number:
        row = await by_number(db, number)
    return row


async def by_id(db: Database, business_id: UUID) -> Row | None:
    """The business with this id."""
    return await db.one(_COLUMNS + " WHERE id = %(id)s", id=business_id)


async def by_customer(connection: Connection, reference: object, customer: object) -> UUID | None:
    """The business that a Stripe object is about: by its own id as reference, else by the Stripe customer."""
    cursor = await connection.execute(
        "SELECT id FROM businesses WHERE id::text = %(reference)s OR stripe_customer_id = %(customer)s"
        " ORDER BY id::text = %(reference)s DESC NULLS LAST, created_at DESC LIMIT 1",
        {
            "reference": reference if isinstance(reference, str) else None,
            "customer": customer if isinstance(customer, str) else None,
        },
    )
    row = await cursor.fetchone()
    return None if row is None else row["id"]
