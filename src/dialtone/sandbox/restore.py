"""Dumps a database and restores it into a scratch database, with PostgreSQL's own programs.

The programs come with the embedded PostgreSQL; a dump needs programs that are not older than its server
(https://www.postgresql.org/docs/18/app-pgdump.html), and these are the newest.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dialtone.sandbox.postgres import program
from dialtone.sandbox.processes import RUN_ID_VARIABLE

_LIMIT = 3600.0  # seconds for each of the two
_TABLES = """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1"""


class RestoreError(Exception):
    """The database could not be restored, or is not the same. The text quotes no row and no password."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back; `seconds` is the time that a restore takes now (the RTO without the waiting)."""

    tables: int
    rows: int
    seconds: float

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.tables} tables with {self.rows:,} rows came back in {self.seconds:.1f} s"


def new_scratch() -> str:
    """A name for a scratch database that nobody else uses."""
    return f"dialtone_restore_{secrets.token_hex(4)}"


def place_of(url: str) -> str:
    """Host and port of a database URL, for people."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    return f"{parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"


def restored(source: str, there: str, scratch: str, clock: Callable[[], float] = time.monotonic) -> Restored:
    """Restore a dump of `source` into the new database `scratch` of the server at `there`; it is dropped afterwards.

    Rows are counted in the source before and after the dump: a live database changes meanwhile, and what came back
    has to lie between. Raises RestoreError.
    """
    import psycopg

    try:
        with psycopg.connect(there, autocommit=True, connect_timeout=10) as server:
            server.execute(f"CREATE DATABASE {scratch} TEMPLATE template0")
            try:
                return _restored(source, there, scratch, clock)
            finally:
                server.execute(f"DROP DATABASE {scratch} WITH (FORCE)")
    except psycopg.Error as wrong:
        raise RestoreError(f"{type(wrong).__name__} {wrong.sqlstate or ''}".strip()) from None


def _restored(source: str, there: str, scratch: str, clock: Callable[[], float]) -> Restored:
    began = clock()
    before = _counts(source)
    dump = [str(program("pg_dump")), "--format=custom", "--schema=public", "--no-owner", "--no-privileges"]
    restore = [str(program("pg_restore")), "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={scratch}"]
    # Every new database has a schema of that name already: --clean drops it before it is made.
    restore += ["--clean", "--if-exists"]
    quiet = subprocess.DEVNULL  # what the programs say may quote rows
    with subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=quiet, env=libpq(source)) as dumping:
        try:
            done = subprocess.run(
                restore,
                stdin=dumping.stdout,
                stdout=quiet,
                stderr=quiet,
                env=libpq(there),
                timeout=_LIMIT,
                check=False,
            )
            if dumping.stdout is not None:
                dumping.stdout.close()  # a dump that nobody reads any more ends by itself
            codes = {"pg_restore": done.returncode, "pg_dump": dumping.wait(_LIMIT)}
        except subprocess.TimeoutExpired:
            dumping.kill()
            raise RestoreError(f"dump and restore were not done within {_LIMIT / 60:g} minutes") from None
    if wrong := [f"{name} ended with exit code {code}" for name, code in codes.items() if code]:
        raise RestoreError("; ".join(wrong))
    seconds = clock() - began
    after = _counts(source)
    back = _counts(in_database(there, scratch))
    for table in before.keys() & after.keys():
        low, high = sorted((before[table], after[table]))
        if not low <= back.get(table, -1) <= high:
            came = "nothing" if table not in back else f"{back[table]:,} rows"
            raise RestoreError(f"of {table} {came} came back instead of {before[table]:,} rows")
    return Restored(len(back), sum(back.values()), seconds)


def _counts(url: str) -> dict[str, int]:
    import psycopg

    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET default_transaction_read_only = on")
        tables = [str(row[0]) for row in connection.execute(_TABLES).fetchall()]
        counted = {}
        for table in tables:
            row: Any = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            counted[table] = int(row[0])
        return counted


def in_database(url: str, database: str) -> str:
    """The same server and role, another database."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(url, dbname=database)


def libpq(url: str, run_id: str | None = None) -> dict[str, str]:
    """libpq's variables for a URL: a password on a command line is seen by everybody.

    A process that carries the `run_id` of a sandbox ends with that, however its parent does.
    """
    from psycopg.conninfo import conninfo_to_dict

    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    names |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "options": "PGOPTIONS"}
    told = {names[key]: str(value) for key, value in conninfo_to_dict(url).items() if key in names and value}
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR")}
    own = {RUN_ID_VARIABLE: run_id} if run_id else {}
    return {**kept, "PGCONNECT_TIMEOUT": "10", "PGSYSCONFDIR": os.devnull, **told, **own}
