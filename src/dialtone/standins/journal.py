"""The journal: one ordered, bounded list of everything the stand-ins took in and what they answered."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dialtone.standins.state import Clock
from dialtone.standins.wire import Caller, compact

MAX_ENTRIES = 20_000
MAX_BYTES = 64 * 2**20
MASK = "…"


@dataclass(slots=True)
class Entry:
    """One request. `at` is unix seconds when it was taken; `size` its body in bytes."""

    seq: int
    at: float
    provider: str
    method: str
    path: str
    status: int
    caller: Caller | None
    query: dict[str, str]
    body: Any
    size: int
    digests: frozenset[bytes]
    _text: str | None = None

    def contains(self, wanted: str) -> bool:
        """Whether the path or the body as compact JSON holds the text."""
        if wanted in self.path:
            return True
        if self._text is None:  # once: those who wait for a request ask again and again
            self._text = "" if self.body is None else compact(self.body)
        return wanted in self._text

    def shown(self) -> dict[str, Any]:
        """The entry as the journal API gives it out."""
        return {
            "seq": self.seq,
            "at": self.at,
            "provider": self.provider,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "accepted": 200 <= self.status < 300,
            "credential": self.caller and {"mode": self.caller.mode, "owner": self.caller.owner},
            "query": self.query,
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are asked for. An empty field asks for nothing in particular."""

    provider: str = ""
    method: str = ""
    path: str = ""
    contains: str = ""
    after: int = 0
    limit: int = 1_000


class Journal:
    """Keeps at most `max_entries` requests and `max_bytes` of their bodies; the oldest go first.

    Credentials are not kept. Those that name an account (an OAuth token) are kept as keyed digests, so that the
    journal can be asked which requests carried a given one.
    """

    def __init__(
        self,
        clock: Clock,
        hidden: Iterable[str] = (),
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(16)
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._max_entries, self._max_bytes = max_entries, max_bytes
        values = sorted({value for value in hidden if len(value) >= 8}, key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, values))) if values else None
        self.last = 0
        """`seq` of the latest entry; 0 when nothing was taken yet."""

    def record(
        self,
        provider: str,
        method: str,
        path: str,
        status: int,
        caller: Caller | None = None,
        query: dict[str, str] | None = None,
        body: Any = None,
        size: int = 0,
        credentials: Iterable[str] = (),
    ) -> Entry:
        """Append one request that was answered with `status`."""
        self.last += 1
        digests = frozenset(self._digest(value) for value in credentials)
        at = self._clock.time()
        entry = Entry(self.last, at, provider, method, path, status, caller, query or {}, body, size, digests)
        self._entries.append(entry)
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._bytes -= self._entries.popleft().size
        return entry

    def find(self, wanted: Filter) -> list[Entry]:
        """The newest entries that match, at most `limit`, oldest first."""
        digest = self._digest(wanted.contains) if wanted.contains else b""
        found: list[Entry] = []
        for entry in reversed(self._entries):
            if entry.seq <= wanted.after or len(found) >= wanted.limit:
                break
            if (
                (not wanted.provider or entry.provider == wanted.provider)
                and (not wanted.method or entry.method == wanted.method)
                and (not wanted.path or fnmatchcase(entry.path, wanted.path))
                and (not wanted.contains or entry.contains(wanted.contains) or digest in entry.digests)
            ):
                found.append(entry)
        return found[::-1]

    def shown(self, wanted: Filter) -> str:
        """The matching entries as JSON text of the journal API, known credentials masked wherever they turn up."""
        text = compact({"requests": [entry.shown() for entry in self.find(wanted)], "last": self.last})
        return self._hidden.sub(MASK, text) if self._hidden else text

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode(), key=self._key, digest_size=16).digest()
