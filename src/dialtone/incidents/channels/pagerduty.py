"""PagerDuty's Events API v2: trigger, acknowledge, resolve with one dedup key for each incident.

Facts: PagerDuty/developer-docs, docs/events-API-v2 (Overview, Trigger-Events, Change-Events, Rate-Limits). A 202 is not
a page: who answered is read back from the REST API where `reading` names a token that may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dialtone.http import BadBody, Client
from dialtone.incidents.channels.sending import LIMITS, Memory, NotSent, taken
from dialtone.incidents.message import Message, cut
from dialtone.target.alerting import Channel

SUMMARY, DETAIL = 1_024, 2_000
SEVERITIES = {"P0": "critical", "P1": "error", "P2": "warning", "P3": "info"}
_AT_ONCE = 50


class PagerDuty:
    """One integration."""

    def __init__(self, url: str, routing_key: str, rest: str, token: str) -> None:
        self._key = routing_key
        self._client = Client(url, limits=LIMITS)
        accept = "application/vnd.pagerduty+json;version=2"
        self._rest = Client(rest, limits=LIMITS, headers={"accept": accept, "authorization": f"Token token={token}"})
        self._reads = bool(token)

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """One event; sending it again changes nothing, since its dedup key is the incident."""
        action = "resolve" if message.over else "acknowledge" if message.told == "acknowledged" else "trigger"
        event: dict[str, Any] = {"routing_key": self._key, "event_action": action, "dedup_key": dedup_key(message)}
        if action == "trigger":
            event |= {"payload": _payload(message), "client": "dialtone"}
            event["links"] = [{"href": url, "text": label} for label, url in message.links]
        told = self._enqueue("/v2/enqueue", event)
        if told.get("dedup_key") != event["dedup_key"]:
            raise NotSent("PagerDuty took the event under another dedup key", doubt=True)
        return memory

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()
        self._rest.close()

    def change(self, summary: str, at: float, details: Mapping[str, str]) -> None:
        """Tell of a deployment: no notification, shown beside incidents. Raises NotSent."""
        payload = {"summary": cut(summary, SUMMARY), "timestamp": _time(at), "custom_details": dict(details)}
        self._enqueue("/v2/change/enqueue", {"routing_key": self._key, "payload": payload})

    def acknowledged(self, incidents: Sequence[str]) -> dict[str, str]:
        """Incident -> name of who acknowledged it in PagerDuty; nothing where no token was given to read."""
        found: dict[str, str] = {}
        for incident in incidents[:_AT_ONCE] if self._reads else ():
            query = f"/incidents?statuses%5B%5D=acknowledged&incident_key={incident}&limit=1"
            try:
                told = taken(self._rest.get(query)).json()
            except BadBody:
                raise NotSent("PagerDuty answered something else than JSON") from None
            for one in told.get("incidents", [])[:1] if isinstance(told, dict) else ():
                people = [(a.get("acknowledger") or {}).get("summary") for a in one.get("acknowledgements") or []]
                found[incident] = str(next((p for p in people if p), "PagerDuty"))
        return found

    def _enqueue(self, path: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._client.post(path, json=event)
        if answer.failure is None and answer.status == 400:
            raise NotSent("PagerDuty refuses the event as invalid (400)", final=True)
        try:
            told = taken(answer).json()
        except BadBody:
            told = None
        if answer.status != 202 or not isinstance(told, dict):
            raise NotSent(f"PagerDuty answered {answer.status} without saying that it took the event", doubt=True)
        return told


def dedup_key(message: Message) -> str:
    """At most 255 characters, the same for all of an incident; after a resolve it opens a new alert."""
    return message.incident


def _payload(message: Message) -> dict[str, Any]:
    details = {name: cut(text, DETAIL) for name, text in message.facts()}
    if message.lines[1:]:
        details["Also red"] = cut("; ".join(f"{line.check}: {line.reason}" for line in message.lines[1:]), DETAIL)
    return {
        "summary": cut(message.headline + (f": {message.lines[0].reason}" if message.lines else ""), SUMMARY),
        "source": message.target,
        "severity": SEVERITIES.get(message.severity, "error"),
        "timestamp": _time(message.at),
        "component": cut(message.cause, 255),
        "group": message.target,
        "class": message.told,
        "custom_details": details,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def build(_name: str, channel: Channel, values: Mapping[str, str]) -> PagerDuty:
    """`url` is another region's events host, such as https://events.eu.pagerduty.com."""
    url = (channel.url or "https://events.pagerduty.com").rstrip("/")
    rest = url.replace("//events.", "//api.")
    return PagerDuty(url, values["secret"], rest, values["reading"])
