"""Stand-in for PagerDuty: Events API v2 (enqueue, change events) and the read of incidents by their key.

Facts: PagerDuty/developer-docs, docs/events-API-v2/01-Overview.md to 05-Rate-Limits.md. Acknowledging and resolving
what is not open is dropped with a 202; after a resolve the same key opens a new alert; a wrong key is accepted and goes
nowhere, as it does there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request, json_answer

MAX_SIZE = 512 * 1024
PER_MINUTE = 120
SEVERITIES = {"critical", "error", "warning", "info"}


@dataclass(slots=True)
class Alert:
    """One alert, from its trigger to its resolve."""

    dedup_key: str
    summary: str
    severity: str
    status: str = "triggered"
    log: list[str] = field(default_factory=list)
    by: str | None = None


class PagerDuty(StandIn):
    """One integration key, and one token that may read."""

    name = "pagerduty"
    routes = Routes()

    def __init__(self, routing_key: str, token: str, clock: Clock, *, per_minute: int = PER_MINUTE) -> None:
        self._key, self._token, self._clock = routing_key, token.encode(), clock
        self._per_minute = per_minute
        self._calls: deque[float] = deque()
        self._made = 0
        self.alerts: list[Alert] = []
        self.changes: list[str] = []

    def answer(self, request: Request) -> Answer:
        """202, or what is wrong with the event."""
        found = self.routes.find(request.method, request.path)
        if found is None:
            return json_answer(404, {"error": {"message": "Not Found"}})
        handler, names = found
        return handler(self, request, **names)

    @routes("POST", "/v2/enqueue")
    def enqueue(self, request: Request) -> Answer:
        """Trigger, acknowledge or resolve."""
        event, refused = self._read(request)
        if refused:
            return refused
        errors = _errors(event)
        if errors:
            return _invalid(errors)
        key = event.get("dedup_key") or self._new_key()
        if event["routing_key"] == self._key:
            self._apply(event["event_action"], key, event.get("payload") or {})
        return json_answer(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    @routes("POST", "/v2/change/enqueue")
    def change(self, request: Request) -> Answer:
        """A deployment: nobody is told."""
        event, refused = self._read(request)
        if refused:
            return refused
        summary = (event.get("payload") or {}).get("summary")
        if not isinstance(summary, str) or not 0 < len(summary) <= 1_024:
            return _invalid(["'payload.summary' is missing or blank"])
        self.changes.append(summary)
        return json_answer(202, {"status": "success", "message": "Change event processed"})

    @routes("GET", "/incidents")
    def incidents(self, request: Request) -> Answer:
        """Those with the key and the status that are asked for."""
        given = request.headers.get("authorization", "").removeprefix("Token token=")
        if not compare_digest(given.encode(), self._token):
            return json_answer(401, {"error": {"message": "Unauthorized", "code": 2006}})
        key, status = request.query.get("incident_key"), request.query.get("statuses[]")
        found = [a for a in self.alerts if key in (None, a.dedup_key) and status in (None, a.status)]
        return json_answer(200, {"incidents": [_shown(a) for a in found[:25]], "limit": 25, "more": False})

    def acknowledge(self, key: str, who: str) -> None:
        """What a person does in the app."""
        for alert in self.alerts:
            if alert.dedup_key == key and alert.status == "triggered":
                alert.status, alert.by = "acknowledged", who

    def recorded_body(self, request: Request) -> Any:
        """The event without its key."""
        told = request.parsed()
        return {k: v for k, v in told.items() if k != "routing_key"} if isinstance(told, dict) else None

    def _read(self, request: Request) -> tuple[dict[str, Any], Answer | None]:
        now = self._clock.monotonic()
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= self._per_minute:
            told = "Requests for this service are arriving too quickly.  Please retry later."
            return {}, json_answer(429, {"status": "throttle exceeded", "message": told})
        self._calls.append(now)
        if len(request.raw) > MAX_SIZE:
            return {}, json_answer(413, {"status": "error", "message": "Payload too large"})
        try:
            event = request.json()
        except ValueError:
            event = None
        return (event, None) if isinstance(event, dict) else ({}, _invalid(["Request body is not valid JSON"]))

    def _new_key(self) -> str:
        self._made += 1
        return f"generated-{self._made}"

    def _apply(self, action: str, key: str, payload: dict[str, Any]) -> None:
        standing = next((a for a in self.alerts if a.dedup_key == key and a.status != "resolved"), None)
        if standing is None:
            if action == "trigger":
                self.alerts.append(Alert(key, payload["summary"], payload["severity"], log=["trigger"]))
            return
        standing.log.append(action)
        if action == "resolve":
            standing.status = "resolved"
        elif action == "acknowledge" and standing.status == "triggered":
            standing.status, standing.by = "acknowledged", standing.by or "Events API"


def _errors(event: dict[str, Any]) -> list[str]:
    errors = []
    if not isinstance(event.get("routing_key"), str) or len(event["routing_key"]) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is missing or blank")
    key = event.get("dedup_key")
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= 255):
        errors.append("'dedup_key' is too long (maximum is 255 characters)")
    if action in ("acknowledge", "resolve") and not key:
        errors.append("'dedup_key' is missing or blank")
    return errors + (_payload_errors(event.get("payload")) if action == "trigger" else [])


def _payload_errors(payload: Any) -> list[str]:
    told = payload if isinstance(payload, dict) else {}
    errors = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not isinstance(told.get(name), str) or not told[name]
    ]
    if len(str(told.get("summary", ""))) > 1_024:
        errors.append("'payload.summary' is too long (maximum is 1024 characters)")
    if told.get("severity") and told["severity"] not in SEVERITIES:
        words = "'critical', 'warning', 'error' or 'info'"
        errors.append(f"'payload.severity' is invalid (must be one of the following: {words})")
    return errors


def _invalid(errors: list[str]) -> Answer:
    return json_answer(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})


def _shown(alert: Alert) -> dict[str, Any]:
    people = [{"acknowledger": {"type": "user_reference", "summary": alert.by}}] if alert.by else []
    return {"incident_key": alert.dedup_key, "status": alert.status, "title": alert.summary, "acknowledgements": people}
