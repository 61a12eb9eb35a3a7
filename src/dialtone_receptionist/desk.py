"""The front desk while Postgres is away: whose number was called as far as is remembered, and what is noted later.

A caller must not hear silence because a database is down. What is kept here is lost with the process, hence only as
long as nothing better can be had.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import psycopg

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.database import Row

_MOST = 1000
_EVERY = 1.0  # seconds between two tries to note what waits

Work = Callable[[], Awaitable[None]]


class Desk:
    """The memory of one process."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._rows: dict[str, Row] = {}
        self._handled: set[str] = set()
        self._waiting: deque[Work] = deque()
        self._task: asyncio.Task[None] | None = None

    def remember(self, number: str, business: Row | None) -> None:
        """Keep what the database said of a number."""
        if business is None:
            self._rows.pop(number, None)
            return
        if len(self._rows) >= _MOST:
            self._rows.clear()
        self._rows[number] = business

    def recall(self, number: str) -> Row | None:
        """The business that the number belonged to when it was last looked up here."""
        return self._rows.get(number)

    def takes(self, call_id: str) -> bool:
        """Whether nobody has taken this call here before."""
        if call_id in self._handled:
            return False
        if len(self._handled) >= _MOST:
            self._handled.clear()
        self._handled.add(call_id)
        return True

    def later(self, work: Work) -> None:
        """Do the work as soon as the database answers; it is tried until then."""
        if len(self._waiting) >= _MOST:
            self._waiting.popleft()
            self._alerts.message("more calls wait to be noted than are kept in memory: one is lost", "critical")
        self._waiting.append(work)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(_EVERY)
            with contextlib.suppress(psycopg.OperationalError):
                await self.note()

    async def note(self) -> None:
        """Do what waits, oldest first. Raises `psycopg.OperationalError` while the database is away."""
        while self._waiting:
            try:
                await self._waiting[0]()
            except psycopg.OperationalError:
                raise
            except Exception as error:  # noqa: BLE001  # one that cannot be done must not hold up the others
                self._alerts.error(error)
            self._waiting.popleft()

    async def close(self) -> None:
        """Try a last time, and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            with contextlib.suppress(psycopg.OperationalError):
                await self.note()
