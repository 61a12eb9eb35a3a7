"""Sentry: an event for each transition, grouped by incident; and the dead man's switch of the watch, a cron monitor.

Envelopes: getsentry/develop, src/docs/sdk/envelopes.mdx; check-ins: src/docs/sdk/check-ins.mdx. The id of an event is
made of the transition, so that an event that comes twice is one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from dialtone.http import Client
from dialtone.incidents.channels.sending import LIMITS, Memory, NotSent, taken
from dialtone.incidents.message import Message, cut
from dialtone.target.alerting import Channel

LEVELS = {"P0": "fatal", "P1": "error", "P2": "warning", "P3": "info"}
MESSAGE = 8_192


class Sentry:
    """One project."""

    def __init__(self, name: str, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._name, self._key = name, parts.username or ""
        before, _, project = parts.path.rpartition("/")
        port = f":{parts.port}" if parts.port else ""
        self._url = f"{before}/api/{project}/envelope/"
        auth = f"Sentry sentry_version=7, sentry_client=dialtone/1, sentry_key={self._key}"
        self._client = Client(
            f"{parts.scheme}://{parts.hostname}{port}", limits=LIMITS, headers={"x-sentry-auth": auth}
        )

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """One event."""
        event_id = hashlib.sha256(f"{message.key}.{self._name}".encode()).hexdigest()[:32]
        event = {
            "event_id": event_id,
            "timestamp": _time(message.at),
            "platform": "python",
            "logger": "dialtone",
            "level": "info" if message.over else LEVELS.get(message.severity, "error"),
            "logentry": dict.fromkeys(("message", "formatted"), cut(message.headline, MESSAGE)),
            "fingerprint": ["dialtone", message.incident],
            "environment": message.target,
            "tags": {"incident": message.incident, "state": message.state, "severity": message.severity,
                     "transition": message.key},
            "extra": dict(message.facts()),
        }  # fmt: skip
        self._envelope(event_id, "event", event)
        return memory

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def check_in(
        self, slug: str, status: Literal["in_progress", "ok", "error"], check_in_id: str, every: float, *, where: str
    ) -> None:
        """Say that the watch runs; the schedule goes with it, so that nobody has to set up the monitor. Raises NotSent.

        `every` is in seconds, told in whole minutes; a check-in may be late by half of it, and take as long as it.
        `where` is the environment.
        """
        minutes = max(1, round(every / 60))
        payload = {
            "check_in_id": check_in_id,
            "monitor_slug": slug,
            "status": status,
            "environment": where,
            "monitor_config": {
                "schedule": {"type": "interval", "value": minutes, "unit": "minute"},
                "checkin_margin": max(1, minutes // 2),
                "max_runtime": max(5, minutes),
                "failure_issue_threshold": 1,
                "recovery_threshold": 1,
                "timezone": "UTC",
            },
        }
        self._envelope(check_in_id, "check_in", payload)

    def _envelope(self, event_id: str, kind: str, payload: Mapping[str, Any]) -> None:
        body = json.dumps(payload, ensure_ascii=False).encode()
        header = {"event_id": event_id, "sent_at": _time(time.time())}  # Sentry corrects our clock by it
        item = {"type": kind, "content_type": "application/json", "length": len(body)}
        lines = [json.dumps(header).encode(), json.dumps(item).encode(), body]
        sent = {"content-type": "application/x-sentry-envelope"}
        answer = taken(self._client.post(self._url, content=b"\n".join(lines) + b"\n", headers=sent))
        if _limited(answer.header("x-sentry-rate-limits") or "", kind):
            raise NotSent("Sentry took the envelope and drops what is in it: its quota is used up", final=True)


def _limited(told: str, kind: str) -> bool:
    """Whether a rate limit is about what was just sent: `seconds:categories:scope`, no category meaning all."""
    category = {"event": "error", "check_in": "monitor"}[kind]
    for one in told.split(","):
        parts = one.strip().split(":")
        if len(parts) > 1 and (not parts[1] or {category, "default"} & set(parts[1].split(";"))):
            return True
    return False


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build(name: str, _channel: Channel, values: Mapping[str, str]) -> Sentry:
    """From its DSN."""
    return Sentry(name, values["secret"])
