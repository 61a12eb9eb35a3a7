"""Stand-in for Slack's incoming webhooks.

`POST /services/T…/B…/X…` with JSON is answered 200 and the plain text `ok`
(slackapi/python-slack-sdk: docs/english/webhook.md). Errors are short plain-text words
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, "Handling errors"); which word has which
status is known from use: 400 for what is wrong with the message, 404 for an address that is not, or no longer, one.
"""

from __future__ import annotations

import json
from hmac import compare_digest

from dialtone.standins.standin import StandIn
from dialtone.standins.wire import STRANGER, Answer, Caller, Request, text_answer

_MAX_ATTACHMENTS = 100
_MAX_BLOCKS = 50


class Slack(StandIn):
    """One channel behind one address, which is itself the credential."""

    name = "slack"

    def __init__(self, path: str) -> None:
        self._path = path.encode()

    def answer(self, request: Request) -> Answer:
        """`ok`, or the word for what is wrong."""
        if not self._is_ours(request):
            return text_answer(404, "no_service")
        if request.method != "POST":
            return text_answer(405, "method_not_allowed")
        try:
            message = _message(request)
        except ValueError:
            return text_answer(400, "invalid_payload")
        if not isinstance(message, dict):
            return text_answer(400, "invalid_payload")
        attachments, blocks = message.get("attachments") or [], message.get("blocks") or []
        if not isinstance(attachments, list) or not isinstance(blocks, list):
            return text_answer(400, "invalid_payload")
        if len(blocks) > _MAX_BLOCKS:
            return text_answer(400, "invalid_blocks")
        if len(attachments) > _MAX_ATTACHMENTS:
            return text_answer(400, "too_many_attachments")
        if not (message.get("text") or blocks or attachments):
            return text_answer(400, "no_text")
        return text_answer(200, "ok")

    def caller(self, request: Request) -> Caller:
        """Whoever knows the address is the application."""
        return Caller("unknown", "application") if self._is_ours(request) else STRANGER

    def recorded_path(self, request: Request) -> str:
        """The path without its last part, the secret."""
        start, slash, _secret = request.path.rpartition("/")
        return f"{start}{slash}…"

    def recorded_body(self, request: Request) -> object:
        """The message as Slack reads it."""
        try:
            return _message(request) if request.raw else None
        except ValueError:
            return request.text

    def _is_ours(self, request: Request) -> bool:
        return compare_digest(request.path.encode(), self._path)


def _message(request: Request) -> object:
    """JSON, or the older form field `payload` that holds JSON."""
    if request.content_type == "application/x-www-form-urlencoded":
        payload: object = json.loads(str(request.form().get("payload", "")))
        return payload
    return request.json()
