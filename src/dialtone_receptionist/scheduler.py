"""The hosting platform's cron: it asks for the cron route again and again, through the front door as Vercel's does.

https://vercel.com/docs/cron-jobs/manage-cron-jobs: a GET with `Authorization: Bearer CRON_SECRET`; its user agent is
`vercel-cron/1.0`. A run that fails is not repeated.
"""

from __future__ import annotations

import asyncio
import contextlib

from dialtone_receptionist.settings import Settings

SCHEDULER = "vercel-cron/"
"""How the scheduler's user agent begins."""

_ROUTE = "/api/cron/process-jobs"
_TOTAL = 20.0  # seconds for one run


class Scheduler:
    """Runs beside the edge. Without a cron secret it has nothing to say."""

    def __init__(self, settings: Settings) -> None:
        self._port, self._secret, self._every = settings.port, settings.cron_secret, settings.cron_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a first run at once."""
        if self._secret:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_TOTAL):
                    await self._ask()
            await asyncio.sleep(self._every)

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(
                f"GET {_ROUTE} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUser-Agent: {SCHEDULER}1.0\r\n"
                f"Authorization: Bearer {self._secret}\r\nConnection: close\r\n\r\n".encode()
            )
            while await reader.read(4096):
                pass
        finally:
            writer.close()

    async def stop(self) -> None:
        """End, in the middle of a run as well."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
