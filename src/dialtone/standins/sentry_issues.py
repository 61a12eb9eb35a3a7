"""The part of Sentry's web API that on-call reads: issues, grouped as they came in, and the latest event of each.

Endpoints and fields: https://docs.sentry.io/api/events/list-an-organizations-issues/ and
https://docs.sentry.io/api/events/retrieve-an-issue-event/; errors as the service gives them (`detail`). Grouping is
simpler than Sentry's: by exception type and the frames of the application, else by message.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

from dialtone.standins.state import Bounded, Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Request, json_answer

_ORGANIZATION = re.compile(r"/api/0/organizations/[\w-]+/")
_ISSUES = re.compile(r"/api/0/organizations/[\w-]+/issues/")
_LATEST = re.compile(r"/api/0/(?:organizations/[\w-]+/)?issues/(\d+)/events/latest/")
_MOST = 100


@dataclass(slots=True)
class Issue:
    """One group of events."""

    number: int
    event: dict[str, Any]
    first: float
    last: float
    count: int = 1


class Issues:
    """What came in, by group; `token` is the prober's own, with the scope event:read."""

    def __init__(self, token: str, clock: Clock) -> None:
        self._token, self._clock = token.encode(), clock
        self._groups: Bounded[Issue] = Bounded(_MOST)
        self._next = 1

    def take(self, event: dict[str, Any]) -> None:
        """Count an event that was accepted."""
        now = self._clock.time()
        key = hashlib.sha256(repr(_group(event)).encode()).hexdigest()
        known = self._groups.get(key)
        if known is None:
            self._groups[key] = Issue(self._next, event, now, now)
            self._next += 1
        else:
            known.event, known.last, known.count = event, now, known.count + 1

    def knows(self, path: str) -> bool:
        """Whether a path belongs to this part of the API."""
        return path.startswith("/api/0/")

    def caller(self, request: Request) -> Caller:
        """Whoever holds the token is the prober."""
        return Caller("unknown", "prober") if self._holds_token(request) else STRANGER

    def answer(self, request: Request) -> Answer:
        """The answer to a read."""
        if not request.headers.get("authorization"):
            return _error(401, "Authentication credentials were not provided.")
        if not self._holds_token(request):
            return _error(401, "Invalid token")
        if request.method != "GET":
            return _error(405, f'Method "{request.method}" not allowed.')
        if _ORGANIZATION.fullmatch(request.path):
            return json_answer(200, {"slug": request.path.split("/")[4], "status": {"id": "active"}})
        if _ISSUES.fullmatch(request.path):
            order = {"freq": lambda i: -i.count, "new": lambda i: -i.first}
            found = sorted(self._groups.newest_first(), key=order.get(request.query.get("sort", ""), lambda i: -i.last))
            words = [word for word in request.query.get("query", "").split() if ":" not in word]  # the others: filters
            shown = [one for one in map(_shown, found) if all(word in one["title"] for word in words)]
            return json_answer(200, shown[: int(request.query.get("limit", "100"))])
        latest = _LATEST.fullmatch(request.path)
        issue = next((i for i in self._groups.newest_first() if latest and i.number == int(latest[1])), None)
        if issue is None:
            return _error(404, "The requested resource does not exist")
        return json_answer(200, _latest(issue))

    def _holds_token(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and compare_digest(token.encode(), self._token)


def _chain(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The exceptions, the outermost last (https://develop.sentry.dev/sdk/event-payloads/exception/)."""
    interface = event.get("exception")
    values = interface.get("values") if isinstance(interface, dict) else interface
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _exception(event: dict[str, Any]) -> dict[str, Any]:
    chain = _chain(event)
    return chain[-1] if chain else {}


def _frames(exception: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of an exception, innermost last, as they came."""
    stack = exception.get("stacktrace")
    frames = stack.get("frames") if isinstance(stack, dict) else None
    return [frame for frame in frames if isinstance(frame, dict)] if isinstance(frames, list) else []


def _culprit(event: dict[str, Any]) -> str:
    frames = _frames(_exception(event))
    own = [frame for frame in frames if frame.get("in_app")] or frames
    if own:
        return f"{own[-1].get('module') or own[-1].get('filename')} in {own[-1].get('function')}"
    return str(event.get("transaction") or "")


def _message(event: dict[str, Any]) -> str:
    logged = event.get("logentry") if isinstance(event.get("logentry"), dict) else {}
    return str(event.get("message") or (logged or {}).get("formatted") or (logged or {}).get("message") or "")


def _group(event: dict[str, Any]) -> tuple[str, ...]:
    kind = str(_exception(event).get("type") or "")
    frames = [
        f"{frame.get('module')} {frame.get('function')}" for frame in _frames(_exception(event)) if frame.get("in_app")
    ]
    return (kind, *frames) if kind else ("", _message(event))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(issue: Issue) -> dict[str, Any]:
    exception, message = _exception(issue.event), _message(issue.event)
    kind, value = str(exception.get("type") or ""), str(exception.get("value") or "")
    return {
        "id": str(issue.number),
        "shortId": f"SANDBOX-{issue.number}",
        "title": f"{kind}: {value}" if kind else message,
        "culprit": _culprit(issue.event),
        "level": issue.event.get("level") or "error",
        "status": "unresolved",
        "type": "error" if kind else "default",
        "metadata": {"type": kind, "value": value} if kind else {"title": message},
        "count": str(issue.count),
        "userCount": 0,
        "firstSeen": _time(issue.first),
        "lastSeen": _time(issue.last),
        "permalink": f"https://sentry.invalid/issues/{issue.number}/",
    }


def _latest(issue: Issue) -> dict[str, Any]:
    values = [_value(exception) for exception in _chain(issue.event)]
    release = issue.event.get("release")
    return {
        "eventID": issue.event.get("event_id"),
        "groupID": str(issue.number),
        "title": _shown(issue)["title"],
        "release": {"version": release} if release else None,
        "entries": [{"type": "exception", "data": {"values": values}}] if values else [],
    }


def _value(exception: dict[str, Any]) -> dict[str, Any]:
    names = {"filename": "filename", "function": "function", "lineNo": "lineno", "inApp": "in_app"}
    frames = [{theirs: frame.get(ours) for theirs, ours in names.items()} for frame in _frames(exception)]
    return {"type": exception.get("type"), "value": exception.get("value"), "stacktrace": {"frames": frames}}


def _error(status: int, detail: str) -> Answer:
    return json_answer(status, {"detail": detail})
