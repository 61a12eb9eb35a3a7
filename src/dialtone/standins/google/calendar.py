"""Stand-in for the Calendar API, version 3 (https://www.googleapis.com/calendar/v3).

Errors: https://developers.google.com/workspace/calendar/api/guides/errors. Event ids chosen by the client are 5 to
1024 characters of base32hex in lower case; a used one is 409 `duplicate`
(https://developers.google.com/workspace/calendar/api/v3/reference/events/insert).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.google.grants import SLOW, Access, Grants
from dialtone.standins.google.times import instant, span
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

ACCOUNT = "synthetic@dialtone.invalid"
"""The account's address, which is also the id of its one calendar; `primary` means the same."""

SHARED = "front-desk@dialtone.invalid"
"""A calendar that is shared with the account, to be read: what was booked before the start."""

_BASE = "/calendar/v3"
_EVENTS = _BASE + "/calendars/{calendar_id}/events"
_EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
_FIELDS = (
    "summary description location start end attendees extendedProperties reminders colorId transparency visibility"
    " source"
).split()


_SYNC = "CPDAlvWDx70CEPDAlvWDx70CGAU"
_NOT_WITH_SYNC = frozenset("iCalUID orderBy privateExtendedProperty q sharedExtendedProperty timeMin timeMax".split())
_MOST_CHANGES = 10_000

_KEPT = {
    "kind": "calendar#event",
    "id": "b0badcafe",
    "status": "confirmed",
    "summary": "checkup: Dialtone Synthetic dialtone-synthetic 1700000000-0badcafe",
    "start": {"dateTime": "2023-11-17T15:00:00Z"},
    "end": {"dateTime": "2023-11-17T15:30:00Z"},
}
"""The event of a run long over that cannot be deleted, where the defect says so."""


class GoogleCalendar(StandIn):
    """One account with one calendar; all grants see the same."""

    name = "google"
    routes = Routes()

    def __init__(self, grants: Grants, switches: Switches, clock: Clock, listed: Listed = NOTHING) -> None:
        self._grants, self._switches, self._clock = grants, switches, clock
        self._listed, self._began = listed, clock.time()
        self._events: Bounded[dict[str, Any]] = Bounded()
        self._changes: Bounded[int] = Bounded()
        self._changed = 0
        self._pages: Bounded[tuple[list[dict[str, Any]], dict[str, str]]] = Bounded(1_000)

    def answer(self, request: Request) -> Answer:
        """What the API answers: 401 before anything else, late for a slow grant."""
        access = self._access(request)
        try:
            answer = self._answer(request, access)
        except Refusal as refusal:
            answer = refusal.answer
        return replace(answer, delay=SLOW) if access and access.slow else answer

    def _answer(self, request: Request, access: Access | None) -> Answer:
        if access is None:
            return _unauthorized(given=request.bearer is not None)
        found = self.routes.find(request.method, request.path)
        if found is None:
            return Answer(404, b"Not Found", "text/html; charset=UTF-8")
        handler, names = found
        calendar_id = names.pop("calendar_id", "primary")
        if calendar_id == SHARED and request.method == "GET" and not names:
            return self._shared(request)
        if calendar_id not in ("primary", ACCOUNT):
            return _error(404, "notFound", "Not Found")
        return handler(self, request, **names)

    def caller(self, request: Request) -> Caller:
        """A valid access token was made for the application's client."""
        return Caller("unknown", "application") if self._access(request) else STRANGER

    def credentials(self, request: Request) -> Iterable[str]:
        """The access token, so that the journal can be asked for the calls that were made with one."""
        return [request.bearer] if request.bearer else []

    def _access(self, request: Request) -> Access | None:
        return self._grants.access(request.bearer) if request.bearer else None

    @routes("GET", _BASE + "/users/me/calendarList")
    def calendar_list(self, _request: Request) -> Answer:
        """The one calendar."""
        calendar: dict[str, Any] = {
            "kind": "calendar#calendarListEntry",
            "id": ACCOUNT,
            "summary": ACCOUNT,
            "timeZone": "UTC",
        }
        calendar |= {"accessRole": "owner", "primary": True, "selected": True}
        return json_answer(200, {"kind": "calendar#calendarList", "items": [calendar]})

    @routes("POST", _EVENTS)
    def insert(self, request: Request) -> Answer:
        """A new event; 409 when its id was used before, deleted events included."""
        wanted = _body(request)
        event_id = wanted.get("id") or secrets.token_hex(13)
        if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
            raise Refusal(_error(400, "invalid", "Invalid resource id value."))
        _check_times(wanted)
        if event_id in self._events:
            return _error(409, "duplicate", "The requested identifier already exists.")
        now = _iso(self._clock.time())
        event = {
            "kind": "calendar#event",
            "etag": f'"{secrets.token_hex(8)}"',
            "id": event_id,
            "status": "confirmed",
            "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}",
            "created": now,
            "updated": now,
            "creator": {"email": ACCOUNT, "self": True},
            "organizer": {"email": ACCOUNT, "self": True},
            "iCalUID": f"{event_id}@google.com",
            "sequence": 0,
            "eventType": "default",
            **{field: wanted[field] for field in _FIELDS if field in wanted},
        }
        self._keep(event)
        return json_answer(200, event, {"etag": event["etag"]})

    @routes("GET", _EVENTS)
    def list_events(self, request: Request) -> Answer:
        """The events that are not deleted, within `timeMin` and `timeMax`, at most `maxResults` on a page.

        The last page holds the token of the next sync; with one, what has changed since, deleted events included. A
        token that is too old or none of ours is 410: a full sync is needed
        (https://developers.google.com/workspace/calendar/api/guides/sync).
        """
        query = request.query
        size = query.get("maxResults", "250")
        if not (size.isascii() and size.isdigit() and 0 < int(size[:9]) <= 2500):
            raise Refusal(_error(400, "invalidParameter", "Invalid integer value for maxResults."))
        if (page := query.get("pageToken")) is not None:
            if (kept := self._pages.pop(page)) is None:
                raise Refusal(_error(400, "invalid", "Invalid page token value."))
            events, last = kept
        else:
            events, last = self._asked(query), {"nextSyncToken": f"{_SYNC}{self._changed}"}
        found = {"kind": "calendar#events", "summary": ACCOUNT, "timeZone": "UTC", "accessRole": "owner"}
        if rest := events[int(size) :]:
            token = secrets.token_urlsafe(16)
            self._pages[token] = (rest, last)
            last = {"nextPageToken": token}
        return json_answer(200, {**found, "items": events[: int(size)], **last})

    def _asked(self, query: dict[str, str]) -> list[dict[str, Any]]:
        if (token := query.get("syncToken")) is not None:
            if wrong := sorted(_NOT_WITH_SYNC & query.keys()):
                raise Refusal(_error(400, "badRequest", f"Sync token cannot be used with the parameter {wrong[0]}."))
            since = token.removeprefix(_SYNC)
            if not token.startswith(_SYNC) or not since.isdigit() or not self._remembers(int(since)):
                told = "Sync token is no longer valid, a full sync is required."
                raise Refusal(_error(410, "fullSyncRequired", told, domain="calendar"))
            return [one for one in self._events.newest_first() if (self._changes.get(one["id"]) or 0) > int(since)]
        lower, upper = (_instant(query[name]) if name in query else None for name in ("timeMin", "timeMax"))
        kept = [_KEPT] if self._switches.on("calendar-events-stay") else []
        deleted = query.get("showDeleted") == "true"
        found = [*self._within(lower, upper, deleted=deleted), *kept]
        return [event for event in found if _holds(event, query)]

    def _remembers(self, since: int) -> bool:
        """Whether a token is one of this server's life, and nothing that has changed since was forgotten."""
        return since <= self._changed and self._changed - since <= _MOST_CHANGES

    def _keep(self, event: dict[str, Any]) -> None:
        """An event that is new or has changed."""
        self._changed += 1
        event["etag"] = f'"{secrets.token_hex(8)}"'
        self._events[event["id"]] = event
        self._changes[event["id"]] = self._changed

    def _shared(self, request: Request) -> Answer:
        """The events of the shared calendar that were changed since `updatedMin`, page by page."""
        query = request.query
        listed = self._listed.entries(self._began)
        if self._switches.on("calendar-events-gone"):
            listed = listed[:2] + listed[7:]
        since = _instant(query["updatedMin"]).timestamp() if "updatedMin" in query else 0.0
        events = [
            {"kind": "calendar#event", "id": name, "status": "confirmed", "created": _iso(at), "updated": _iso(at)}
            for name, at in listed
            if at >= since
        ]
        size, page = int(query.get("maxResults", "250")), int(query.get("pageToken", "0"))
        more = {"nextPageToken": str(page + size)} if len(events) > page + size else {}
        found = {"kind": "calendar#events", "summary": SHARED, "timeZone": "UTC", "accessRole": "reader"}
        return json_answer(200, {**found, "items": events[page : page + size], **more})

    @routes("GET", _EVENTS + "/{event_id}")
    def get_event(self, request: Request, event_id: str) -> Answer:
        """An event; a deleted one is still there for a while, cancelled."""
        event = self._events.get(event_id)
        if event is None:
            return _error(404, "notFound", "Not Found")
        if request.headers.get("if-none-match") == event["etag"]:
            return Answer(304, b"", "", {"etag": event["etag"]})
        return json_answer(200, event, {"etag": event["etag"]})

    @routes("PATCH", _EVENTS + "/{event_id}")
    def patch_event(self, request: Request, event_id: str) -> Answer:
        """Change some fields of an event."""
        return self._update(request, event_id, whole=False)

    @routes("PUT", _EVENTS + "/{event_id}")
    def put_event(self, request: Request, event_id: str) -> Answer:
        """Give an event other fields: those that are not given are gone."""
        return self._update(request, event_id, whole=True)

    def _update(self, request: Request, event_id: str, *, whole: bool) -> Answer:
        """412 when the event is not the one that `If-Match` means: somebody else has changed it."""
        event = self._events.get(event_id)
        if event is None:
            return _error(404, "notFound", "Not Found")
        _check_match(request, event)
        kept = {name: value for name, value in event.items() if not whole or name not in _FIELDS}
        changed = kept | {field: value for field, value in _body(request).items() if field in (*_FIELDS, "status")}
        _check_times(changed)
        changed |= {"updated": _iso(self._clock.time()), "sequence": event["sequence"] + 1}
        self._keep(changed)
        return json_answer(200, changed, {"etag": changed["etag"]})

    @routes("DELETE", _EVENTS + "/{event_id}")
    def delete_event(self, request: Request, event_id: str) -> Answer:
        """Cancel an event; 410 when it is already."""
        event = self._events.get(event_id)
        if event_id == _KEPT["id"] and self._switches.on("calendar-events-stay"):
            return _error(403, "forbiddenForNonOrganizer", "Shared properties can only be changed by the organizer.")
        if event is None:
            return _error(404, "notFound", "Not Found")
        if event["status"] == "cancelled":
            return _error(410, "deleted", "Resource has been deleted")
        _check_match(request, event)
        self._keep(event | {"status": "cancelled", "updated": _iso(self._clock.time())})
        return Answer(204)

    @routes("POST", _BASE + "/freeBusy")
    def free_busy(self, request: Request) -> Answer:
        """When the calendar is taken between `timeMin` and `timeMax`."""
        wanted = _body(request)
        for field in ("timeMin", "timeMax"):
            if not isinstance(wanted.get(field), str):
                raise Refusal(_error(400, "required", f"Required parameter: {field}"))
        lower, upper = _instant(wanted["timeMin"]), _instant(wanted["timeMax"])
        calendars: dict[str, Any] = {}
        items = wanted.get("items") or []
        for item in items if isinstance(items, list) else []:
            name = str(item.get("id")) if isinstance(item, dict) else ""
            if name in ("primary", ACCOUNT):
                spans = [
                    span(event) for event in self._within(lower, upper) if event.get("transparency") != "transparent"
                ]
                calendars[name] = {"busy": [{"start": _z(start), "end": _z(end)} for start, end in sorted(spans)]}
            else:
                calendars[name] = {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
        answer = {"kind": "calendar#freeBusy", "timeMin": _z(lower), "timeMax": _z(upper), "calendars": calendars}
        return json_answer(200, answer)

    def _within(self, lower: datetime | None, upper: datetime | None, *, deleted: bool = False) -> list[dict[str, Any]]:
        found = []
        for event in self._events.newest_first():
            start, end = span(event)
            if (
                (deleted or event["status"] != "cancelled")
                and (lower is None or end > lower)
                and (upper is None or start < upper)
            ):
                found.append(event)
        return sorted(found, key=span)


def _check_match(request: Request, event: dict[str, Any]) -> None:
    wanted = request.headers.get("if-match", "*")
    if wanted not in ("*", event["etag"]):
        told = "The condition set in the request's headers was not met."
        raise Refusal(_error(412, "conditionNotMet", told, location="If-Match", locationType="header"))


def _check_times(event: dict[str, Any]) -> None:
    for field in ("start", "end"):
        if not isinstance(event.get(field), dict):
            raise Refusal(_error(400, "required", f"Missing {field} time."))
    try:
        start, end = span(event)
    except ValueError as malformed:
        raise Refusal(_error(400, "invalid", str(malformed))) from None
    if end < start:
        raise Refusal(_error(400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar"))


def _holds(event: dict[str, Any], query: dict[str, str]) -> bool:
    words = query.get("q", "").lower()
    if words and words not in f"{event.get('summary', '')} {event.get('description', '')}".lower():
        return False
    name, _, value = query.get("privateExtendedProperty", "").partition("=")
    properties = (event.get("extendedProperties") or {}).get("private") or {}
    return not name or properties.get(name) == value


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(_error(400, "parseError", "Parse Error"))
    return body


def _instant(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError:
        raise Refusal(_error(400, "badRequest", "Bad Request")) from None


def _iso(at: float) -> str:
    return _z(datetime.fromtimestamp(at, UTC), "milliseconds")


def _z(at: datetime, precision: str = "seconds") -> str:
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _unauthorized(*, given: bool) -> Answer:
    reason, message = ("authError", "Invalid Credentials") if given else ("required", "Login Required.")
    return _error(401, reason, message, location="Authorization", locationType="header")


def _error(status: int, reason: str, message: str, domain: str = "global", **more: str) -> Answer:
    one = {"domain": domain, "reason": reason, "message": message, **more}
    return json_answer(status, {"error": {"errors": [one], "code": status, "message": message}})
