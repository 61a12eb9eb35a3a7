"""Postgres: migration at start, and the pool that the application's processes work with.

Nobody waits for a server that is silent: a statement that takes too long has its socket broken, connections that idled
through a silence are asked before they are used, and while the server is away requests fail at once.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from dialtone_receptionist.breakers import Breakers
from dialtone_receptionist.defects import on, turn

Row = DictRow
Connection = AsyncConnection[DictRow]

_FOLDER = Path(__file__).parent
_MIGRATION_LOCK = 7_265_636_570  # any fixed number: two starts at once must not create one table twice
_SESSION = "-c statement_timeout=8000 -c idle_in_transaction_session_timeout=8000"
_ASKED = 0.5  # seconds for an idle connection to say that it is alive, when another one was silent
_SUSPECT = 10.0  # seconds after a silence in which idle connections are asked
_FAILURES = 2  # in a row: then the server is taken for away
_LOST = 45.0  # seconds, with a defect: longer than any recovery may take
_AWAY = 1.0  # seconds in which nobody tries a server that is away


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


def _cut(connection: Connection) -> None:
    """Break the socket below a connection: what waits on it fails at once.

    To cancel the statement would mean to wait for an answer of the server that does not answer.
    """
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


class DatabaseAway(psycopg.OperationalError):
    """The server did not answer just now, and is not asked."""


class Database:
    """A pool of connections in autocommit mode with rows as dictionaries. Errors are `psycopg.Error`.

    `seconds` is the limit for a statement or a transaction. A server that does not answer is a
    `psycopg.OperationalError`, and so is a pool in which nothing gets free.
    """

    def __init__(self, url: str, seconds: float = 5.0, breakers: Breakers | None = None) -> None:
        self._seconds = seconds
        self._breaker = (breakers or Breakers()).make("postgres", _FAILURES, _AWAY)
        self._suspect_until = 0.0
        self._lost_until, self._lost_in = 0.0, 0
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=2,
            max_size=8,
            open=False,
            timeout=3.0,
            # A pool that gives up soon tries again with the next request; one that does not waits ever longer.
            reconnect_timeout=2.0,
            check=self._still_open,
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

    async def _still_open(self, connection: Connection) -> None:
        """Raise when the server has gone away from an idle connection; costs no round trip while it has not.

        The server sends nothing to an idle connection except its farewell, so only one that can be read is asked
        further, or any one after a silence.
        """
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        loop = asyncio.get_running_loop()
        if poll.poll(0) or loop.time() < self._suspect_until:
            cut = loop.call_later(min(_ASKED, self._seconds), _cut, connection)
            try:
                await AsyncConnectionPool.check_connection(connection)
            except psycopg.OperationalError:
                self._lose()
                raise
            finally:
                cut.cancel()

    def _lose(self) -> None:
        """Remember that a connection broke, or could not be had, for the defect postgres-no-reconnect."""
        self._lost_until, self._lost_in = asyncio.get_running_loop().time() + _LOST, turn()

    def _is_lost(self) -> bool:
        if not on("postgres-no-reconnect"):
            return False
        return asyncio.get_running_loop().time() < self._lost_until and self._lost_in == turn()

    async def _stay_lost(self) -> None:
        """The defect postgres-no-reconnect: for a while after the server came back nobody believes it."""
        if not self._is_lost():
            return
        try:
            async with self._pool.connection(0.5):
                pass
        except psycopg.OperationalError:
            self._lose()
        raise DatabaseAway("the connection to the database broke")

    @asynccontextmanager
    async def _connection(self, within: float | None = None) -> AsyncIterator[Connection]:
        await self._stay_lost()
        if not self._breaker.admits():
            raise DatabaseAway("the database did not answer a moment ago")
        loop = asyncio.get_running_loop()
        seconds = within or self._seconds
        started = loop.time()
        try:
            async with self._pool.connection(min(2.0, seconds)) as connection:
                if self._is_lost():
                    raise DatabaseAway("a connection to the database broke just now")  # noqa: TRY301  # counted below like any other
                cut = loop.call_later(3600 if on("no-timeout-postgres") else seconds, _cut, connection)
                try:
                    yield connection
                finally:
                    cut.cancel()
        except psycopg.errors.QueryCanceled:
            self._breaker.gave_up()
            raise
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable):
            self._breaker.succeeded()  # the server refused one statement; it and the connection are well
            raise
        except psycopg.OperationalError as error:
            if loop.time() - started >= seconds:
                self._suspect_until = loop.time() + _SUSPECT
            self._lose()
            if isinstance(error, PoolTimeout) or loop.time() - started >= seconds:
                self._breaker.failed(f"postgres did not answer: {type(error).__name__}")
            else:
                self._breaker.gave_up()  # a connection that breaks says little of the server: a new one may be good
                await self._pool.drain()  # but much of the others, which were made when it was
            raise
        except Exception:
            self._breaker.succeeded()  # whatever went wrong, the server was there
            raise
        except BaseException:
            self._breaker.gave_up()
            raise
        self._breaker.succeeded()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside of a transaction: committed at the end, rolled back by an exception."""
        async with self._connection() as connection, connection.transaction():
            yield connection

    async def one(self, query: LiteralString, within: float | None = None, **values: Any) -> Row | None:
        """The first row of the answer, or None; `within` seconds instead of the usual limit."""
        async with self._connection(within) as connection:
            return await (await connection.execute(query, values)).fetchone()

    async def all(self, query: LiteralString, **values: Any) -> list[Row]:
        """All rows of the answer."""
        async with self._connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def execute(self, query: LiteralString, **values: Any) -> int:
        """Run a statement; the number of rows it touched."""
        async with self._connection() as connection:
            return (await connection.execute(query, values)).rowcount
