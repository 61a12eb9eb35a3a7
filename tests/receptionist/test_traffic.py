"""Counts of requests, and the scheduler that asks for the cron route."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import psycopg
import pytest

from dialtone_receptionist.scheduler import SCHEDULER, Scheduler
from dialtone_receptionist.traffic import Traffic, kind_of


class Book:
    """A database that notes what it is told, or fails."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.fails = False

    async def execute(self, _: str, **values: Any) -> int:
        """See Database."""
        if self.fails:
            raise psycopg.OperationalError
        self.told.append(values)
        return 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/landing", "page"),
        ("/api/health", "api"),
        ("/api/auth/login-simple", "login"),
        ("/api/stripe/webhook", "webhook"),
        ("/api/sms/webhook", "webhook"),
        ("/_next/static/app.css", ""),
    ],
)
def test_kinds(path: str, kind: str) -> None:
    """What a path counts as; static files do not count."""
    assert kind_of(path) == kind


def test_counts_are_added_once() -> None:
    """Probes apart from people; what could not be added is added the next time, and nothing twice."""
    book, errors = Book(), []
    traffic = Traffic(book, errors.append, clock=lambda: 120.0)  # type: ignore[arg-type]

    async def run() -> None:
        for is_probe in (False, False, True):
            traffic.count("/landing", 200, is_probe=is_probe)
        book.fails = True
        await traffic.flush()
        book.fails = False
        await traffic.flush()
        await traffic.flush()

    asyncio.run(run())
    assert len(errors) == 1
    assert book.told == [{"m": [2, 2], "k": ["page", "page"], "s": [200, 200], "p": [False, True], "n": [2, 1]}]


def test_the_scheduler_asks_as_the_platform_does() -> None:
    """A GET of the cron route with the secret, under the platform's name, at once."""

    class Told:
        port, cron_secret, cron_seconds = 0, "cron-secret", 60.0

    async def run() -> bytes:
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.set_result(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        with socket.create_server(("127.0.0.1", 0)) as sock:
            Told.port = sock.getsockname()[1]
            server = await asyncio.start_server(serve, sock=sock)
            scheduler = Scheduler(Told())  # type: ignore[arg-type]
            scheduler.start()
            try:
                return await asyncio.wait_for(got, 30)
            finally:
                await scheduler.stop()
                server.close()

    asked = asyncio.run(run()).decode()
    assert asked.startswith("GET /api/cron/process-jobs HTTP/1.1\r\n")
    assert f"User-Agent: {SCHEDULER}1.0\r\n" in asked
    assert "Authorization: Bearer cron-secret\r\n" in asked
