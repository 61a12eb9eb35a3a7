"""Statements out of trees. Values are untyped literals, so that Postgres finds their types as it does for PostgREST."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from dialtone.standins.postgrest.catalog import SCHEMA, Catalog, Function, Relation, Table
from dialtone.standins.postgrest.errors import refusal
from dialtone.standins.postgrest.grammar import (
    COMPARISONS,
    SEARCHES,
    Condition,
    Embed,
    Field,
    Logic,
    Node,
    failed,
    split,
    unquoted,
)

SOURCE = Identifier("pgrst_source")
_IS = {"null": "NULL", "not_null": "NOT NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
_QUANTIFIED = ("eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch")
INSERTED = "dialtone.updated"


def joined(parts: Iterable[Composable], by: str = ", ") -> Composed:
    """Parts with something between them."""
    return SQL(by).join(parts)


def of(table: str) -> Identifier:
    """A table of the schema."""
    return Identifier(SCHEMA, table)


class Reader:
    """Writes the SELECT of a tree; every table gets an alias of its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._count = catalog, 0

    def read(
        self,
        node: Node,
        table: str | None,
        source: Composable,
        alias: str,
        where: Sequence[Composable] = (),
        most: int | None = None,
        *,
        filtered: bool = True,
        paged: bool = True,
    ) -> Composed:
        """Rows of `source`, with whatever is embedded in them."""
        columns: list[Composable] = [self._column(alias, column) for column in node.columns]
        tests, laterals = [*where], []
        for embed in node.embeds:
            if table is None:
                raise refusal(400, "PGRST200", f"Could not find a relationship between '{alias}' and '{embed.target}'")
            self._count += 1
            name = f"{embed.name}_{self._count}"
            laterals.append(self._lateral(embed, table, alias, name))
            if embed.node.columns or embed.node.embeds:
                columns.append(SQL("{}.e AS {}").format(Identifier(name), Identifier(embed.name)))
            if embed.inner:
                tests.append(SQL("{}.n > 0").format(Identifier(name)))
        if filtered:
            tests += [condition(alias, member) for member in node.filters]
        parts: list[Composable] = [SQL("SELECT"), joined(columns or [SQL("1")]), SQL("FROM"), source, SQL("AS")]
        parts += [Identifier(alias), *laterals]
        if tests:
            parts += [SQL("WHERE"), joined(tests, " AND ")]
        if paged:
            parts += _page(node, alias, most)
        return joined(parts, " ")

    def _column(self, alias: str, column: Any) -> Composable:
        if column.field.name == "*":
            return SQL("{}.*").format(Identifier(alias))
        told: Composable = value(alias, column.field)
        if column.cast:
            told = SQL("CAST({} AS {})").format(told, _type(column.cast))
        return SQL("{} AS {}").format(told, Identifier(column.alias or column.field.name))

    def _lateral(self, embed: Embed, table: str, alias: str, name: str) -> Composable:
        target, relation = self._catalog.relation(table, embed)
        inner = f"{target}_{self._count}"
        rows = self.read(embed.node, target, of(target), inner, [_meets(relation, alias, inner)])
        whole = SQL("row_to_json(x)") if embed.node.columns or embed.node.embeds else SQL("NULL::json")
        if relation.to_one:
            return SQL("LEFT JOIN LATERAL (SELECT {} AS e, 1 AS n FROM ({}) x LIMIT 1) {} ON TRUE").format(
                whole, rows, Identifier(name)
            )
        return SQL(
            "LEFT JOIN LATERAL (SELECT coalesce(json_agg({}), '[]') AS e, count(*) AS n FROM ({}) x) {} ON TRUE"
        ).format(whole, rows, Identifier(name))


def _meets(relation: Relation, own: str, other: str) -> Composable:
    if relation.junction is None:
        return _equal(own, other, relation.pairs)
    near, far = relation.junction
    here = _equal(own, "j", zip(near.target_columns, near.source_columns, strict=True))
    there = _equal(other, "j", zip(far.target_columns, far.source_columns, strict=True))
    return SQL("EXISTS (SELECT 1 FROM {} AS j WHERE {} AND {})").format(of(near.source), here, there)


def _equal(left: str, right: str, pairs: Iterable[tuple[str, str]]) -> Composable:
    return joined([SQL("{} = {}").format(Identifier(left, a), Identifier(right, b)) for a, b in pairs], " AND ")


def _page(node: Node, alias: str, most: int | None) -> list[Composable]:
    parts: list[Composable] = []
    if node.order:
        members = []
        for one in node.order:
            told: list[Composable] = [value(alias, one.field), SQL("DESC" if one.descending else "ASC")]
            if one.nulls:
                told.append(SQL("NULLS FIRST" if one.nulls == "first" else "NULLS LAST"))
            members.append(joined(told, " "))
        parts += [SQL("ORDER BY"), joined(members)]
    limit = min((n for n in (node.limit, most) if n is not None), default=None)
    if limit is not None:
        parts += [SQL("LIMIT"), Literal(limit)]
    if node.offset:
        parts += [SQL("OFFSET"), Literal(node.offset)]
    return parts


def value(alias: str, field: Field) -> Composable:
    """A column, or what its path leads to."""
    told: Composable = Identifier(alias, field.name)
    if not field.path:
        return told
    steps: list[Composable] = [SQL("to_jsonb({})").format(told)]
    for operator, key in field.path:
        is_index = key.lstrip("-").isdigit()
        steps += [SQL("->>" if operator == "->>" else "->"), Literal(int(key)) if is_index else Literal(key)]
    return SQL("({})").format(joined(steps, ""))


def condition(alias: str, told: Condition | Logic) -> Composable:
    """A filter as SQL."""
    if isinstance(told, Logic):
        made: Composable = SQL("({})").format(
            joined([condition(alias, member) for member in told.members], f" {told.kind.upper()} ")
        )
    else:
        made = _test(value(alias, told.field), told)
    return SQL("NOT {}").format(made) if told.negated else made


def _test(column: Composable, told: Condition) -> Composable:
    name, given = told.operator, told.value
    if name == "is":
        if given.lower() not in _IS:
            failed(f"is.{given}", "expecting null, not_null, true, false or unknown")
        return SQL("({} IS {})").format(column, SQL(_IS[given.lower()]))
    if name == "in":
        if not (given.startswith("(") and given.endswith(")")):
            failed(f"in.{given}", 'expecting "("')
        values = [Literal(unquoted(part)) for part in split(given[1:-1])]
        return SQL("({} IN ({}))").format(column, joined(values)) if values else SQL("FALSE")
    if name in SEARCHES:
        arguments = [Literal(told.argument)] if told.argument else []
        return SQL("({} @@ {}({}))").format(column, SQL(SEARCHES[name]), joined([*arguments, Literal(given)]))
    if name in ("like", "ilike"):
        given = given.replace("*", "%")
    operator = SQL(COMPARISONS[name])
    if told.argument:
        if name not in _QUANTIFIED or told.argument not in ("any", "all"):
            failed(f"{name}({told.argument})", "expecting any or all")
        return SQL("({} {} {} ({}))").format(column, operator, SQL(told.argument.upper()), Literal(given))
    return SQL("({} {} {})").format(column, operator, Literal(given))


def _type(name: str) -> Composable:
    return SQL(".").join(Identifier(part) for part in name.split("."))


def _kind(name: str) -> SQL:
    # Out of pg_catalog's format_type, never out of a request.
    return SQL(name)


def _record(columns: Sequence[str], types: dict[str, str]) -> Composable:
    return joined([SQL("{} {}").format(Identifier(c), _kind(types[c])) for c in columns])


def insert(
    table: Table,
    rows: list[dict[str, Any]],
    columns: Sequence[str],
    conflict: Sequence[str],
    resolution: str,
    *,
    missing_default: bool,
    returning: Composable,
) -> Composable:
    """INSERT of rows, with what to do when one is there already."""
    if not columns:
        values: Composable = SQL("DEFAULT VALUES")
    elif missing_default:
        lines = [SQL("({})").format(joined([_cell(table, row, c) for c in columns])) for row in rows]
        values = SQL("({}) VALUES {}").format(joined(map(Identifier, columns)), joined(lines))
    else:
        names = joined(map(Identifier, columns))
        values = SQL("({}) SELECT {} FROM json_to_recordset({}::json) AS _({})").format(
            names, names, Literal(json.dumps(rows)), _record(columns, table.types)
        )
    parts: list[Composable] = [SQL("INSERT INTO"), of(table.name), SQL("AS"), Identifier(table.name), values]
    if resolution and conflict:
        parts += [SQL("ON CONFLICT ({})").format(joined(map(Identifier, conflict)))]
        if resolution == "ignore-duplicates" or not columns:
            parts.append(SQL("DO NOTHING"))
        else:
            changes = [SQL("{0} = EXCLUDED.{0}").format(Identifier(c)) for c in columns]
            counted = SQL(
                "set_config({0}, (coalesce(nullif(current_setting({0}, true), ''), '0')::int + 1)::text, true) <> ''"
            ).format(Literal(INSERTED))
            parts += [SQL("DO UPDATE SET {} WHERE {}").format(joined(changes), counted)]
    return joined([*parts, SQL("RETURNING"), returning], " ")


def _cell(table: Table, row: dict[str, Any], column: str) -> Composable:
    if column not in row:
        return SQL("DEFAULT")
    record = _record([column], table.types)
    told = Literal(json.dumps({column: row[column]}))
    return SQL("(SELECT {} FROM json_to_record({}::json) AS _({}))").format(Identifier(column), told, record)


def update(
    table: Table, row: dict[str, Any], columns: Sequence[str], where: Sequence[Composable], returning: Composable
) -> Composable:
    """UPDATE of what the filters leave."""
    changes = [SQL("{} = pgrst_body.{}").format(Identifier(c), Identifier(c)) for c in columns]
    body = SQL("(SELECT * FROM json_to_record({}::json) AS _({}))").format(
        Literal(json.dumps(row)), _record(columns, table.types)
    )
    return SQL("UPDATE {} AS {} SET {} FROM {} AS pgrst_body WHERE {} RETURNING {}").format(
        of(table.name), Identifier(table.name), joined(changes), body, joined(where, " AND "), returning
    )


def delete(table: Table, where: Sequence[Composable], returning: Composable) -> Composable:
    """DELETE of what the filters leave."""
    return SQL("DELETE FROM {} AS {} WHERE {} RETURNING {}").format(
        of(table.name), Identifier(table.name), joined(where, " AND "), returning
    )


def call(function: Function, given: dict[str, Any]) -> Composable:
    """A table of what a function gives: its rows, or one column `pgrst_scalar`."""
    name = Identifier(SCHEMA, function.name)
    kept: Composable = SQL("f.*") if function.is_rows else SQL("f AS pgrst_scalar")
    if function.unnamed:
        body = Literal(json.dumps(given))
        return SQL("SELECT {} FROM {}({}::{}) AS f").format(kept, name, body, _kind(function.unnamed))
    if not given:
        return SQL("SELECT {} FROM {}() AS f").format(kept, name)
    arguments = joined([SQL("{0} := a.{0}").format(Identifier(n)) for n in given])
    record = _record(list(given), function.arguments)
    return SQL("SELECT {} FROM json_to_record({}::json) AS a({}), LATERAL {}({}) AS f").format(
        kept, Literal(json.dumps(given)), record, name, arguments
    )
