"""Reads the books of a profile: rows, a provider's own list, what a stand-in took in, each as entries of a ledger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dialtone.drill.ledger import Duty, Entry, Ledger, Promise, Retry, reconcile
from dialtone.target.books import Book
from dialtone.template import fill
from dialtone.verdict import Unknown

Rows = Callable[..., Sequence[Mapping[str, Any]]]
Tenant = Mapping[str, Any]


class Books:
    """The books of one target; a book that cannot be read is left out, and makes the ledger unknown."""

    def __init__(
        self,
        books: Mapping[str, Book],
        *,
        rows: Rows,
        listed: Callable[[str, str], Any],
        accepted: Callable[..., Sequence[Mapping[str, Any]]],
        retries: str | None = None,
    ) -> None:
        """`rows(sql, params)` asks the database, `listed(provider, path)` reads a provider, `accepted` a stand-in."""
        self._books, self._rows, self._listed, self._accepted = books, rows, listed, accepted
        self._retries = retries
        self.duties = [Duty(name, book.of, name) for name, book in books.items()]
        self.keyless: Counter[str] = Counter()

    def read(self, tenants: Sequence[Tenant]) -> dict[str, list[Entry]]:
        """All entries of these tenants, by book. What has no key could be anybody's: `keyless` counts it."""
        found = {}
        self.keyless.clear()
        for name, book in self._books.items():
            try:
                found[name] = self._entries(name, book, tenants)
            except Unknown:
                continue
        return found

    def balance(self, promises: Iterable[Promise], *tenants: Tenant, now: float = 0.0, closed: bool = True) -> Ledger:
        """Hold promises against the books of these tenants, as they stand now."""
        ledger = reconcile(promises, self.read(tenants), self.duties, retries=self.due(tenants), now=now, closed=closed)
        unknown = [f"{name}: {n} without {self._books[name].key}" for name, n in self.keyless.items() if n]
        return replace(ledger, unknown=[*ledger.unknown, *unknown]) if unknown else ledger

    def due(self, tenants: Sequence[Tenant]) -> list[Retry]:
        """What the application is still going to do: SQL with the columns `duty`, `key`, `due`."""
        if not self._retries:
            return []
        rows = self._rows(self._retries, {"tenants": _ids(tenants)})
        return [Retry(str(row["duty"]), str(row["key"]), float(row["due"])) for row in rows]

    def _entries(self, name: str, book: Book, tenants: Sequence[Tenant]) -> list[Entry]:
        ids = {"tenants": _ids(tenants)}
        known = {}
        if book.translate:
            known = {str(row["key"]): str(row["known"]) for row in self._rows(book.translate, ids)}
        entries = []
        for number, one in enumerate(self._raw(book, tenants, ids)):
            key = _part(book, _at(one, book.key))
            if key is None:
                self.keyless[name] += book.part is None
            else:
                at = _at(one, book.at or "at")
                told = float(at) if isinstance(at, int | float) else 0.0
                entries.append(Entry(known.get(key, key), str(_at(one, book.id) or number), told))
        return entries

    def _raw(self, book: Book, tenants: Sequence[Tenant], ids: Mapping[str, Any]) -> Iterator[Any]:
        if book.sql is not None:
            yield from self._rows(book.sql, ids)
        elif book.accepted is not None:
            wanted = book.accepted
            asked = {"provider": wanted.provider, "path": wanted.path, "method": wanted.method, "limit": 20_000}
            yield from (e for e in self._accepted(**asked) if e["accepted"] and _is_of(e, book.whose, tenants))
        else:
            for tenant in tenants:
                path = fill(book.path or "", {k: v for k, v in tenant.items() if v is not None})
                yield from _flat(self._listed(book.provider or "", path), book.items.split("."))


def _ids(tenants: Sequence[Tenant]) -> list[str]:
    return [str(tenant["id"]) for tenant in tenants]


def _is_of(entry: Any, whose: Mapping[str, str], tenants: Sequence[Tenant]) -> bool:
    """Whether an entry belongs to one of the tenants; where nothing tells, it does."""
    return not whose or any(all(_at(entry, at) == tenant.get(name) for at, name in whose.items()) for tenant in tenants)


def _part(book: Book, key: Any) -> str | None:
    if key is None:
        return None
    match = re.search(book.part, str(key)) if book.part else None
    if book.part:
        return match[0] if match else None
    return str(key)


def _at(tree: Any, name: str) -> Any:
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _flat(tree: Any, names: Sequence[str]) -> Iterator[Any]:
    """What stands at the end of the names; lists on the way are joined."""
    if isinstance(tree, list):
        for one in tree:
            yield from _flat(one, names)
    elif not names:
        yield tree
    elif isinstance(tree, Mapping):
        yield from _flat(tree.get(names[0]), names[1:])
