"""Messages: SMS and MMS that are taken for delivery."""

from __future__ import annotations

import uuid
from typing import Any

from dialtone.standins.standin import Routes
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.telnyx.account import NUMBER, PROFILE
from dialtone.standins.telnyx.wire import E164, body_of, error, iso, missing
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_MAX_TEXT = 1_600


class Messages:
    """What was sent, by id."""

    routes = Routes()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._messages: Bounded[dict[str, Any]] = Bounded()

    @routes("POST", "/v2/messages")
    def send_message(self, request: Request) -> Answer:
        """Take an SMS or MMS for delivery."""
        wanted = body_of(request)
        to, sender = wanted.get("to"), wanted.get("from")
        if not to:
            raise missing("/to")
        if not isinstance(to, str) or not E164.fullmatch(to):
            raise Refusal(error(400, "10016", "/to"))
        if not sender and not wanted.get("messaging_profile_id"):
            raise missing("/from")
        if sender and (not isinstance(sender, str) or not E164.fullmatch(sender)):
            raise Refusal(error(400, "10016", "/from"))
        text, media = wanted.get("text"), wanted.get("media_urls") or []
        if not (text or media):
            raise missing("/text")
        if not isinstance(text, str | None) or not isinstance(media, list) or len(text or "") > _MAX_TEXT:
            raise Refusal(error(400, "10015", "/text"))
        now = iso(self._clock.time())
        message = {
            "record_type": "message",
            "id": str(uuid.uuid4()),
            "direction": "outbound",
            "type": "MMS" if media else "SMS",
            "messaging_profile_id": wanted.get("messaging_profile_id", PROFILE),
            "from": {"phone_number": sender or NUMBER, "carrier": "Telnyx", "line_type": "Wireless"},
            "to": [{"phone_number": to, "status": "queued", "carrier": "", "line_type": "Wireless"}],
            "text": text,
            "media": [{"url": url} for url in media],
            "parts": max(1, -(-len(text or "") // 160)),
            "encoding": "GSM-7" if (text or "").isascii() else "UCS-2",
            "errors": [],
            "received_at": now,
            "sent_at": None,
            "completed_at": None,
        }
        self._messages[message["id"]] = message
        return json_answer(200, {"data": message})

    @routes("GET", "/v2/messages/{message_id}")
    def get_message(self, _request: Request, message_id: str) -> Answer:
        """A message that was sent here."""
        message = self._messages.get(message_id)
        return json_answer(200, {"data": message}) if message else error(404, "10005")
