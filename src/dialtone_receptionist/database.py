"""Postgres: migration at start, and the pool that the application's processes work with."""

from __future__ import annotations

import select
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Row = DictRow
Connection = AsyncConnection[DictRow]

_FOLDER = Path(__file__).parent
_MIGRATION_LOCK = 7_265_636_570  # any fixed number: two starts at once must not create one table twice
_SESSION = "-c statement_timeout=8000 -c idle_in_transaction_session_timeout=8000"


def migrate(url: str, patience: float = 20.0) -> None:
    """Create what is missing and seed an empty database; waits up to `patience` seconds for the server to come up.

    Raises `psycopg.Error` when the server stays away or refuses.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            connection = psycopg.connect(url, application_name="receptionist", connect_timeout=3)
            break
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    with connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        for name in ("schema.sql", "seed.sql"):
            # The files ship with the package: they are as literal as a string in this module.
            connection.execute(sql.SQL((_FOLDER / name).read_text()))


async def _still_open(connection: Connection) -> None:
    """Raise when the server has gone away from an idle connection; costs no round trip while it has not.

    The server sends nothing to an idle connection except its farewell, so only one that can be read is asked further.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


class Database:
    """A pool of connections in autocommit mode with rows as dictionaries. Errors are `psycopg.Error`."""

    def __init__(self, url: str) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=2,
            max_size=8,
            open=False,
            timeout=3.0,
            # A pool that gives up soon tries again with the next request; one that does not waits ever longer.
            reconnect_timeout=2.0,
            check=_still_open,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "application_name": "receptionist",
                "connect_timeout": 3,
                "options": _SESSION,
            },
        )

    async def open(self) -> None:
        """Connect; returns when the first connections are there."""
        await self._pool.open(wait=True, timeout=10.0)

    async def close(self) -> None:
        """Give back every connection."""
        await self._pool.close(timeout=1.0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside of a transaction: committed at the end, rolled back by an exception."""
        async with self._pool.connection() as connection, connection.transaction():
            yield connection

    async def one(self, query: LiteralString, **values: Any) -> Row | None:
        """The first row of the answer, or None."""
        async with self._pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchone()

    async def all(self, query: LiteralString, **values: Any) -> list[Row]:
        """All rows of the answer."""
        async with self._pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def execute(self, query: LiteralString, **values: Any) -> int:
        """Run a statement; the number of rows it touched."""
        async with self._pool.connection() as connection:
            return (await connection.execute(query, values)).rowcount
