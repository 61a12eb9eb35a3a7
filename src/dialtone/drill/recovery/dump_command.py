"""`dialtone drill --dump SOURCE`: proof that a dump of production restores, and what is in it.

The source is only read, in one transaction of a role of its own; everything else happens in a PostgreSQL that is
started for it on this machine and thrown away. No row is printed, and none is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialtone.drill.recovery.dump import Dump, DumpRefused, opened, restore, take
from dialtone.drill.recovery.proof import COUNTED, Contents, Table, age_of, contents, counted

if TYPE_CHECKING:
    from dialtone.target.model import Profile

_SCRATCH = "restored"
_QUERY_LIMIT = 600.0  # seconds for one question: a table is read whole here
_SOURCE_LIMIT = 60.0  # the same at the source, which serves customers meanwhile
_EXTENSIONS = """SELECT e.extname::text AS name, n.nspname::text AS schema FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY 1"""
_WRITES = """SELECT rolsuper OR EXISTS (SELECT FROM pg_class c WHERE c.relkind = 'r'
  AND c.relnamespace = ANY(SELECT oid FROM pg_namespace WHERE nspname = ANY(%(schemas)s))
  AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) FROM pg_roles WHERE rolname = current_user"""


@dataclass(frozen=True, slots=True)
class Proof:
    """A dump that was restored, and what was found in it."""

    dump: Dump
    found: Contents
    seconds: float
    """How long the restore took: the least part of an RTO."""
    age: float
    """Seconds since the dump was made: what would be lost if it were all there is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what belongs to `--dump` to the parser of `dialtone drill`."""
    group = parser.add_argument_group("a copy of production", __doc__)
    group.add_argument(
        "--dump",
        metavar="SOURCE",
        help="a target's name (its `database` credential is used), a postgresql:// URL, or a file or folder of pg_dump",
    )
    group.add_argument(
        "--schema",
        action="append",
        metavar="NAME",
        help="a schema that is dumped and restored, several times if need be (default: public)",
    )


def run(args: argparse.Namespace, tell: Callable[[str], None]) -> int:
    """Prove and print; exit code 0, or 1 where the dump is not whole, 4 where nothing can be said."""
    from dialtone.target import ProfileError

    schemas = args.schema or ["public"]
    try:
        source, profile = _source(args.dump, args.target, tell)
        proof = prove(source, schemas, profile, tell=tell)
    except DumpRefused as refused:
        _print(args, {"whole": False, "reason": str(refused)}, [f"NOT PROVEN  {refused}"])
        return 1
    except (OSError, RuntimeError, ProfileError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    missing = [*proof.found.missing, *_too_old(proof, profile)]
    _print(args, _document(proof, missing), [*shown(proof), *(f"NOT PROVEN  {reason}" for reason in missing)])
    return 1 if missing else 0


def _source(named: str, target: str, tell: Callable[[str], None]) -> tuple[str, Profile | None]:
    """The URL or path that is meant, and the profile that says what has to be in it. Raises ProfileError."""
    from dialtone.target import ProfileError
    from dialtone.target.load import describe, nearest, read

    path = nearest()
    if not path.is_file():
        tell("no dialtone.toml here or above: nothing is required of the dump but that it restores")
        return named, None
    if named not in read(path).target:
        return named, describe(path, target).profile
    profile = describe(path, named).profile
    variable = profile.credentials.get(profile.database or "")
    url = os.environ.get(variable or "", "")
    if not url:
        raise ProfileError(f"a dump of {named} needs {variable or f'target.{named}.database'}, which is not set")
    return url, profile


def prove(
    source: str,
    schemas: Sequence[str],
    profile: Profile | None,
    *,
    tell: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Proof:
    """Take or open the dump, restore it into a server of its own, look. Raises DumpRefused, OSError, RuntimeError."""
    from dialtone.probes.database import Database
    from dialtone.sandbox import Sandbox
    from dialtone.sandbox.restore import in_database

    is_url = source.startswith(("postgresql://", "postgres://"))
    if not is_url:
        given = opened(Path(source))  # before a server is started for nothing
    tell("starting a PostgreSQL to restore into")
    with Sandbox.begin(database_only=True).wait() as scratch:
        place = scratch.state_file.parent
        notes: list[str] = []
        states: list[Mapping[str, Table]] = []
        if is_url:
            there = Database(source, statement_timeout=_SOURCE_LIMIT, application_name="dialtone restore proof")
            tell("taking a dump of the source, which is only read")
            given, extensions, states = _taken(there, source, place, schemas, notes, clock)
        else:
            extensions = [(name, "public") for name in given.extensions]
        administrator = Database(scratch.admin_database_url)
        administrator.alone(f"CREATE DATABASE {_SCRATCH} TEMPLATE template0", within=60)
        administrator.close()
        url = in_database(scratch.admin_database_url, _SCRATCH)
        database = Database(url, statement_timeout=_QUERY_LIMIT)
        try:
            if given.format != "plain":
                notes += _prepared(database, schemas, extensions)
            tell(f"restoring {given.size:,} bytes")
            seconds = restore(given, url, schemas)
            tell("looking at what came back")
            found = contents(database, schemas, **_wanted(profile), source=states)
        finally:
            database.close()
    return Proof(given, Contents(found.tables, found.missing, [*notes, *found.notes]), seconds, clock() - given.made)


def _taken(
    there: Any, url: str, place: Path, schemas: Sequence[str], notes: list[str], clock: Callable[[], float]
) -> tuple[Dump, list[tuple[str, str]], list[Mapping[str, Table]]]:
    """A dump of the source, its extensions, and its tables before and after: it lives on meanwhile."""
    from dialtone.probes.database import DatabaseFailure

    try:
        if there.value(_WRITES, {"schemas": list(schemas)}):
            notes.append("the role that took the dump could write there: give the drill one that only reads")
        extensions = [(row["name"], row["schema"]) for row in there.rows(_EXTENSIONS)]
        before = counted(there, schemas, most=COUNTED)
        dump = take(url, place / "dump", schemas, run_id=place.name, clock=clock)
        return dump, extensions, [before, counted(there, schemas, most=COUNTED)]
    except DatabaseFailure as wrong:
        raise DumpRefused(f"the source cannot be read: {wrong.reason}") from None
    finally:
        there.close()


def _prepared(database: Any, schemas: Sequence[str], extensions: Sequence[tuple[str, str]]) -> list[str]:
    """Make the schemas, and the extensions that are there as well; a note on those that are not."""
    from dialtone.probes.database import DatabaseFailure

    absent = []
    for name in sorted({*schemas, *(schema for _, schema in extensions)} - {"pg_catalog"}):
        database.write(f"CREATE SCHEMA IF NOT EXISTS {_name(name)}")
    for name, schema in extensions:
        try:
            database.write(f"CREATE EXTENSION IF NOT EXISTS {_name(name)} SCHEMA {_name(schema)} CASCADE")
        except DatabaseFailure:
            absent.append(name)
    return [f"not available here, left out: the extensions {', '.join(absent)}"] if absent else []


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _wanted(profile: Profile | None) -> dict[str, Any]:
    if profile is None:
        return {"required": {}, "queries": {}}
    return {
        "required": profile.tables,
        "queries": {k: q for k, q in profile.queries.items() if "pg_stat" not in q and "pg_locks" not in q},
        "least": profile.queries.get("row_counts"),
    }


def _too_old(proof: Proof, profile: Profile | None) -> list[str]:
    """The age by the profile's `objectives.backup_age` (hours), where the dump says when it was made."""
    table = profile.objectives.get("backup_age") if profile and proof.dump.dated else None
    if table is None:
        return []
    finding = table.objective("backup_age").judge(proof.age / 3600, what="hours since the dump was made:")
    return [finding.reason] if finding.verdict.is_bad else []


def shown(proof: Proof) -> list[str]:
    """The proof for people: a line for each table, then what it adds up to."""
    width = max([5, *(len(table.name) for table in proof.found.tables)])
    lines = [f"{'table':<{width}}  {'rows':>12}  newest"]
    for table in proof.found.tables:
        newest = ", ".join(f"{name} {value}" for name, value in table.newest.items())
        lines.append(f"{table.name:<{width}}  {table.rows or 0:>12,}  {newest}".rstrip())
    dated = "made" if proof.dump.dated else "by the date of its file, made"
    taken = f"taken in {proof.dump.seconds:.1f} s, " if proof.dump.seconds is not None else ""
    lines.append(f"dump: {proof.dump.format}, {proof.dump.size:,} bytes, {taken}{dated} {_duration(proof.age)} ago")
    lines.append(f"restored in {proof.seconds:.1f} s: {len(proof.found.tables)} tables, {proof.found.rows:,} rows")
    return lines + [f"note: {note}" for note in proof.found.notes]


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _document(proof: Proof, missing: Sequence[str]) -> dict[str, Any]:
    dump = {**asdict(proof.dump), "path": proof.dump.path.name}
    return {
        "whole": not missing,
        "missing": list(missing),
        "dump": dump,
        "seconds_to_restore": round(proof.seconds, 3),
        "age_seconds": round(proof.age, 1),
        "rows": proof.found.rows,
        "tables": [{**asdict(table), "age_seconds": _ages(table)} for table in proof.found.tables],
        "notes": list(proof.found.notes),
    }


def _ages(table: Table) -> dict[str, float]:
    ages = {}
    for name, value in table.newest.items():
        with suppress(ValueError):  # infinity is a time to PostgreSQL
            ages[name] = round(age_of(value, time.time), 1)
    return ages


def _print(args: argparse.Namespace, document: Mapping[str, Any], lines: Sequence[str]) -> None:
    if getattr(args, "json", False):
        print(json.dumps(document, indent=1))
        return
    bold, red, plain = ("\033[1m", "\033[31m", "\033[0m") if _colours() else ("", "", "")
    for line in lines:
        print(f"{bold}{red}{line}{plain}" if line.startswith("NOT PROVEN") else line)
    if document["whole"]:
        print(f"{bold}proven{plain}: the dump restores, and what has to be in it is there")


def _colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
