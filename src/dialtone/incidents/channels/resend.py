"""E-mail through Resend's API: `POST /emails` with an Idempotency-Key (resend/resend-openapi: resend.yaml).

Of its 429s only `rate_limit_exceeded` heals by waiting; a quota that is used up is the fallback's turn.
"""

from __future__ import annotations

from collections.abc import Mapping

from dialtone.http import Answer, BadBody, Client
from dialtone.incidents.channels.letter import addresses, html, message_id, plain, references, subject
from dialtone.incidents.channels.sending import LIMITS, Memory, NotSent, taken
from dialtone.incidents.message import Message
from dialtone.target.alerting import Channel

_NAMES = frozenset(
    "validation_error missing_required_field missing_api_key invalid_api_key invalid_from_address rate_limit_exceeded"
    " daily_quota_exceeded monthly_quota_exceeded application_error invalid_idempotent_request not_found"
    " concurrent_idempotent_requests restricted_api_key".split()
)
_AGAIN = frozenset({"rate_limit_exceeded", "concurrent_idempotent_requests"})


class Resend:
    """One sender."""

    def __init__(self, name: str, url: str, key: str, sender: str, to: list[str]) -> None:
        self._name, self._sender, self._to = name, sender, to
        self._client = Client(url, limits=LIMITS, headers={"authorization": f"Bearer {key}"})

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """One mail to everybody; sent again it is still one, for a day."""
        to = addresses(message, self._to)
        if not to:
            raise NotSent("nobody to send the mail to: give the channel `to`, or people an `email`", final=True)
        body = {
            "from": self._sender,
            "to": to[:50],
            "subject": subject(message),
            "text": plain(message),
            "html": html(message),
            "headers": {"Message-ID": message_id(message, self._name), **references(message, self._name)},
        }
        answer = self._client.post("/emails", json=body, headers={"idempotency-key": f"{message.key}.{self._name}"})
        if answer.failure is None and 400 <= answer.status < 500:
            word = _name(answer)
            if word not in _AGAIN and (answer.status not in (408, 429) or word):
                raise NotSent(f"Resend refuses with {answer.status} {word}".strip(), final=True)
        if answer.failure is None and answer.status == 409:
            raise NotSent("Resend is still busy with the same mail", doubt=True, after=5.0)
        told = taken(answer)
        try:
            found = told.json()
        except BadBody:
            found = None
        if not isinstance(found, dict) or not found.get("id"):
            raise NotSent("Resend answered 200 without an id", doubt=True)
        return {**memory, "id": str(found["id"])[:64]}

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()


def _name(answer: Answer) -> str:
    try:
        told = answer.json()
    except BadBody:
        return ""
    name = told.get("name") if isinstance(told, dict) else None
    return name if name in _NAMES else ""


def build(name: str, channel: Channel, values: Mapping[str, str]) -> Resend:
    """From its API key."""
    url = channel.url or "https://api.resend.com"
    return Resend(name, url, values["secret"], channel.sender or "", list(channel.to))
