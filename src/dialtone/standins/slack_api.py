"""Stand-in for Slack's Web API: chat.postMessage, chat.update, conversations.history, conversations.replies, auth.test.

A failure is 200 with `ok: false` and a word; a limit is 429 with Retry-After (https://docs.slack.dev/apis/web-api,
"Errors" and "Rate limits": about one message a second and channel, short bursts tolerated). Limits of blocks:
slackapi/python-slack-sdk, slack_sdk/models/blocks/blocks.py. Metadata is kept, and shown only to those who ask with
`include_all_metadata` (https://docs.slack.dev/messaging/message-metadata).
"""

from __future__ import annotations

import json
import math
from hmac import compare_digest
from typing import Any

from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Request, json_answer

CHANNEL = "C0ALERTS"
BURST, PER_SECOND = 60.0, 1.0
MAX_TEXT, MAX_BLOCKS, MAX_TOTAL = 40_000, 50, 13_200
MAX_MESSAGES = 20_000
_LIMITS = {"header": 150, "section": 3_000}


class SlackApi(StandIn):
    """One workspace with one channel, which the application is a member of."""

    name = "slack_api"

    def __init__(self, token: str, clock: Clock, *, burst: float = BURST) -> None:
        self._token, self._clock = token.encode(), clock
        self._burst = self._tokens = burst
        self._filled = clock.monotonic()
        self._last = 0
        self.messages: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> Answer:
        """JSON, whatever is wrong."""
        method = request.path.removeprefix("/api/")
        handler = self._methods().get(method)
        if handler is None:
            return _no("unknown_method")
        if request.method != "POST":
            return _no("invalid_post_type")
        if not request.bearer:
            return _no("not_authed")
        if not compare_digest(request.bearer.encode(), self._token):
            return _no("invalid_auth")
        try:
            told = request.json() if request.content_type == "application/json" else request.form()
        except ValueError:
            return _no("invalid_json")
        if not isinstance(told, dict):
            return _no("json_not_object")
        if method != "auth.test" and told.get("channel") != CHANNEL:
            return _no("channel_not_found")
        answer: Answer = handler(told)
        return answer

    def _methods(self) -> dict[str, Any]:
        return {
            "auth.test": lambda _told: _yes(url="https://standin.invalid/", team="stand-in", user="dialtone"),
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
        }

    def _post(self, told: dict[str, Any]) -> Answer:
        if wait := self._limited():
            return json_answer(429, {"ok": False, "error": "ratelimited"}, {"retry-after": str(wait)})
        if wrong := _wrong(told):
            return _no(wrong)
        root = told.get("thread_ts")
        if root is not None and root not in self.messages:
            return _no("thread_not_found")
        now = max(int(self._clock.time() * 1e6), self._last + 1)  # a ts is unique within its channel
        self._last = now
        ts = f"{now // 1_000_000}.{now % 1_000_000:06d}"
        message = {"type": "message", "ts": ts, "text": told.get("text", ""), "blocks": told.get("blocks") or []}
        if root is not None:
            message["thread_ts"] = root
        if told.get("metadata"):
            message["metadata"] = told["metadata"]
        self.messages[ts] = message
        if len(self.messages) > MAX_MESSAGES:
            del self.messages[next(iter(self.messages))]
        return _yes(channel=CHANNEL, ts=ts, message=message)

    def _update(self, told: dict[str, Any]) -> Answer:
        message = self.messages.get(str(told.get("ts")))
        if message is None:
            return _no("message_not_found")
        if wrong := _wrong(told):
            return _no(wrong)
        message |= {"text": told.get("text", ""), "blocks": told.get("blocks") or [], "edited": {"user": "U0"}}
        if "metadata" in told:
            message["metadata"] = told["metadata"]
        return _yes(channel=CHANNEL, ts=message["ts"], text=message["text"])

    def _history(self, told: dict[str, Any]) -> Answer:
        newest = [m for m in reversed(self.messages.values()) if "thread_ts" not in m]
        return self._page(newest, told)

    def _replies(self, told: dict[str, Any]) -> Answer:
        root = str(told.get("ts"))
        if root not in self.messages:
            return _no("thread_not_found")
        found = [m for m in self.messages.values() if m["ts"] == root or m.get("thread_ts") == root]
        return self._page(found, told)

    def _page(self, found: list[dict[str, Any]], told: dict[str, Any]) -> Answer:
        try:
            limit, start = min(int(told.get("limit", 100)), 999), int(told.get("cursor") or 0)
        except ValueError:
            return _no("invalid_cursor")
        shown = found[start : start + limit]
        if str(told.get("include_all_metadata")).lower() not in ("true", "1"):
            shown = [{k: v for k, v in m.items() if k != "metadata"} for m in shown]
        following = str(start + limit) if start + limit < len(found) else ""
        return _yes(messages=shown, has_more=bool(following), response_metadata={"next_cursor": following})

    def _limited(self) -> int:
        """Seconds until the next message may come; 0 when it may now."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * PER_SECOND)
        self._filled = now
        if self._tokens < 1:
            return max(1, math.ceil((1 - self._tokens) / PER_SECOND))
        self._tokens -= 1
        return 0

    def caller(self, request: Request) -> Caller:
        """Whoever has the token is the application."""
        known = request.bearer is not None and compare_digest(request.bearer.encode(), self._token)
        return Caller("unknown", "application") if known else STRANGER


def _wrong(told: dict[str, Any]) -> str | None:
    """The word for what is wrong with a message."""
    text, blocks, metadata = told.get("text", ""), told.get("blocks") or [], told.get("metadata")
    if not isinstance(text, str) or not isinstance(blocks, list):
        return "invalid_arguments"
    if not text and not blocks:
        return "no_text"
    if len(text) > MAX_TEXT:
        return "msg_too_long"
    if len(blocks) > MAX_BLOCKS or not all(isinstance(b, dict) and _fits(b) for b in blocks):
        return "invalid_blocks"
    if len(json.dumps(blocks, ensure_ascii=False)) > MAX_TOTAL:
        return "msg_blocks_too_long"
    if metadata is not None and not _is_metadata(metadata):
        return "metadata_must_be_valid"
    return None


def _fits(block: dict[str, Any]) -> bool:
    kind = block.get("type")
    if kind == "context":
        elements = block.get("elements")
        return isinstance(elements, list) and 0 < len(elements) <= 10 and all(_is_text(e, 2_000) for e in elements)
    if kind == "divider":
        return True
    if kind not in _LIMITS:
        return False
    fields = block.get("fields") or []
    if kind == "header" and (block.get("text") or {}).get("type") != "plain_text":
        return False
    return ("text" in block or bool(fields)) and (
        ("text" not in block or _is_text(block["text"], _LIMITS[kind]))
        and len(fields) <= 10
        and all(_is_text(field, 2_000) for field in fields)
    )


def _is_text(value: Any, most: int) -> bool:
    known = isinstance(value, dict) and value.get("type") in ("mrkdwn", "plain_text")
    return known and isinstance(value.get("text"), str) and 0 < len(value["text"]) <= most


def _is_metadata(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("event_type"), str)
        and isinstance(value.get("event_payload"), dict)
        and len(json.dumps(value)) <= 16_384
    )


def _yes(**told: Any) -> Answer:
    return json_answer(200, {"ok": True, **told})


def _no(word: str) -> Answer:
    return json_answer(200, {"ok": False, "error": word})
