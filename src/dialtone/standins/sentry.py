"""Stand-in for Sentry: what comes in by `POST /api/<project>/envelope/`, and what is read of it (`sentry_issues`).

Envelopes, their authentication and what an event holds: getsentry/develop (src/docs/sdk/envelopes.mdx, overview.mdx,
event-payloads/index.mdx). Answers as getsentry/relay gives them: 200 with the id, 403 with `detail` for a wrong key.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from dialtone.standins import sentry_sessions
from dialtone.standins.defects import Switches
from dialtone.standins.sentry_issues import Issues
from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

MAX_SIZE = 16 * 2**20
"""Bytes of an envelope after decompression."""

_PATH = re.compile(r"/api/(\d+)/envelope/?")
_KEY = re.compile(r"sentry_key=([^,\s]+)")
_DSN_KEY = re.compile(r"https?://([^:@/]+)[:@]")
_MAX_TEXT = 8_192


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded envelope: its header, and type and payload of each item."""

    header: dict[str, Any]
    items: list[tuple[str, bytes]]


class Sentry(StandIn):
    """Any project, one key. What an event says is kept in the journal."""

    name = "sentry"

    def __init__(self, key: str, token: str, switches: Switches, clock: Clock) -> None:
        self._key, self._switches, self._clock = key.encode(), switches, clock
        self._issues = Issues(token, clock)

    def answer(self, request: Request) -> Answer:
        """200 with the id of the event; a read with its issues."""
        if sentry_sessions.PATH.fullmatch(request.path) and self._issues.caller(request) is not STRANGER:
            crashing = self._switches.on("visitors-crashing")
            return sentry_sessions.sessions(request, self._clock, crashing=crashing)
        if self._issues.knows(request.path):
            return self._issues.answer(request)
        if not _PATH.fullmatch(request.path):
            return _error(404, "not found")
        if request.method != "POST":
            return _error(405, "method not allowed")
        envelope = _envelope(request)
        key = _key(request, envelope)
        if key is None:
            return _error(401, "missing authorization information")
        if not compare_digest(key.encode(), self._key):
            return _error(403, "event submission rejected with_reason: ProjectId")
        for event in _events(envelope) if not self._switches.on("sentry-drops-events") else ():
            self._issues.take(event)
        return json_answer(200, {"id": envelope.header["event_id"]} if "event_id" in envelope.header else {})

    def caller(self, request: Request) -> Caller:
        """Whoever knows the key of the DSN is the application."""
        if self._issues.knows(request.path):
            return self._issues.caller(request)
        try:
            key = _key(request, _envelope(request))
        except Refusal:
            return STRANGER
        return Caller("unknown", "application") if key and compare_digest(key.encode(), self._key) else STRANGER

    def recorded_body(self, request: Request) -> Any:
        """The event of the envelope in short; of an envelope without one, the types of its items."""
        if self._issues.knows(request.path):
            return None
        try:
            envelope = _envelope(request)
        except Refusal:
            return None
        for kind, payload in envelope.items:
            if kind == "event":
                try:
                    return _summary(json.loads(payload))
                except (ValueError, RecursionError):
                    return {"type": "event", "message": None, "level": None, "tags": {}}
        kinds = [kind for kind, _ in envelope.items]
        return {"type": kinds[0] if kinds else "empty", "items": kinds}

    def text(self, request: Request) -> str:
        """The envelope, decompressed."""
        try:
            return _decompressed(request).decode(errors="replace")
        except Refusal:
            return ""


def _events(envelope: Envelope) -> list[dict[str, Any]]:
    """The events of an envelope that can be read."""
    found = []
    for kind, payload in envelope.items:
        if kind == "event":
            try:
                event = json.loads(payload)
            except (ValueError, RecursionError):
                continue
            found += [event] if isinstance(event, dict) else []
    return found


def _summary(event: Any) -> dict[str, Any]:
    event = event if isinstance(event, dict) else {}
    exceptions = [
        {"type": _short(one.get("type")), "value": _short(one.get("value"))}
        for one in _members(event.get("exception"))
        if isinstance(one, dict)
    ]
    logged = event.get("logentry") if isinstance(event.get("logentry"), dict) else {}
    message = event.get("message") or logged.get("formatted") or logged.get("message")
    if not message and exceptions:
        message = f"{exceptions[-1]['type']}: {exceptions[-1]['value']}"
    tags = event.get("tags") or {}
    if isinstance(tags, list):  # the older form: a list of pairs
        tags = dict(pair for pair in tags if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str))
    return {
        "type": "event",
        "event_id": event.get("event_id"),
        "message": _short(message),
        "level": event.get("level") or "error",
        "tags": {str(name): _short(value) for name, value in (tags if isinstance(tags, dict) else {}).items()},
        "exception": exceptions,
        "environment": event.get("environment"),
        "release": event.get("release"),
    }


def _members(interface: Any) -> list[Any]:
    """A list interface is either the list itself or an object with `values`."""
    values = interface.get("values") if isinstance(interface, dict) else interface
    return values if isinstance(values, list) else []


def _short(text: Any) -> str | None:
    return None if text is None else str(text)[:_MAX_TEXT]


def _key(request: Request, envelope: Envelope) -> str | None:
    """The public key, from the header, the query or a complete DSN in the envelope's header."""
    if found := _KEY.search(request.headers.get("x-sentry-auth", "")):
        return found[1]
    if key := request.query.get("sentry_key"):
        return key
    found = _DSN_KEY.match(str(envelope.header.get("dsn", "")))
    return found[1] if found else None


def _envelope(request: Request) -> Envelope:
    raw = _decompressed(request)
    head, _, rest = raw.partition(b"\n")
    header = _object(head)
    items = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line.strip():
            continue
        about = _object(line)
        length = about.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        elif isinstance(length, int) and 0 <= length <= len(rest) and rest[length : length + 1] in (b"", b"\n"):
            payload, rest = rest[:length], rest[length + 1 :]
        else:
            raise Refusal(_error(400, "invalid envelope: unexpected end of file"))
        items.append((str(about.get("type")), payload))
    return Envelope(header, items)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refusal(_error(400, "invalid envelope: invalid header"))
    return value


def _decompressed(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "").lower()
    if not encoding:
        return request.raw
    if encoding not in ("gzip", "deflate"):
        raise Refusal(_error(415, f"content encoding {encoding[:20]} is not supported"))
    try:
        inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
        raw = inflater.decompress(request.raw, MAX_SIZE)
    except zlib.error:
        raise Refusal(_error(400, "failed to decode the body")) from None
    if inflater.unconsumed_tail:
        raise Refusal(_error(413, "envelope exceeded size limits"))
    return raw


def _error(status: int, detail: str) -> Answer:
    return json_answer(status, {"detail": detail})
