"""A message as Slack's blocks, within Slack's limits: 50 blocks, 150 characters of a header, 3,000 of a section, 2,000
of a field, 10 elements of a context (slackapi/python-slack-sdk, slack_sdk/models/blocks/blocks.py).
"""

from __future__ import annotations

from typing import Any

from dialtone.incidents.message import LISTED, Message, also_red, cut

HEADER, FIELD, TEXT = 150, 2_000, 4_000
# All blocks of a message together: 13,200 characters (github.com/slackapi/bolt-js/issues/2509); entities count.
FACT, LISTING = 900, 2_800
_ICONS = {"P0": ":red_circle:", "P1": ":large_orange_circle:", "P2": ":large_yellow_circle:", "P3": ":white_circle:"}
_SHORT = ("Since", "Told", "News")


def escape(text: str) -> str:
    """Slack's three control characters (https://docs.slack.dev/messaging/formatting-message-text): no mention, link or
    date of somebody else's making."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mrkdwn(text: str, longest: int) -> dict[str, str]:
    """A text object of what is escaped already; cut so that no entity is halved."""
    if len(text) > longest:
        text = text[: longest - 1].rsplit("&", 1)[0] if "&" in text[longest - 7 : longest - 1] else text[: longest - 1]
        text += "…"
    return {"type": "mrkdwn", "text": text}


def summary(message: Message) -> str:
    """The plain text: what a notification and a client without blocks show."""
    mentions = "".join(f"<@{member}> " for member in message.mentions if member.isalnum()) if message.calls else ""
    return cut(f"{mentions}{escape(message.headline)}", TEXT)


def blocks(message: Message) -> list[dict[str, Any]]:
    """The message."""
    icon = (
        ":white_check_mark:"
        if message.over
        else ":bell:"
        if message.told == "acknowledged"
        else _ICONS.get(message.severity, "")
    )
    found: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": cut(f"{icon} {message.headline}", HEADER), "emoji": True},
        }
    ]
    facts = message.facts()
    for name, text in facts:
        if name not in _SHORT:
            found.append({"type": "section", "text": mrkdwn(f"*{name}*\n{escape(text)}", FACT)})
    short = [mrkdwn(f"*{name}*\n{escape(text)}", FACT) for name, text in facts if name in _SHORT]
    if short:
        found.append({"type": "section", "fields": short[:10]})
    listed = [
        f"• *{line.severity}* {escape(line.check)}: {escape(cut(line.reason, 160))}" for line in message.lines[1:LISTED]
    ]
    listed += [f"• {escape(line)}" for line in message.digest[:LISTED]]
    more = message.more + max(0, len(message.digest) - LISTED)
    if more:
        listed.append(f"… and {more} more")
    if listed:
        head = [f"*{also_red(message)}*"] if message.lines else []
        found.append({"type": "section", "text": mrkdwn("\n".join([*head, *listed]), LISTING)})
    links = " · ".join(
        f"<{url.replace('|', '%7C').replace('>', '%3E')}|{escape(label)}>" for label, url in message.links
    )
    mentions = " ".join(f"<@{member}>" for member in message.mentions if member.isalnum()) if message.calls else ""
    ack = "" if message.over or message.test or message.digest else f"`dialtone ack {message.incident}`"
    which = "" if message.digest else f"incident {message.incident} · {message.state}"
    last = [text for text in (mentions, links, ack, which or "`dialtone incidents`") if text]
    found.append({"type": "context", "elements": [mrkdwn(text, FIELD) for text in last]})
    return found


def _address(url: str) -> str:
    return url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E")
