"""How many requests were answered how: counted in memory, added to `request_counts` every few seconds.

An error rate of real traffic needs both halves of the fraction, and clusters of refusals need their minutes. Nothing
of a request is kept but its kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable

import psycopg

from dialtone_receptionist.database import Database

_EVERY = 5.0  # seconds
_KINDS = (
    ("/_next/", ""),
    ("/api/auth/", "login"),
    ("/api/stripe/webhook", "webhook"),
    ("/api/retell/", "webhook"),
    ("/api/telnyx/", "webhook"),
    ("/api/sms/", "webhook"),
    ("/api/", "api"),
)

Key = tuple[int, str, int, bool]


def kind_of(path: str) -> str:
    """`page`, `api`, `login` or `webhook`; empty for static files, which a deployed application never sees."""
    return next((kind for prefix, kind in _KINDS if path.startswith(prefix)), "page")


class Traffic:
    """The counts of one process. An error while adding them goes to `report`; what could not be added is kept."""

    def __init__(
        self, db: Database, report: Callable[[BaseException], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._db, self._report, self._clock = db, report, clock
        self._counts: Counter[Key] = Counter()
        self._task: asyncio.Task[None] | None = None

    def count(self, path: str, status: int, *, is_probe: bool) -> None:
        """Count one answer, to a probe that says what it is or to anybody else."""
        kind = kind_of(path)
        if kind:
            self._counts[int(self._clock() // 60), kind, status, is_probe] += 1

    def start(self) -> None:
        """Begin to add the counts to the database."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Add what was counted since the last time."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        keys = sorted(counts)  # in one order: two processes that add the same minutes never wait for each other
        try:
            await self._db.execute(
                "INSERT INTO request_counts (minute, kind, status, is_synthetic, requests)"
                " SELECT to_timestamp(m * 60), k, s, p, n"
                " FROM unnest(%(m)s::bigint[], %(k)s::text[], %(s)s::int[], %(p)s::bool[], %(n)s::int[])"
                " AS v (m, k, s, p, n) ON CONFLICT (minute, kind, status, is_synthetic)"
                " DO UPDATE SET requests = request_counts.requests + excluded.requests",
                m=[key[0] for key in keys],
                k=[key[1] for key in keys],
                s=[key[2] for key in keys],
                p=[key[3] for key in keys],
                n=[counts[key] for key in keys],
            )
        except (psycopg.Error, OSError) as error:
            self._counts.update(counts)
            self._report(error)

    async def forget(self) -> None:
        """Remove counts that nobody looks at any more."""
        await self._db.execute("DELETE FROM request_counts WHERE minute < now() - interval '25 hours'")

    async def close(self) -> None:
        """Add the rest and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.flush()
