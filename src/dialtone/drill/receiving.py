"""What arrived at the receiving end of a channel: a message that was sent is not one that was heard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

CHANNELS = {"sentry": "sentry", "slack": "slack", "mail": "mail", "pagerduty": "pagerduty", "resend": "resend"}
"""Channel -> the stand-in that is its receiving end."""
PEOPLE = ("slack", "mail", "pagerduty", "resend")
"""Those that reach a person; Sentry gathers."""


class Inbox(Protocol):
    """The journal of the stand-ins, as far as it is needed here."""

    def requests(self, **filters: Any) -> list[dict[str, Any]]:
        """Entries since it was opened."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One message that was accepted: when (wall clock, s), on which channel, and its text."""

    at: float
    channel: str
    text: str

    def says(self, words: Iterable[str]) -> bool:
        """Whether all of the words stand in it, in any case."""
        text = self.text.lower()
        return all(str(word).lower() in text for word in words)


def arrived(inbox: Inbox, channels: Sequence[str], since: float, words: Iterable[str] = ()) -> list[Message]:
    """The messages that arrived on these channels since a time (wall clock, s) and say all of the words.

    Raises KeyError for a channel that nobody knows.
    """
    wanted = tuple(words)
    found = [
        Message(entry["at"], channel, json.dumps(entry["body"], ensure_ascii=False, default=str))
        for channel in channels
        for entry in inbox.requests(provider=CHANNELS[channel])
        if entry["accepted"] and entry["at"] >= since
    ]
    return sorted((m for m in found if m.says(wanted)), key=lambda message: message.at)
