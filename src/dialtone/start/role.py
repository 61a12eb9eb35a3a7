"""What the prober's database role can do beyond what it needs, and what it cannot, read from the catalog.

Asked of PostgreSQL with its own functions (https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-ACCESS):
nothing is tried, no row of the application is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from dialtone.start.grants import readable
from dialtone.target import Target
from dialtone.verdict import Effect

_SHOWN = 4

_ROLE = """SELECT current_user::text AS name, rolsuper AS superuser, rolbypassrls AS "bypasses row security",
  rolcreaterole AS "makes roles", rolcreatedb AS "makes databases", rolreplication AS "replicates",
  pg_has_role(current_user, 'pg_monitor', 'USAGE') AS monitors FROM pg_roles WHERE rolname = current_user"""
_TABLES = """FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege(n.oid, 'USAGE')"""
_WRITABLE = f"""SELECT c.oid::regclass::text AS name {_TABLES}
  AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    OR has_any_column_privilege(c.oid, 'INSERT, UPDATE'))
  ORDER BY 1 LIMIT 1000"""
_SECRETS = f"""SELECT c.oid::regclass || '.' || a.attname AS name FROM pg_attribute a JOIN (SELECT c.oid {_TABLES}) t
  ON t.oid = a.attrelid JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped
  AND a.attname ~* %(secret)s AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
  ORDER BY 1 LIMIT 1000"""  # noqa: S608 - our own text
# The tables of the profile, with or without their schema.
_NAMED = """FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS wanted (relation, col)
  JOIN pg_class c ON true JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = wanted.col AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (n.nspname || '.' || c.relname = wanted.relation OR c.relname = wanted.relation AND n.nspname = ANY (
    string_to_array(replace(current_setting('search_path'), '"$user", ', ''), ', ')))"""
_UNREADABLE = f"""SELECT DISTINCT wanted.relation || '.' || wanted.col AS name {_NAMED}
  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT'))
  ORDER BY 1 LIMIT 1000"""
_HIDDEN = f"""SELECT DISTINCT wanted.relation AS name {_NAMED} AND row_security_active(c.oid) AND NOT EXISTS (
    SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*') AND (p.polroles = '{{0}}'
      OR EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE pg_has_role(current_user, r, 'USAGE'))))
  ORDER BY 1 LIMIT 1000"""  # noqa: S608 - our own text


class Reads(Protocol):
    """A database that answers a SELECT."""

    def one(self, sql: str, params: Any = None) -> dict[str, Any]:
        """The first row."""

    def rows(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        """All rows."""


def judge(database: Reads, target: Target) -> tuple[list[str], list[str]]:
    """What the role can do too much, and what it lacks, each as sentences."""
    role = database.one(_ROLE)
    name = role["name"]
    too_much: list[str] = []
    lacking: list[str] = []
    powers = [power for power, has in role.items() if has and power not in ("name", "monitors", "superuser")]
    if role["superuser"]:
        too_much.append(f"the database role {name} is a superuser: it can do everything, grants do not bind it")
    else:
        too_much += [f"the database role {name} {power}: ALTER ROLE can take that away" for power in powers]
        too_much += _writes(database, target, name)
        secrets = _names(database.rows(_SECRETS, {"secret": target.profile.secret_columns}))
        too_much += [f"the database role {name} reads columns that hold secrets: {_listed(secrets)}"] if secrets else []
    if not role["monitors"]:
        lacking.append(
            f"the database role {name} sees its own sessions and statements only: GRANT pg_monitor TO {name}"
        )
    pairs = [(table, column) for table, columns in readable(target.profile).items() for column in columns]
    wanted = {"tables": [table for table, _ in pairs], "columns": [column for _, column in pairs]}
    if unreadable := _names(database.rows(_UNREADABLE, wanted)):
        lacking.append(f"the database role {name} cannot read {_listed(unreadable)}: GRANT SELECT, see --sql")
    if hidden := _names(database.rows(_HIDDEN, wanted)):
        lacking.append(
            f"row security hides every row of {_listed(hidden)} from the database role {name}: CREATE POLICY, see --sql"
        )
    return too_much, lacking


def _writes(database: Reads, target: Target, name: str) -> list[str]:
    if Effect.WRITES in target.effects:
        return []
    writable = _names(database.rows(_WRITABLE))
    return [f"the database role {name} may write {_listed(writable)}, and nothing here does"] if writable else []


def _names(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [str(row["name"]) for row in rows]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
