"""Slack's incoming webhook: an address that is itself the credential; 200 and the word `ok`.

It tells no timestamp, so nothing can be updated or put into a thread, and a message in doubt is sent again: both carry
the id of the transition (providers: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from dialtone.http import Client
from dialtone.incidents.channels.blocks import blocks, summary
from dialtone.incidents.channels.sending import LIMITS, Memory, NotSent, taken, wait
from dialtone.incidents.message import Message
from dialtone.redact import secrets
from dialtone.target.alerting import Channel

_WORDS = frozenset(
    "invalid_payload no_text invalid_blocks too_many_attachments channel_not_found channel_is_archived"
    " action_prohibited posting_to_general_channel_denied no_service no_service_id no_active_hooks no_team"
    " team_disabled invalid_token user_not_found".split()
)


class Webhook:
    """One channel behind one address."""

    every = 1.0
    """Seconds between two messages, which Slack allows (docs.slack.dev/apis/web-api/rate-limits)."""

    def __init__(self, url: str) -> None:
        self._url = url
        secrets.add(urlsplit(url).path)
        self._client = Client("", limits=LIMITS)

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """Post; a refusal is told by its word."""
        answer = self._client.post(self._url, json={"text": summary(message), "blocks": blocks(message)})
        if answer.failure is None and 400 <= answer.status < 500 and answer.status not in (408, 429):
            word = answer.text().strip()[:60] if not answer.is_html else ""
            raise NotSent(f"Slack refuses with {answer.status} {word if word in _WORDS else ''}".strip(), final=True)
        taken(answer)
        if answer.body.strip() != b"ok":
            raise NotSent("Slack answered 200 without its ok", doubt=True, after=wait(answer))
        return memory

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()


def build(_name: str, _channel: Channel, values: Mapping[str, str]) -> Webhook:
    """From the address in its variable."""
    return Webhook(values["secret"])
