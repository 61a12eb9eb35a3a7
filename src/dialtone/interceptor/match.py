"""From a request to the faults that mean it, in a time that does not depend on how many there are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from dialtone.interceptor.plan import pattern

if TYPE_CHECKING:
    from dialtone.interceptor.board import Fault
    from dialtone.interceptor.heads import RequestHead

MAX_BODY = 2**20
"""Bytes of a request's body that are read for a match; of a longer one the fields count as missing."""
_MAGIC = ("*", "?", "[")
_by_order = attrgetter("order")


class Matcher:
    """The parts of one match, ready for bytes."""

    __slots__ = ("body", "headers", "host", "method", "path")

    def __init__(self, fault: Fault) -> None:
        match = fault.spec.match
        self.host = match.host.lower() if match.host else None
        self.method = match.method.upper().encode() if match.method else None
        self.path = pattern(match.path) if match.path else None
        self.headers = [(n.lower().encode("latin-1", "replace"), pattern(g)) for n, g in match.header.items()]
        self.body = dict(match.body)

    def head(self, host: str, head: RequestHead) -> bool:
        """Whether everything but the body matches."""
        if self.method is not None and self.method != head.method:
            return False
        if self.path is not None and self.path.match(head.path) is None:
            return False
        if self.host is not None and self.host != host and not fnmatchcase(host, self.host):
            return False
        for name, glob in self.headers:
            value = head.get(name)
            if value is None or glob.match(value) is None:
                return False
        return True


_Entry = tuple[dict[bytes, list["Fault"]], dict[bytes, list["Fault"]], list["Fault"], list[int]]
"""Of a host: faults by a path, by a folder that paths begin with, all others; how long those folders are."""


class Index:
    """Faults by host and by the literal beginning of their path."""

    __slots__ = ("_any", "_hosts")

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._hosts: dict[str | None, _Entry] = {}
        for fault in faults:
            host = fault.matcher.host
            key = None if host is None or any(c in host for c in _MAGIC) else host
            exact, below, rest, _ = self._hosts.setdefault(key, ({}, {}, [], []))
            path = fault.spec.match.path
            if path is None:
                rest.append(fault)
            elif not any(c in path for c in _MAGIC):
                exact.setdefault(path.encode("latin-1", "replace"), []).append(fault)
            else:
                literal = path[: min(at for c in _MAGIC if (at := path.find(c)) >= 0)]
                folder = literal[: literal.rfind("/") + 1].encode("latin-1", "replace")
                (below.setdefault(folder, []) if folder else rest).append(fault)
        for _, below, _, lengths in self._hosts.values():
            lengths.extend(sorted({len(folder) for folder in below}))
        self._any = self._hosts.get(None)

    def candidates(self, host: str, head: RequestHead) -> list[Fault]:
        """The faults whose head matches, in the order of their plans."""
        found = [f for f in self.near(host, head.path) if f.matcher.head(host, head)]
        if len(found) > 1:
            found.sort(key=_by_order)
        return found

    def near(self, host: str, path: bytes) -> list[Fault]:
        """The faults that may mean a request, by its host and the beginning of its path; in no order."""
        found: list[Fault] = []
        for entry in (self._hosts.get(host), self._any):
            if entry is None:
                continue
            exact, below, rest, lengths = entry
            if path in exact:
                found += exact[path]
            for length in lengths:
                if length > len(path):
                    break
                if (folder := path[:length]) in below:
                    found += below[folder]
            if rest:
                found += rest
        return found


def drawn(seed: int, fault: str, number: int, share: float) -> bool:
    """Whether the `number`th request is in the share: by the seed alone, the same at every replay."""
    digest = blake2b(f"{seed}/{fault}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def fields(head: RequestHead, body: bytes) -> Any:
    """The body as JSON or as a form; None when it is neither."""
    try:
        if (head.get(b"content-type") or b"").lower().startswith(b"application/x-www-form-urlencoded"):
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000))
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def body_matches(fault: Fault, parsed: Any) -> bool:
    """Whether each wanted field is there and matches."""
    for path, glob in fault.matcher.body.items():
        value = parsed[path] if isinstance(parsed, dict) and path in parsed else _walk(parsed, path)
        if value is None or not fnmatchcase(_text(value), glob):
            return False
    return True


def _walk(tree: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return None
    return tree


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
