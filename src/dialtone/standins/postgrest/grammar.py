"""The query string of PostgREST as trees: what is selected, filtered, ordered.

Grammar: https://docs.postgrest.org/en/stable/references/api/tables_views.html and …/resource_embedding.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from dialtone.standins.postgrest.errors import refusal

COMPARISONS = {
    **{"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "LIKE", "ilike": "ILIKE"},
    **{"match": "~", "imatch": "~*", "isdistinct": "IS DISTINCT FROM", "cs": "@>", "cd": "<@", "ov": "&&"},
    **{"sl": "<<", "sr": ">>", "nxr": "&<", "nxl": "&>", "adj": "-|-"},
}
SEARCHES = {
    **{"fts": "to_tsquery", "plfts": "plainto_tsquery"},
    **{"phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery"},
}
RESERVED = frozenset(("select", "order", "limit", "offset", "columns", "on_conflict"))
_WORD = r'"(?:[^"\\]|\\.)*"|[^\s,.:()!"&<>-]+(?:[ ]+[^\s,.:()!"&<>-]+)*'
_TOKEN = re.compile(rf"\s*(\.\.\.|->>|->|::|{_WORD}|[,.:()!-])")
_OPERATOR = re.compile(r"(not\.)?(\w+)(?:\((\w+)\))?\.(.*)", re.S)
_PATH = re.compile(r"(->>?)")


@dataclass(frozen=True, slots=True)
class Field:
    """A column, and the path into its JSON: `(operator, key)`."""

    name: str
    path: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is selected."""

    field: Field
    alias: str | None = None
    cast: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter; `argument` is the quantifier `any` or `all`, or the configuration of a text search."""

    field: Field
    operator: str
    value: str
    negated: bool = False
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` of filters."""

    kind: str
    members: tuple[Condition | Logic, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One member of an order; `nulls` is `first`, `last` or empty."""

    field: Field
    descending: bool = False
    nulls: str = ""


@dataclass(slots=True)
class Node:
    """A table of the request: the one that was asked for, or an embedded one."""

    columns: list[Column] = field(default_factory=list)
    embeds: list[Embed] = field(default_factory=list)
    filters: list[Condition | Logic] = field(default_factory=list)
    order: list[Order] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0


@dataclass(slots=True)
class Embed:
    """Another table in each row: `alias:target!hint!inner(…)`."""

    target: str
    node: Node
    alias: str | None = None
    hint: str | None = None
    inner: bool = False

    @property
    def name(self) -> str:
        """What it is called in the answer, and in filters."""
        return self.alias or self.target


def parse(pairs: Iterable[tuple[str, str]], ignored: frozenset[str] = frozenset()) -> Node:
    """The tree of a query string. Raises Refusal with PGRST100 or PGRST108 for what cannot be understood."""
    pairs = [(name, value) for name, value in pairs if name not in ignored and name not in ("columns", "on_conflict")]
    root = _Select(next((value for name, value in pairs if name == "select"), "*")).parse()
    for name, value in pairs:
        if name == "select":
            continue
        node, last = _walk(root, name)
        if last == "order":
            node.order = [_order(part) for part in split(value)]
        elif last in ("limit", "offset"):
            setattr(node, last, _number(last, value))
        elif last in ("and", "or", "not.and", "not.or"):
            node.filters.append(_logic(last.rpartition(".")[2], value, last.startswith("not.")))
        else:
            node.filters.append(_condition(last, value))
    return root


def split(text: str) -> list[str]:
    """The parts between commas that stand outside of quotes, parentheses and braces."""
    parts, depth, quoted, escaped, current = [], 0, False, False, ""
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "({":
            depth += 1
        elif not quoted and character in ")}":
            depth -= 1
        if character == "," and not quoted and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current] if current or parts else []


def unquoted(text: str) -> str:
    """A name or value without its double quotes."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def field_of(text: str) -> Field:
    """A column with its path: `data->a->>b`."""
    name, *rest = _PATH.split(text)
    if not name:
        failed(text, "a column is needed")
    return Field(unquoted(name), tuple(zip(rest[::2], map(unquoted, rest[1::2]), strict=True)))


def failed(text: str, why: str) -> NoReturn:
    """PGRST100."""
    raise refusal(400, "PGRST100", f'"failed to parse ({text})" (line 1, column 1)', why)


def _walk(root: Node, name: str) -> tuple[Node, str]:
    """The table that a parameter is about, and what stands behind its path."""
    node, head = root, name
    while "." in head and not head.startswith("not.") and not head.startswith('"'):
        before, _, head = head.partition(".")
        found = next((embed for embed in node.embeds if embed.name == before), None)
        if found is None:
            hint = f"Verify that '{before}' is included in the 'select' query parameter."
            raise refusal(400, "PGRST108", f"'{before}' is not an embedded resource in this request", None, hint)
        node = found.node
    return node, head


def _number(name: str, value: str) -> int:
    if name == "limit" and re.fullmatch(r"-\d+", value):
        raise refusal(
            416, "PGRST103", "Requested range not satisfiable", "Limit should be greater than or equal to zero."
        )
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        failed(f"{name}={value}", "expecting digit")
    return int(value)


def _order(text: str) -> Order:
    if "(" in text:
        raise refusal(400, "PGRST127", "Feature not implemented", "Order by a column of an embedded table")
    name, *words = text.split(".")
    nulls = next((word.removeprefix("nulls") for word in words if word in ("nullsfirst", "nullslast")), "")
    if [word for word in words if word not in ("asc", "desc", "nullsfirst", "nullslast")]:
        failed(text, "unexpected word; expecting asc, desc, nullsfirst or nullslast")
    return Order(field_of(name), "desc" in words, nulls)


def _condition(name: str, value: str) -> Condition:
    match = _OPERATOR.fullmatch(value)
    if match is None or match[2] not in (*COMPARISONS, *SEARCHES, "in", "is"):
        failed(value, "unexpected operator; expecting eq, gt, like, in, is or another one")
    return Condition(field_of(name), match[2], match[4], bool(match[1]), match[3])


def _logic(kind: str, value: str, negated: bool) -> Logic:
    if not (value.startswith("(") and value.endswith(")")):
        failed(value, 'expecting "("')
    members = tuple(_member(part.strip()) for part in split(value[1:-1]))
    if not members:
        failed(value, "expecting a filter")
    return Logic(kind, members, negated)


def _member(text: str) -> Condition | Logic:
    if match := re.fullmatch(r"(not\.)?(and|or)(\(.*\))", text, re.S):
        return _logic(match[2], match[3], bool(match[1]))
    match = re.fullmatch(r'("(?:[^"\\]|\\.)*"(?:->.*?)?|[^.]+)\.(.*)', text, re.S)
    if match is None:
        failed(text, "expecting a column, an operator and a value")
    told = _condition(match[1], match[2])
    value = told.value if told.operator == "in" else unquoted(told.value)
    return Condition(told.field, told.operator, value, told.negated, told.argument)


class _Select:
    """A parser of `select`: one pass over its tokens."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                failed(text, f"unexpected {text[at]!r}")
            self._tokens.append(match[1])
            at = match.end()

    def parse(self) -> Node:
        """The whole."""
        node = self._members()
        if self._at < len(self._tokens):
            failed(self._text, f"unexpected {self._tokens[self._at]!r}")
        return node

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> str:
        token = self._peek()
        if (wanted and token != wanted) or not token:
            failed(self._text, f"unexpected {token or 'end of input'!r}; expecting {wanted or 'a name'}")
        self._at += 1
        return token

    def _members(self) -> Node:
        node = Node()
        while self._peek() not in ("", ")"):
            self._member(node)
            if self._peek() != ",":
                break
            self._take(",")
        return node

    def _name(self) -> str:
        token = self._take()
        if token in (",", ".", ":", "(", ")", "!", "::", "->", "->>"):
            failed(self._text, f"unexpected {token!r}; expecting a name")
        while self._peek() == "-" and self._at + 1 < len(self._tokens):  # of a hint or name with dashes
            token += self._take("-") + self._take()
        return unquoted(token)

    def _member(self, node: Node) -> None:
        if self._peek() == "...":
            raise refusal(400, "PGRST127", "Feature not implemented", "Spread of an embedded table")
        name, alias = self._name(), None
        if self._peek() == ":":
            self._take(":")
            name, alias = self._name(), name
        hints = []
        while self._peek() == "!":
            self._take("!")
            hints.append(self._name())
        if self._peek() == "(":
            self._take("(")
            embed = Embed(name, self._members(), alias)
            self._take(")")
            embed.inner = "inner" in hints
            embed.hint = next((hint for hint in hints if hint not in ("inner", "left")), None)
            node.embeds.append(embed)
            return
        path = []
        while self._peek() in ("->", "->>"):
            path.append((self._take(), self._name()))
        if self._peek() == ".":  # `amount.sum()`
            raise refusal(400, "PGRST123", "Use of aggregate functions is not allowed")
        cast = None
        if self._peek() == "::":
            self._take("::")
            cast = self._name()
        if alias is None and path:
            alias = next((key for _, key in reversed(path) if not key.isdigit()), name)
        node.columns.append(Column(Field(name, tuple(path)), alias, cast))
