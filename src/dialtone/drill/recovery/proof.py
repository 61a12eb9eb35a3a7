"""What is in a database that was restored: counts, ages and names, and never a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dialtone.probes.database import Database, DatabaseFailure, DatabaseTrouble

COUNTED = 2_000_000
"""Rows up to which a table of the source is counted; larger ones are compared by the server's own estimate."""

_TABLES = """SELECT format('%%s.%%s', n.nspname, c.relname) AS name, format('%%I.%%I', n.nspname, c.relname) AS quoted,
  greatest(c.reltuples, 0)::float8 AS about FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY(%(schemas)s) ORDER BY 1"""
_COLUMNS = """SELECT a.attname::text AS name, quote_ident(a.attname) AS quoted, t.typname::text AS kind
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attnum"""
_TIMES = ("timestamp", "timestamptz", "date")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name with the schema, its rows (None: too many to count), its columns, newest value of each time."""

    name: str
    rows: int | None
    about: float = 0.0
    columns: Sequence[str] = ()
    newest: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found, what is missing of what has to be there (each a sentence), and what a person should look at."""

    tables: Sequence[Table]
    missing: Sequence[str]
    notes: Sequence[str]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows or 0 for table in self.tables)


def counted(database: Database, schemas: Sequence[str], *, most: float = float("inf")) -> dict[str, Table]:
    """The tables of these schemas with their rows; those that seem larger than `most` are not counted."""
    found = {}
    for row in database.rows(_TABLES, {"schemas": list(schemas)}, limit=10_000):
        rows = None
        if row["about"] <= most:
            rows = int(database.value(f"SELECT count(*) FROM {row['quoted']}"))  # noqa: S608 - quoted by the server
        found[str(row["name"])] = Table(str(row["name"]), rows, float(row["about"]))
    return found


def contents(
    database: Database,
    schemas: Sequence[str],
    *,
    required: Mapping[str, Sequence[str]],
    queries: Mapping[str, str],
    least: str | None = None,
    source: Sequence[Mapping[str, Table]] = (),
) -> Contents:
    """Look into a restored database.

    `required` are tables with columns that have to be there, `queries` questions that have to be answered; `least` is
    SQL whose rows (`name`, `rows`, `least`) say how much has to be there. `source` is what the source held before and
    after the dump was taken: what came back has to lie between.
    """
    tables, missing, notes = [], [], []
    for name, table in counted(database, schemas).items():
        columns, newest = _times(database, name)
        tables.append(Table(name, table.rows, table.about, columns, newest))
    known = {table.name: table for table in tables}
    for wanted, needed in required.items():
        names = [name for name in (wanted, *(f"{schema}.{wanted}" for schema in schemas)) if name in known]
        if not names:
            missing.append(f"the table {wanted} is missing")
        elif lacking := [column for column in needed if column not in known[names[0]].columns]:
            missing.append(f"the table {wanted} lacks {', '.join(lacking)}")
        elif not known[names[0]].rows:
            notes.append(f"the table {wanted} is empty")
    missing += _unanswered(database, queries, notes)
    missing += _too_few(database, least) if least else []
    missing += _compared(known, source)
    return Contents(tables, missing, notes)


def _times(database: Database, table: str) -> tuple[list[str], dict[str, str]]:
    """The columns of a table, and the newest value of each that holds times."""
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table.split(".", 1))
    columns = database.rows(_COLUMNS, {"table": quoted}, limit=10_000)
    times = [c for c in columns if c["kind"] in _TIMES]
    if not times:
        return [str(c["name"]) for c in columns], {}
    asked = ", ".join(f"max({c['quoted']})::timestamptz::text AS c{n}" for n, c in enumerate(times))
    row = database.one(f"SELECT {asked} FROM {quoted}")  # noqa: S608 - quoted by the server
    newest = {str(c["name"]): str(row[f"c{n}"]) for n, c in enumerate(times) if row.get(f"c{n}") is not None}
    return [str(c["name"]) for c in columns], newest


def _unanswered(database: Database, queries: Mapping[str, str], notes: list[str]) -> list[str]:
    """Questions without parameters that the restored database has no answer to, for want of a table or a column."""
    missing = []
    for name, sql in queries.items():
        if re.search(r"%\(\w+\)s", sql):
            continue
        try:
            database.rows(sql, limit=100_000)
        except DatabaseFailure as wrong:
            if wrong.kind is DatabaseTrouble.MISSING:
                missing.append(f"queries.{name} has no answer: {wrong.reason}")
            else:
                notes.append(f"queries.{name} was not answered: {wrong.reason}")
    return missing


def _too_few(database: Database, least: str) -> list[str]:
    try:
        rows = database.rows(least)
    except DatabaseFailure:
        return []  # told already, by the name of the query
    few = [row for row in rows if row.get("least") is not None and int(row["rows"]) < int(row["least"])]
    return [f"of {row['name']} {row['rows']:,} rows came back, and {row['least']:,} at least have to" for row in few]


def _compared(known: Mapping[str, Table], source: Sequence[Mapping[str, Table]]) -> list[str]:
    """What the source had, and the dump has not: a table, or rows beyond what changed while it was taken."""
    if not source:
        return []
    before, after = source
    wrong = []
    for name in before.keys() & after.keys():
        table, low, high = known.get(name), before[name].rows, after[name].rows
        if table is None:
            wrong.append(f"the source has a table {name} that is not in the dump")
        elif low is None or high is None:
            if before[name].about and not table.rows:
                wrong.append(f"of {name} no row came back, and the source has about {before[name].about:,.0f}")
        elif not min(low, high) <= (table.rows or 0) <= max(low, high):
            wrong.append(f"of {name} {table.rows or 0:,} rows came back, and the source has {high:,}")
    return sorted(wrong)


def age_of(moment: str, clock: Callable[[], float]) -> float:
    """Seconds since a time as PostgreSQL writes it; negative for one that is still to come."""
    at = datetime.fromisoformat(moment)
    return clock() - (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
