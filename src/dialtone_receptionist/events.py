"""Webhook events that were taken in: each id has its effect once.

The row and the effect are one transaction. A redelivery finds the row; a failed handler leaves none behind, so that the
provider's next attempt is a first one.
"""

from __future__ import annotations

from dialtone_receptionist.database import Connection, Database
from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.upstash import Upstash, UpstashError


async def claim(connection: Connection, provider: str, event_id: str, event_type: str) -> bool:
    """Note an event; False when it was noted before. Waits for a transaction that is noting the same event."""
    cursor = await connection.execute(
        "INSERT INTO webhook_events (provider, event_id, event_type) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (provider, event_id, event_type),
    )
    return cursor.rowcount == 1


async def mark_processed(connection: Connection, provider: str, event_id: str) -> None:
    """Note inside of the transaction that the event's effect is complete with it."""
    await connection.execute(
        "UPDATE webhook_events SET processed_at = clock_timestamp() WHERE provider = %s AND event_id = %s",
        (provider, event_id),
    )


async def mark_processed_later(db: Database, provider: str, event_id: str) -> None:
    """Note that work which went on after the answer is complete."""
    await db.execute(
        "UPDATE webhook_events SET processed_at = clock_timestamp()"
        " WHERE provider = %(provider)s AND event_id = %(event)s",
        provider=provider,
        event=event_id,
    )


async def seen_in_redis(redis: Upstash | None, provider: str, event_id: str) -> bool:
    """The defect claim-before-processing: what Redis has seen counts as done, whatever became of it."""
    if redis is None or not on("claim-before-processing"):
        return False
    try:
        return (await redis.pipeline(("SET", f"seen:{provider}:{event_id}", 1, "NX", "EX", 86_400)))[0] is None
    except UpstashError:
        return False
