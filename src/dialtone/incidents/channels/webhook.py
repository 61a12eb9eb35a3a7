"""Any receiver: one JSON document for each transition, signed as Standard Webhooks (`webhook-id`, `webhook-timestamp`,
`webhook-signature`). The id is that of the transition: a receiver that keeps it sees each one once.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from dialtone.http import Client
from dialtone.incidents.channels.sending import LIMITS, Memory, taken
from dialtone.incidents.message import Message
from dialtone.signing import standard_webhooks
from dialtone.target.alerting import Channel


class Webhook:
    """One address and its secret."""

    def __init__(self, name: str, url: str, key: str, clock: Callable[[], float] = time.time) -> None:
        self._name, self._url, self._key, self._clock = name, url, key, clock
        self._client = Client("", limits=LIMITS)

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """Post; any 2xx is a yes."""
        body = json.dumps(payload(message), ensure_ascii=False).encode()
        event_id = f"{message.key}.{self._name}"
        signed = standard_webhooks.SCHEME.sign(body, key=self._key, at=self._clock(), event_id=event_id)
        taken(self._client.post(self._url, content=body, headers={"content-type": "application/json", **signed}))
        return memory

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()


def payload(message: Message) -> dict[str, Any]:
    """The document, as docs/incidents.md describes it."""
    return {
        "type": f"incident.{message.told.replace(' ', '_')}",
        "timestamp": _time(message.at),
        "data": {
            "incident": message.incident,
            "transition": message.key,
            "seq": message.seq,
            "test": message.test,
            "target": message.target,
            "cause": message.cause,
            "severity": message.severity,
            "state": message.state,
            "headline": message.headline,
            "since": _time(message.first_bad),
            "by": message.by or None,
            "note": message.note or None,
            "facts": dict(message.facts()),
            "checks": [
                {"id": line.check, "severity": line.severity, "verdict": line.verdict, "reason": line.reason}
                for line in message.lines
            ],
            "links": [{"text": label, "url": url} for label, url in message.links],
        },
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build(name: str, _channel: Channel, values: Mapping[str, str]) -> Webhook:
    """`secret` names the variable with the address, `signing` the one with the whsec_ secret."""
    return Webhook(name, values["secret"], values["signing"])
