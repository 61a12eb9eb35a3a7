"""What PostgREST calls its schema cache: tables, columns, keys and functions of `public`.

Supabase has it read anew after every change of the schema; here that happens when something is not found.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dialtone.standins.postgrest.errors import refusal
from dialtone.standins.postgrest.grammar import Embed

SCHEMA = "public"
_TABLES = """
SELECT c.relname AS name,
  (SELECT coalesce(json_object_agg(a.attname, json_build_array(format_type(a.atttypid, a.atttypmod),
      pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum), '{}') FROM pg_attribute a
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT coalesce(json_agg(json_build_array(i.indisprimary, (SELECT json_agg(a.attname) FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)))), '[]') FROM pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL) AS keys
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
"""
_LINKS = """
SELECT k.conname AS name, f.relname AS source, t.relname AS target,
  (SELECT json_agg(a.attname ORDER BY n) FROM unnest(k.conkey) WITH ORDINALITY AS u(num, n)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num) AS source_columns,
  (SELECT json_agg(a.attname ORDER BY n) FROM unnest(k.confkey) WITH ORDINALITY AS u(num, n)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num) AS target_columns
FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
WHERE k.contype = 'f' AND k.conparentid = 0 AND f.relnamespace = 'public'::regnamespace
  AND t.relnamespace = 'public'::regnamespace ORDER BY k.conname
"""
_FUNCTIONS = """
SELECT p.proname AS name, p.proretset AS is_set, p.provolatile = 'v' AS writes, p.pronargdefaults AS defaults,
  coalesce(p.proargnames, '{}') AS names, coalesce(p.proargmodes::text[], '{}') AS modes, t.typname = 'void' AS is_void,
  (SELECT coalesce(json_agg(format_type(u, NULL) ORDER BY n), '[]')
    FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS x(u, n)) AS types,
  t.typtype = 'c' OR t.typname = 'record' OR 't' = ANY (coalesce(p.proargmodes::text[], '{}')) AS is_rows,
  (SELECT relname FROM pg_class WHERE oid = t.typrelid AND relkind IN ('r', 'v', 'm', 'p')) AS table
FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND t.typname NOT IN ('trigger', 'event_trigger')
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view: types and defaults of its columns, its primary key, every unique key."""

    name: str
    types: dict[str, str]
    defaults: dict[str, str | None]
    primary: tuple[str, ...]
    unique: tuple[frozenset[str], ...]

    def check(self, columns: Collection[str]) -> None:
        """PGRST204 for a column of the body that there is not."""
        for column in columns:
            if column not in self.types:
                told = f"Could not find the '{column}' column of '{self.name}' in the schema cache"
                raise refusal(400, "PGRST204", told)


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key."""

    name: str
    source: str
    target: str
    source_columns: tuple[str, ...]
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its arguments by name, how many of them (the last ones) may be left out, what it gives."""

    name: str
    arguments: dict[str, str]
    optional: int
    is_set: bool
    is_rows: bool
    is_void: bool
    writes: bool
    table: str | None
    unnamed: str | None = None
    """The type of its only argument, where that has no name."""

    def takes(self, given: Collection[str]) -> bool:
        """Whether it can be called with these arguments."""
        names = list(self.arguments)
        return set(names[: len(names) - self.optional]) <= set(given) <= set(names) and self.unnamed is None


@dataclass(frozen=True, slots=True)
class Relation:
    """How two tables hang together: `to_one`, pairs of columns (own, other), and the table in between, if any."""

    to_one: bool
    pairs: tuple[tuple[str, str], ...]
    junction: tuple[Link, Link] | None = None


class Catalog:
    """The cache of one moment."""

    def __init__(
        self, tables: list[dict[str, Any]], links: list[dict[str, Any]], functions: list[dict[str, Any]]
    ) -> None:
        self.tables = {row["name"]: _table(row) for row in tables}
        self.links = [
            Link(r["name"], r["source"], r["target"], tuple(r["source_columns"]), tuple(r["target_columns"]))
            for r in links
        ]
        self.functions = [_function(row) for row in functions]

    @classmethod
    def read(cls, connection: Any) -> Catalog:
        """Out of the database, by a connection whose rows are dictionaries."""
        return cls(*(connection.execute(text).fetchall() for text in (_TABLES, _LINKS, _FUNCTIONS)))

    def table(self, name: str) -> Table:
        """PGRST205 when there is none."""
        if found := self.tables.get(name):
            return found
        near = difflib.get_close_matches(name, self.tables, 1, 0.6)
        hint = f"Perhaps you meant the table '{SCHEMA}.{near[0]}'" if near else None
        raise refusal(404, "PGRST205", f"Could not find the table '{SCHEMA}.{name}' in the schema cache", None, hint)

    def function(self, name: str, given: Collection[str]) -> Function:
        """The function that takes these arguments; PGRST202 when none does, PGRST203 when several do."""
        named = [one for one in self.functions if one.name == name]
        found = [one for one in named if one.takes(given)]
        if not found and given:
            found = [one for one in named if one.unnamed in ("json", "jsonb")]
        if len(found) == 1:
            return found[0]
        if found:
            told = ", ".join(
                f"{SCHEMA}.{f.name}({', '.join(f'{a} => {t}' for a, t in f.arguments.items())})" for f in found
            )
            raise refusal(300, "PGRST203", f"Could not choose the best candidate function between: {told}")
        listed = f"({', '.join(sorted(given))})" if given else " without parameters"
        near = difflib.get_close_matches(name, {one.name for one in self.functions}, 1, 0.6)
        hint = f"Perhaps you meant to call the function {SCHEMA}.{near[0]}" if near and not named else None
        words = f"{SCHEMA}.{name}{listed}"
        details = f"Searched for the function {words}, but no matches were found in the schema cache."
        raise refusal(404, "PGRST202", f"Could not find the function {words} in the schema cache", details, hint)

    def relation(self, parent: str, embed: Embed) -> tuple[str, Relation]:
        """The table that is embedded and how; PGRST200 for none, PGRST201 for several."""
        found = [
            (table, rel, names)
            for table, rel, names in self._relations(parent)
            if embed.target == table or (rel.junction is None and embed.target in (names if rel.to_one else names[:1]))
        ]
        if embed.hint:
            found = [one for one in found if embed.hint in one[2]]
        if not found:
            told = f"Could not find a relationship between '{parent}' and '{embed.target}' in the schema cache"
            using = f" using the hint '{embed.hint}'" if embed.hint else ""
            details = (
                f"Searched for a foreign key relationship between '{parent}' and '{embed.target}'{using} in the schema"
            )
            raise refusal(400, "PGRST200", told, f"{details} '{SCHEMA}', but no matches were found.")
        if len(found) > 1:
            names = ", ".join(f"'{table}!{names[0]}'" for table, _, names in found)
            told = f"Could not embed because more than one relationship was found for '{parent}' and '{embed.target}'"
            hint = (
                f"Try changing '{embed.target}' to one of the following: {names}. Find the desired relationship in the"
            )
            raise refusal(300, "PGRST201", told, [n for _, _, n in found], f"{hint} 'details' key.")
        return found[0][0], found[0][1]

    def _relations(self, parent: str) -> list[tuple[str, Relation, tuple[str, ...]]]:
        """Every table that hangs together with one, how, and the names by which a request may mean it."""
        found: list[tuple[str, Relation, tuple[str, ...]]] = []
        for link in self.links:
            names = (link.name, *link.source_columns, link.source)
            if link.source == parent:
                pairs = tuple(zip(link.source_columns, link.target_columns, strict=True))
                found.append((link.target, Relation(True, pairs), (*names, link.target)))
            if link.target == parent:
                unique = any(key <= set(link.source_columns) for key in self.tables[link.source].unique)
                pairs = tuple(zip(link.target_columns, link.source_columns, strict=True))
                found.append((link.source, Relation(unique, pairs), names))
                found += self._across(link)
        return found

    def _across(self, near: Link) -> list[tuple[str, Relation, tuple[str, ...]]]:
        """Many to many: the other keys of a table whose primary key holds both."""
        primary = set(self.tables[near.source].primary)
        return [
            (far.target, Relation(False, (), (near, far)), (near.source,))
            for far in self.links
            if far.source == near.source and far is not near and {*near.source_columns, *far.source_columns} <= primary
        ]


def _table(row: dict[str, Any]) -> Table:
    primary = next((tuple(key) for is_primary, key in row["keys"] if is_primary and key), ())
    unique = tuple(frozenset(key) for _, key in row["keys"] if key)
    types = {name: kind for name, (kind, _) in row["columns"].items()}
    return Table(row["name"], types, {n: default for n, (_, default) in row["columns"].items()}, primary, unique)


def _function(row: dict[str, Any]) -> Function:
    ins = [
        name
        for name, mode in zip(row["names"], row["modes"] or "i" * len(row["names"]), strict=False)
        if mode in ("i", "b", "v")
    ]
    flags = {name: row[name] for name in ("is_set", "is_rows", "is_void", "writes", "table")}
    unnamed = row["types"][0] if len(row["types"]) == 1 and not any(ins) else None
    arguments = {} if unnamed else dict(zip(ins, row["types"], strict=False))
    return Function(row["name"], arguments, row["defaults"], **flags, unnamed=unnamed)
