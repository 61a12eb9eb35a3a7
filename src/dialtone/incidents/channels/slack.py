"""Slack's Web API: one thread for each incident, whose first message always shows the state.

Every message carries the id of its transition as metadata; before one is sent whose predecessor may have arrived, the
history is read, so that it stands there once (https://docs.slack.dev/messaging/message-metadata;
`conversations.history` and `conversations.replies` with `include_all_metadata`). A failure is 200 with
`ok: false` and a word; a limit is 429 with Retry-After, about one message a second and channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialtone.http import BadBody, Client
from dialtone.incidents.channels.blocks import blocks, summary
from dialtone.incidents.channels.sending import LIMITS, Memory, NotSent, taken
from dialtone.incidents.message import Message
from dialtone.target.alerting import Channel

EVENT = "dialtone_incident"
PAGES, PAGE = 10, 200
_TRANSIENT = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})


class Slack:
    """One channel of a workspace."""

    every = 1.0
    """Seconds between two messages, which Slack allows (docs.slack.dev/apis/web-api/rate-limits)."""

    def __init__(self, url: str, token: str, channel: str) -> None:
        self._client = Client(url, limits=LIMITS, headers={"authorization": f"Bearer {token}"})
        self._channel = channel

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """The first message of an incident opens its thread; every other is an answer there, and updates the first."""
        content = {"text": summary(message), "blocks": blocks(message)}
        root, first = memory.get("ts"), memory.get("first")
        if root is None and (doubt or message.seq > 1) and (found := self._found({"incident": message.incident})):
            root, first = found["ts"], _told(found).get("first")
        metadata = {"event_type": EVENT, "event_payload": {**_payload(message), "first": first or message.key}}
        if root is None:
            root = self._call("chat.postMessage", {**content, "metadata": metadata})["ts"]
            return {"ts": root, "first": message.key}
        if first == message.key:  # it opened the thread, whatever has been told in it since
            return {"ts": root, "first": first}
        if not (doubt and self._found({"transition": message.key}, root)):
            reply = {"thread_ts": root, "reply_broadcast": message.calls, "metadata": metadata}
            self._call("chat.postMessage", {**content, **reply})
        self._call("chat.update", {**content, "ts": root, "metadata": metadata})
        return {"ts": root, "first": first}

    def standing(self, target: str) -> list[Mapping[str, Any]]:
        """The first messages of this target's incidents that are not over."""
        return [
            {**told, "memory": {"ts": one["ts"], "first": told.get("first")}}
            for one in self._messages("conversations.history", {})
            if (told := _told(one)).get("target") == target and told.get("state") in ("open", "acknowledged")
        ]

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _found(self, wanted: Mapping[str, str], root: str | None = None) -> Mapping[str, Any] | None:
        method = "conversations.replies" if root else "conversations.history"
        for one in self._messages(method, {"ts": root} if root else {}):
            told = _told(one)
            if all(told.get(name) == value for name, value in wanted.items()) and (root is None or one["ts"] != root):
                return one
        return None

    def _messages(self, method: str, more: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        cursor = ""
        for _ in range(PAGES):
            asked = {"include_all_metadata": True, "limit": PAGE, **more, **({"cursor": cursor} if cursor else {})}
            answer = self._call(method, asked)
            found += answer.get("messages") or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        return found

    def _call(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = taken(self._client.post(f"/api/{method}", json={"channel": self._channel, **body}))
        try:
            told = answer.json()
        except BadBody:
            told = None
        if not isinstance(told, dict):
            raise NotSent(f"Slack's {method} answered something else than JSON", doubt=True)
        if told.get("ok") is True:
            return told
        word = str(told.get("error"))
        word = word if word.replace("_", "").isalnum() and len(word) < 60 else "an error"
        if word in _LIMITED:
            raise NotSent(f"Slack's {method}: {word}", after=30.0)
        raise NotSent(f"Slack's {method}: {word}", final=word not in _TRANSIENT, doubt=word in _TRANSIENT)


def _told(one: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = one.get("metadata") or {}
    told = metadata.get("event_payload") if metadata.get("event_type") == EVENT else None
    return told if isinstance(told, dict) else {}


def _payload(message: Message) -> dict[str, Any]:
    """What is needed to take an incident up again that is in no store: flat, with values that Slack takes."""
    return {
        "incident": message.incident,
        "transition": message.key,
        "seq": message.seq,
        "target": message.target,
        "cause": message.cause,
        "severity": message.severity,
        "state": message.state,
        "first_bad": str(message.first_bad),
        "by": message.by,
        "checks": ",".join(line.check for line in message.lines)[:1_000],
    }


def build(_name: str, channel: Channel, values: Mapping[str, str]) -> Slack:
    """From its token; `to` holds the id of the channel."""
    return Slack(channel.url or "https://slack.com", values["secret"], channel.to[0])
