"""Ways to lose a database, done to one of the experiment's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from random import Random

from dialtone.drill.recovery.deployment import Deployment

PAGE = 8192  # bytes of a block, as PostgreSQL is built everywhere

_LARGEST = """SELECT c.oid::regclass::text AS name, pg_relation_filepath(c.oid) AS file FROM pg_class c
  WHERE c.oid = ANY(SELECT to_regclass(t) FROM unnest(%(tables)s::text[]) t)
  ORDER BY pg_relation_size(c.oid) DESC, 1 LIMIT 1"""


def delete_instance(deployment: Deployment) -> None:
    """The machine is gone with its disk: server, data, and what of the log was not archived yet."""
    deployment.sandbox.stop_part("postgres", "at once")
    shutil.rmtree(deployment.data)


def rot(deployment: Deployment, tables: Iterable[str], seed: int = 0) -> str:
    """The disk gives back other bytes than were written: the first page of the largest of these tables; its name.

    The server holds pages in memory and would not look for a long time, so its memory is emptied of the table.
    """
    database = deployment.administrator
    database.write("CREATE EXTENSION IF NOT EXISTS pg_buffercache")
    found = database.write(_LARGEST, {"tables": list(tables)})[0]
    database.alone("CHECKPOINT", within=60)
    with (deployment.data / str(found["file"])).open("r+b") as file:
        file.seek(PAGE // 2)
        file.write(Random(seed).randbytes(512))  # noqa: S311 - a disk is no secret
    database.write("SELECT pg_buffercache_evict_relation(%(name)s::regclass)", {"name": found["name"]})
    return str(found["name"])


def unreadable(deployment: Deployment, tables: Iterable[str]) -> list[str]:
    """The tables that cannot be read from the first row to the last, or are not there."""
    bad = []
    for table in tables:
        try:
            # A whole row is asked for, so that no index answers instead of the table.
            deployment.administrator.value(f"SELECT count(t) FROM {quoted(table)} t")  # noqa: S608 - quoted
        except Exception:  # noqa: BLE001 - in any state at all
            bad.append(table)
    return bad


def quoted(table: str) -> str:
    """A table's name, perhaps with its schema, as SQL takes it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
