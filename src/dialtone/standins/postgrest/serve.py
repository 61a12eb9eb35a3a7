"""A request against the database: which statement, in which transaction, and its rows as an answer."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from psycopg.sql import SQL, Composable, Identifier, Literal

from dialtone.standins.postgrest import sql
from dialtone.standins.postgrest.catalog import SCHEMA, Catalog, Function
from dialtone.standins.postgrest.database import Database
from dialtone.standins.postgrest.errors import refusal
from dialtone.standins.postgrest.grammar import Node, parse, split, unquoted
from dialtone.standins.wire import MAX_FIELDS, Answer, Refusal, Request

MAX_ROWS = 1_000
"""https://supabase.com/docs/guides/api: a project answers so many rows at most, whatever was asked for."""
_OBJECT = "application/vnd.pgrst.object+json"
_ACCEPTED = ("*/*", "application/json", "application/*", _OBJECT)
_RETRIED = ("PGRST202", "PGRST204", "PGRST205", "PGRST200")


class Asked:
    """What a request says beside its path: preferences, parameters, the form of the answer."""

    def __init__(self, request: Request) -> None:
        prefers = [part.strip().partition("=") for part in request.headers.get("prefer", "").split(",") if part.strip()]
        self.prefer = {name.strip(): value.strip() for name, _, value in prefers}
        self.pairs = [
            (name, value)
            for name, value in parse_qsl(request.query_string, keep_blank_values=True, max_num_fields=MAX_FIELDS)
            if name != "apikey"
        ]
        self.parameters = dict(self.pairs)
        accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")]
        if not any(one in _ACCEPTED for one in accepted):
            told = f"None of these media types are available: {', '.join(accepted)}"
            raise refusal(406, "PGRST107", told)
        self.single = accepted[0] == _OBJECT
        self.returns = self.prefer.get("return", "minimal")
        profile = request.headers.get(
            "accept-profile" if request.method in ("GET", "HEAD") else "content-profile", SCHEMA
        )
        if profile != SCHEMA:
            hint = f"Only the following schemas are exposed: {SCHEMA}"
            raise refusal(406, "PGRST106", f"Invalid schema: {profile}", None, hint)


class Server:
    """Serves requests of callers whose claims are known."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def serve(self, request: Request, path: str, claims: dict[str, Any]) -> Answer:
        """The answer; the schema is read anew when it seems to have changed."""
        asked = Asked(request)
        if re.fullmatch(r"[^/]+|rpc/[^/]+", path) is None:
            raise refusal(404, "PGRST125", "Invalid path specified in request URL")
        if request.method not in ("GET", "HEAD", "POST", "PATCH", "DELETE"):
            raise refusal(405, "PGRST117", f"Unsupported HTTP method: {request.method}")
        with self._database.transaction(claims, request, read_only=request.method in ("GET", "HEAD")) as connection:
            try:
                work = _Work(connection, self._database.catalog(connection), request, asked)
                return work.run(path)
            except Refusal as refused:
                if not any(code.encode() in refused.answer.body for code in _RETRIED):
                    raise
                catalog = self._database.catalog(connection, anew=True)
                return _Work(connection, catalog, request, asked).run(path)

    def close(self) -> None:
        """End the idle connections."""
        self._database.close()


class _Work:
    """One request within its transaction."""

    def __init__(self, connection: Any, catalog: Catalog, request: Request, asked: Asked) -> None:
        self._connection, self._catalog, self._request, self._asked = connection, catalog, request, asked

    def run(self, path: str) -> Answer:
        if path.startswith("rpc/"):
            return self._call(path[4:])
        if self._request.method in ("GET", "HEAD"):
            return self._select(path)
        return self._change(path)

    def _select(self, name: str) -> Answer:
        table = self._catalog.table(name)
        node = self._with_range(parse(self._asked.pairs))
        reader = sql.Reader(self._catalog)
        rows, count = self._rows(reader.read(node, table.name, sql.of(name), name, most=MAX_ROWS))
        total = self._total(reader.read(node, table.name, sql.of(name), name, paged=False), count)
        return self._read_answer(rows, count, node.offset, total)

    def _read_answer(self, rows: str, count: int, offset: int, total: int | None) -> Answer:
        if total is not None and offset and offset >= total:
            details = f"An offset of {offset} was requested, but there are only {total} rows."
            raise refusal(416, "PGRST103", "Requested range not satisfiable", details)
        part = total is not None and count < total
        return self._answer(206 if part else 200, rows, count, _range(offset, count, total))

    def _change(self, name: str) -> Answer:
        table, asked, method = self._catalog.table(name), self._asked, self._request.method
        ignored = frozenset(n for n, _ in asked.pairs if method == "POST" and n != "select")
        node = parse(asked.pairs, ignored)
        where = [sql.condition(table.name, one) for one in node.filters]
        shown = asked.returns == "representation"
        returning: Composable = SQL("{}.*").format(Identifier(table.name)) if shown else SQL("1")
        if method == "POST":
            statement = self._insert(table.name, returning)
        else:
            if not where:  # the extension safeupdate, which Supabase loads for its API
                word = "UPDATE" if method == "PATCH" else "DELETE"
                raise refusal(400, "21000", f"{word} requires a WHERE clause")
            if method == "DELETE":
                statement = sql.delete(table, where, returning)
            else:
                [row] = _bodies(self._request)[:1] or [{}]
                columns = _columns(asked, row)
                table.check(columns)
                statement = sql.update(table, row, columns, where, returning) if columns else None
        if statement is None:
            rows, count = "[]", 0
        elif shown:
            node.order, node.limit, node.offset = [], None, 0
            read = sql.Reader(self._catalog).read(node, table.name, sql.SOURCE, table.name, filtered=False)
            rows, count = self._rows(read, statement)
        else:
            rows, count = "", self._count(statement)
        self._check_affected(count)
        total = count if "count" in asked.prefer else None
        status = self._changed(method, shown, count)
        if not shown:
            return Answer(status, b"", "", {"content-range": _range(0, 0 if method == "POST" else count, total)})
        return self._answer(status, rows, count, _range(0, 0 if method == "POST" else count, total))

    def _insert(self, name: str, returning: Composable) -> Composable | None:
        table, asked = self._catalog.table(name), self._asked
        bodies = _bodies(self._request)
        if not bodies:
            return None
        columns = _columns(asked, bodies[0])
        if "columns" not in asked.parameters and any(body.keys() != bodies[0].keys() for body in bodies):
            raise refusal(400, "PGRST102", "All object keys must match")
        table.check(columns)
        given = asked.parameters.get("on_conflict")
        conflict = [unquoted(part) for part in split(given)] if given else table.primary
        return sql.insert(
            table,
            bodies,
            columns,
            conflict,
            asked.prefer.get("resolution", ""),
            missing_default=asked.prefer.get("missing") == "default",
            returning=returning,
        )

    def _changed(self, method: str, shown: bool, count: int) -> int:
        if method != "POST":
            return 200 if shown else 204
        if self._asked.prefer.get("resolution") != "merge-duplicates":
            return 201
        text = SQL("SELECT current_setting({}, true) AS n").format(Literal(sql.INSERTED))
        updated = int(self._connection.execute(text).fetchone()["n"] or 0)
        return 200 if count and updated == count else 201

    def _check_affected(self, count: int) -> None:
        most = self._asked.prefer.get("max-affected", "")
        if most.isdigit() and self._asked.prefer.get("handling") == "strict" and count > int(most):
            told = "Query result exceeds max-affected preference constraint"
            raise refusal(400, "PGRST124", told, f"The query affects {count} rows")

    def _call(self, name: str) -> Answer:
        function, given, pairs = self._function(name)
        if function.writes is False and self._request.method == "POST":
            self._connection.execute("SET TRANSACTION READ ONLY")
        statement = sql.call(function, given)
        if function.is_void:
            self._connection.execute(statement).fetchall()
            return Answer(204, b"", "", {"content-range": "0-0/*"})
        if not function.is_rows:
            text = SQL("SELECT coalesce(json_agg(pgrst_scalar), '[]')::text AS rows, count(*) AS n FROM ({}) _s")
            found = self._connection.execute(text.format(statement)).fetchone()
            rows, count = found["rows"], int(found["n"])
            if not function.is_set:
                return self._answer(200, json.dumps(json.loads(rows)[0]), 1, "0-0/*", whole=True)
            return self._read_answer(rows, count, 0, None)
        node = self._with_range(parse(pairs))
        reader = sql.Reader(self._catalog)
        read = reader.read(node, function.table, sql.SOURCE, function.name, most=MAX_ROWS)
        rows, count = self._rows(read, statement)
        if not function.is_set:
            return self._answer(200, rows[1:-1].strip() or "null", count, "0-0/*", whole=True)
        return self._read_answer(rows, count, node.offset, count if "count" in self._asked.prefer else None)

    def _function(self, name: str) -> tuple[Function, dict[str, Any], list[tuple[str, str]]]:
        if self._request.method not in ("GET", "HEAD", "POST"):
            raise refusal(405, "PGRST101", f"Cannot use the {self._request.method} method on RPC")
        if self._request.method == "POST":
            given = _bodies(self._request)[0] if self._request.raw else {}
            return self._catalog.function(name, given), given, self._asked.pairs
        known = {argument for one in self._catalog.functions if one.name == name for argument in one.arguments}
        given = {key: value for key, value in self._asked.pairs if key in known}
        return self._catalog.function(name, given), given, [(k, v) for k, v in self._asked.pairs if k not in known]

    def _rows(self, read: Composable, source: Composable | None = None) -> tuple[str, int]:
        """The rows as a JSON array, and how many; `source` is what `pgrst_source` holds."""
        lead = SQL("WITH pgrst_source AS ({}) ").format(source) if source else SQL("")
        text = SQL("{}SELECT coalesce(json_agg(_s), '[]')::text AS rows, count(*) AS n FROM ({}) _s")
        found = self._connection.execute(text.format(lead, read)).fetchone()
        return found["rows"], int(found["n"])

    def _count(self, statement: Composable) -> int:
        text = SQL("WITH pgrst_source AS ({}) SELECT count(*) AS n FROM pgrst_source").format(statement)
        return int(self._connection.execute(text).fetchone()["n"])

    def _total(self, read: Composable, count: int) -> int | None:
        """How many rows there are beside the page, where that was asked for; `planned` is the planner's guess."""
        wanted = self._asked.prefer.get("count")
        if wanted == "planned":
            [plan] = self._connection.execute(SQL("EXPLAIN (FORMAT JSON) {}").format(read)).fetchone().values()
            return max(count, int(plan[0]["Plan"]["Plan Rows"]))
        if wanted not in ("exact", "estimated"):
            return None
        return int(self._connection.execute(SQL("SELECT count(*) AS n FROM ({}) _s").format(read)).fetchone()["n"])

    def _with_range(self, node: Node) -> Node:
        match = re.fullmatch(r"(\d+)-(\d*)", self._request.headers.get("range", ""))
        if match and node.limit is None and not node.offset:
            node.offset = int(match[1])
            node.limit = int(match[2]) - node.offset + 1 if match[2] else None
        return node

    def _answer(self, status: int, rows: str, count: int, content_range: str, *, whole: bool = False) -> Answer:
        kind = "application/json; charset=utf-8"
        if self._asked.single and not whole:
            if count != 1:
                told = "Cannot coerce the result to a single JSON object"
                raise refusal(406, "PGRST116", told, f"The result contains {count} rows")
            rows, kind = rows.strip()[1:-1], f"{_OBJECT}; charset=utf-8"
        headers = {"content-range": content_range, "content-profile": SCHEMA}
        if self._asked.prefer:
            headers["preference-applied"] = ", ".join(f"{n}={v}" for n, v in self._asked.prefer.items())
        body = b"" if self._request.method == "HEAD" else rows.encode()
        return Answer(status, body, kind, headers)


def _bodies(request: Request) -> list[dict[str, Any]]:
    """The objects of a body. Raises Refusal with PGRST102 when it holds none."""
    if request.content_type not in ("", "application/json"):
        raise refusal(415, "PGRST102", f"Content-Type not acceptable: {request.content_type}")
    try:
        told = request.json()
    except ValueError:
        raise refusal(400, "PGRST102", "Empty or invalid json") from None
    bodies = told if isinstance(told, list) else [told]
    if not all(isinstance(body, dict) for body in bodies):
        raise refusal(400, "PGRST102", "Empty or invalid json")
    return bodies


def _columns(asked: Asked, body: dict[str, Any]) -> list[str]:
    given = asked.parameters.get("columns")
    return [unquoted(part.strip()) for part in split(given)] if given else list(body)


def _range(offset: int, count: int, total: int | None) -> str:
    shown = f"{offset}-{offset + count - 1}" if count else "*"
    return f"{shown}/{'*' if total is None else total}"
