"""The business path: an appointment, then its calendar event, its fee and its confirmation.

The appointment, the promise of the fee and the queued confirmation are one transaction. What goes out to Google, Stripe
and Telnyx follows, all three at once: each may fail, none of them loses the appointment, and the cron route finishes
what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any
from uuid import UUID

from dialtone_receptionist.database import Connection
from dialtone_receptionist.defects import on
from dialtone_receptionist.records import Appointment, Business
from dialtone_receptionist.services import Services
from dialtone_receptionist.slots import Wish, store

_AT_ONCE = 8  # jobs of a cron run
_MOST_JOBS = 50


class _Lost(Exception):
    """Rolls a transaction back on purpose."""


async def book(services: Services, business: Business, wish: Wish, tool_call_key: str) -> UUID:
    """Book for a caller; the id of the appointment, when it is stored and everything else was tried.

    Raises `SlotTaken` and `AlreadyBooked`.
    """
    if on("booking-lost"):
        appointment, is_charged, message = await _book_in_vain(services, business, wish, tool_call_key)
    else:
        async with services.db.transaction() as connection:
            appointment = await store(connection, business.id, wish, tool_call_key)
            is_charged, message = await _promise(services, connection, business, appointment)
    jobs: dict[str, Coroutine[Any, Any, bool]] = {"google": services.calendar.write(business, appointment)}
    if is_charged and business.stripe_customer_id:
        jobs["stripe"] = services.fees.charge(business.id, business.stripe_customer_id, appointment.id)
    if message is not None:
        jobs["telnyx"] = services.messages.deliver(message)
    await _within_patience(services, jobs)
    return appointment.id


async def _within_patience(services: Services, jobs: Mapping[str, Coroutine[Any, Any, bool]]) -> None:
    """Wait for them as long as a caller would; what takes longer goes on after the answer."""
    tasks = {name: services.background.start(_follow_up(services, [job])) for name, job in jobs.items()}
    await asyncio.wait(tasks.values(), timeout=services.settings.answer_seconds)
    if endless := [task for name, task in tasks.items() if _is_waited_for(name)]:
        await asyncio.wait(endless)
    if on("alert-in-the-way"):
        await services.alerts.background.settle()


def _is_waited_for(provider: str) -> bool:
    """Whether a defect makes a caller wait for all that a provider does."""
    return on("booking-waits-for-all") or on(f"no-timeout-{provider}") or (provider == "google" and on("no-timeouts"))


async def _book_in_vain(
    services: Services, business: Business, wish: Wish, tool_call_key: str
) -> tuple[Appointment, bool, UUID | None]:
    """The defect booking-lost: the row is gone, and nothing else is."""
    try:
        async with services.db.transaction() as connection:
            appointment = await store(connection, business.id, wish, tool_call_key)
            raise _Lost  # noqa: TRY301  # the shortest way to roll back and go on
    except _Lost:
        async with services.db.transaction() as connection:
            return appointment, *await _promise(services, connection, business, appointment)


async def _promise(
    services: Services, connection: Connection, business: Business, appointment: Appointment
) -> tuple[bool, UUID | None]:
    is_charged = await services.fees.promise(connection, business, appointment.id)
    return is_charged, await services.messages.queue_confirmation(connection, business, appointment)


async def _follow_up(services: Services, jobs: Iterable[Coroutine[Any, Any, bool]]) -> int:
    """Do what goes out, a few at a time; how many succeeded. An error that nobody expected goes to Sentry."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def run(job: Coroutine[Any, Any, bool]) -> bool:
        async with gate:
            return await job

    results = await asyncio.gather(*(run(job) for job in jobs), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            services.alerts.error(result)
    return sum(result is True for result in results)


async def finish_jobs(services: Services) -> int:
    """Write, charge and send what bookings have left undone; how many pieces of that are done now."""
    jobs: list[Coroutine[Any, Any, bool]] = []
    if not on("calendar-never-resynced"):
        unsynced = await services.calendar.unsynced(_MOST_JOBS)
        jobs += [services.calendar.write(*pair, from_cron=True) for pair in unsynced]
    jobs += [services.fees.charge(*fee) for fee in await services.fees.take_pending(_MOST_JOBS)]
    jobs += [services.messages.deliver(message) for message in await services.messages.queued(_MOST_JOBS)]
    jobs += [services.calendar.follow(*pair, stale_at) for pair, stale_at in await services.calendar.stale(_MOST_JOBS)]
    return await _follow_up(services, jobs) + await services.alerts.drain()
