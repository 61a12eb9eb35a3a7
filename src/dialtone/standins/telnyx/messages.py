"""Messages: SMS and MMS that are taken for delivery."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from dialtone.standins.standin import Routes
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.telnyx.account import NUMBER, PROFILE
from dialtone.standins.telnyx.wire import E164, body_of, error, filters, iso, missing, page
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_MAX_TEXT = 1_600
_STEP = 1.0


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
        return json_answer(200, {"data": self._now(message)}) if message else error(404, "10005")

    @routes("GET", "/v2/detail_records")
    def detail_records(self, request: Request) -> Answer:
        """What was sent as it is billed, newest first; `filter[record_type]` has to say `messaging`."""
        wanted = filters(request)
        kind = wanted.pop("record_type", None)
        if kind != "messaging":
            raise (
                missing("/filter[record_type]")
                if kind is None
                else Refusal(error(400, "10015", "/filter[record_type]"))
            )
        wanted.pop("date_range", None)
        records = [self._record(self._now(message)) for message in self._messages.newest_first()]
        for field, value in wanted.items():
            if records and field not in records[0]:
                raise Refusal(error(400, "10015", f"/filter[{field}]"))
            records = [one for one in records if str(one[field]) == value]
        return page(request, records)

    def _now(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message goes out after a second and is delivered after another."""
        age = self._clock.time() - datetime.fromisoformat(message["received_at"]).timestamp()
        status = "delivered" if age >= 2 * _STEP else "sent" if age >= _STEP else "queued"
        at = datetime.fromisoformat(message["received_at"]).timestamp()
        shown = {**message, "to": [{**message["to"][0], "status": status}]}
        shown["sent_at"] = iso(at + _STEP) if status != "queued" else None
        shown["completed_at"] = iso(at + 2 * _STEP) if status == "delivered" else None
        return shown

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "record_type": "message_detail_record",
            "uuid": message["id"],
            "cli": message["from"]["phone_number"],
            "cld": message["to"][0]["phone_number"],
            "direction": message["direction"],
            "status": message["to"][0]["status"],
            "message_type": message["type"],
            "parts": message["parts"],
            "profile_id": message["messaging_profile_id"],
            "cost": f"{0.004 * message['parts']:.4f}",
            "currency": "USD",
            "country_code": "US",
            "created_at": message["received_at"],
            "sent_at": message["sent_at"],
            "completed_at": message["completed_at"],
            "errors": [],
        }
