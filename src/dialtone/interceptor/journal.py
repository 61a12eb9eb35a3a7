"""What came in, what matched, what was done, what the upstream answered: one JSON line each, out of band.

Memory is bounded, secrets are not in it: of a query only the names are kept, of a path no segment that looks like a
credential, of headers and bodies nothing. A line's `by` says whose the answer is: `theirs` (the upstream's, or its
mistake), `fault` (ours on purpose) or `ours` (the interceptor itself refused or failed).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from dialtone.redact import secrets

KEPT = 20_000
"""Lines in memory."""
MAX_FILE = 256 * 2**20
"""Bytes of the file before it is moved to `….1`, over what was there."""
_MEMO = 4_096
_FLUSH = 0.05
_CREDENTIAL = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[\w+~=-]{24,}|[A-Za-z0-9+]{32,}|[0-9a-f]{24,}")
_PLAIN = re.compile(rb"[\w/.~*:@!$'(),+-]{0,200}")


def _told(target: bytes) -> bytes:
    """A request's target as a JSON text, without what could be secret."""
    path, mark, query = target.decode("latin-1").partition("?")
    shown = "/".join("‹secret›" if _CREDENTIAL.fullmatch(unquote(part)) else part for part in path.split("/"))
    if mark:
        shown += "?" + "&".join(part.partition("=")[0] for part in query.split("&"))
    return json.dumps(secrets.scrub(shown)[:2_000]).encode()


class Event:
    """A line that is written when somebody wants it, or at the next flush: not while a client waits."""

    __slots__ = ("_fields", "_text")

    def __init__(self, fields: dict[str, Any], text: bytes = b"") -> None:
        self._fields, self._text = fields, text

    def written(self) -> bytes:
        """The line; after that only its text is kept."""
        if not self._text:
            fields, target = self._fields, self._fields.pop("target", None)
            path = None if target is None else json.loads(_told(target))
            fields = {
                "n": fields.pop("n"),
                "t": round(fields.pop("t"), 4),
                "kind": fields.pop("kind"),
                "path": path,
                **fields,
            }
            line = {name: value for name, value in fields.items() if value is not None}
            text = secrets.scrub(json.dumps(line, default=str, separators=(",", ":")))
            self._text, self._fields = text.encode() + b"\n", {}
        return self._text


Line = Event | tuple[int, float, int, int, str, bytes, bytes, int, int, float]
"""A line is written from what was noted when somebody wants it."""


class Sink(Protocol):
    """Where lines go: a file, or another process."""

    def write(self, data: bytes, /) -> object:
        """Take lines."""

    def close(self) -> object:
        """No more come."""


class Journal:
    """The last lines in memory, all of them in a file when there is one, and as they come to whoever listens."""

    def __init__(self, path: Path | None = None, wall: Callable[[], float] = time.time) -> None:
        self.lines: deque[Line] = deque(maxlen=KEPT)
        self.count = 0
        """Lines ever written; the last in `lines` has this number."""
        self.path, self._wall = path, wall
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file: Sink | None = path.open("ab", buffering=0) if path else None
        self._size = self._file.tell() if self._file else 0
        self._pending: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._asked: dict[tuple[str, bytes, bytes], bytes] = {}
        self._listeners: set[asyncio.Event] = set()

    def to(self, sink: Sink) -> None:
        """Write to somebody else than a file: to the owner of all processes."""
        self._file = sink
        for line in self.lines:
            self._add(line)

    def foreign(self, process: int, line: bytes) -> None:
        """A line of another process: it gets a number of this journal, and says whose it is."""
        self.count += 1
        event = Event({}, b'{"n":%d,"process":%d,%b' % (self.count, process, line.partition(b",")[2]))
        self.lines.append(event)
        self._add(event)

    def exchange(
        self, connection: int, number: int, host: str, method: bytes, target: bytes, status: int, out: int, ms: float
    ) -> None:
        """An exchange that nothing acted on: the upstream's answer went through as it was."""
        self.count += 1
        line = (self.count, self._wall(), connection, number, host, method, target, status, out, ms)
        self.lines.append(line)
        if self._timer is not None and len(self._pending) < KEPT:
            self._pending.append(line)
        elif self._file is not None or self._listeners:
            self._add(line)

    def event(self, kind: str, **fields: Any) -> None:
        """Anything else; `target` is a request's target in bytes, everything else is JSON."""
        self.count += 1
        line = Event({"n": self.count, "t": self._wall(), "kind": kind, **fields})
        self.lines.append(line)
        self._add(line)

    def _written(self, line: Line) -> bytes:
        if isinstance(line, Event):
            return line.written()
        count, wall, connection, number, host, method, target, status, out, ms = line
        asked = (host, method, target)
        told = self._asked.get(asked) or self._remember(asked)
        return (
            b'{"n":%d,"t":%.4f,"kind":"exchange","connection":%d,"request":%d,%b,"status":%d,"out":%d,"ms":%.2f,'
            b'"by":"theirs"}\n' % (count, wall, connection, number, told, status, out, ms)
        )

    def since(self, number: int, most: int = 1_000) -> list[bytes]:
        """Lines after that number, the oldest first, as far as they are still kept."""
        first = self.count - len(self.lines) + 1
        skip = max(0, number - first + 1)
        return [self._written(self.lines[i]) for i in range(skip, min(len(self.lines), skip + most))]

    def listen(self) -> asyncio.Event:
        """An event that is set when there are new lines; give it back with `leave`."""
        event = asyncio.Event()
        self._listeners.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        """Stop listening."""
        self._listeners.discard(event)

    def flush(self) -> None:
        """Write what is pending; called a few times a second and at the end."""
        self._timer = None
        for event in self._listeners:
            event.set()
        if not self._pending:
            return
        text = b"".join(map(self._written, self._pending))
        self._pending.clear()
        if self._file is not None:
            self._size += len(text)
            self._file.write(text)
            if self._size > MAX_FILE and self.path is not None:
                self._file.close()
                self.path.replace(self.path.with_name(self.path.name + ".1"))
                self._file, self._size = self.path.open("ab", buffering=0), 0

    def close(self) -> None:
        """Write the rest and close the file."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _add(self, line: Line) -> None:
        self._pending.append(line)
        if len(self._pending) >= KEPT:
            self.flush()
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(_FLUSH, self.flush)
            except RuntimeError:  # at the very end there is no loop to wait with
                self.flush()

    def _remember(self, asked: tuple[str, bytes, bytes]) -> bytes:
        host, method, target = asked
        told = b'"host":"%b","method":"%b","path":%b' % (host.encode(), method, _told(target))
        if len(self._asked) >= _MEMO:
            self._asked.clear()
        self._asked[asked] = told
        return told
