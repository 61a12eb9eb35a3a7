"""A message as a mail: plain text and HTML, headers that make all mails of an incident one conversation.

The id is made of the transition and the channel: whoever gets it twice can see that it is one (RFC 5322 section 3.6.4).
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from dialtone.incidents.message import LISTED, Message, also_red, cut

DOMAIN = "dialtone.invalid"
SUBJECT = 200
_COLOURS = {"P0": "#b3261e", "P1": "#c25e00", "P2": "#8a6d00", "P3": "#5f6368"}
_OVER = "#1e7b34"


def message_id(message: Message, channel: str) -> str:
    """The mail's own id."""
    return f"<{message.key}.{channel}@{DOMAIN}>"


def references(message: Message, channel: str) -> dict[str, str]:
    """Headers that put it into the conversation of its incident, whose first mail need not have arrived."""
    root = f"<{message.incident}.{channel}@{DOMAIN}>"
    return {"In-Reply-To": root, "References": root}


def subject(message: Message) -> str:
    """One line."""
    return cut(message.headline, SUBJECT)


def plain(message: Message) -> str:
    """The text for clients without HTML, and for watches."""
    lines = [message.headline, ""]
    lines += [f"{name}: {text}" for name, text in message.facts()]
    listed = [f"  {line.severity} {line.check}: {line.reason}" for line in message.lines[1:LISTED]]
    listed += [f"  {line}" for line in message.digest]
    if listed:
        lines += ["", f"{also_red(message)}:" if message.lines else "Incidents:", *listed]
    if message.more:
        lines.append(f"  … and {message.more} more")
    if message.links:
        lines += ["", *(f"{label}: {url}" for label, url in message.links)]
    if not (message.over or message.test or message.digest):
        lines += ["", f"I have it: dialtone ack {message.incident}"]
    return "\n".join(lines) + "\n"


def html(message: Message) -> str:
    """The same as one table; styles stand at the elements, since mail clients drop the rest."""
    colour = _OVER if message.over else _COLOURS.get(message.severity, "#5f6368")
    cell = "padding:6px 12px 6px 0;vertical-align:top;font-size:14px;line-height:20px"
    rows = "".join(
        f'<tr><td style="{cell};color:#5f6368;white-space:nowrap">{escape(name)}</td>'
        f'<td dir="auto" style="{cell};color:#1f1f1f">{escape(text)}</td></tr>'
        for name, text in message.facts()
    )
    listed = [
        f"<b>{escape(line.severity)}</b> {escape(line.check)}: {escape(line.reason)}"
        for line in message.lines[1:LISTED]
    ]
    listed += [escape(line) for line in message.digest]
    listed += [f"… and {message.more} more"] if message.more else []
    items = "".join(f'<li dir="auto" style="margin:2px 0">{item}</li>' for item in listed)
    head = f'<p style="margin:10px 0 0;font-size:13px;color:#5f6368">{also_red(message)}</p>' if message.lines else ""
    more = f'{head}<ul style="margin:8px 0 0;padding-left:18px;font-size:13px;color:#444">{items}</ul>' if items else ""
    links = " &nbsp; ".join(
        f'<a href="{escape(url)}" style="color:#0b57d0">{escape(label)}</a>'
        for label, url in message.links
        if url.startswith(("https://", "http://"))
    )
    ack = (
        ""
        if message.over or message.test or message.digest
        else f'<p style="font-size:13px;color:#444">I have it: <code>dialtone ack {escape(message.incident)}</code></p>'
    )
    which = (
        ""
        if message.digest
        else f'<p style="font-size:12px;color:#5f6368">incident {escape(message.incident)}, {escape(message.state)}</p>'
    )
    return (
        '<!doctype html><html><body style="margin:0;padding:16px;background:#f3f4f6;'
        'font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif">'
        '<div style="max-width:640px;margin:0 auto;background:#fff;border-radius:6px;overflow:hidden">'
        f'<div dir="auto" style="background:{colour};color:#fff;padding:14px 18px;font-size:17px;font-weight:600">'
        f"{escape(message.headline)}</div>"
        '<div style="padding:12px 18px 16px">'
        f'<table role="presentation" style="border-collapse:collapse">{rows}</table>'
        f'{more}<p style="font-size:13px">{links}</p>{ack}'
        f"{which}"
        "</div></div></body></html>"
    )


def letter(message: Message, channel: str, sender: str, to: list[str]) -> EmailMessage:
    """The whole mail."""
    mail = EmailMessage()
    mail["Subject"] = subject(message)
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
    mail["Message-ID"] = message_id(message, channel)
    for name, value in references(message, channel).items():
        mail[name] = value
    mail["Auto-Submitted"] = "auto-generated"
    if message.calls and message.severity == "P0":
        mail["Importance"] = "high"
    mail.set_content(plain(message), cte="quoted-printable")
    mail.add_alternative(html(message), subtype="html", cte="quoted-printable")
    return mail


def addresses(message: Message, always: list[str]) -> list[str]:
    """Who gets it: the list of the channel and the people who are told."""
    return list(dict.fromkeys([*always, *message.mails]))
