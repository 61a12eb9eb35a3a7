"""A mail server that takes every mail and delivers none; each recipient of a mail is one entry in the journal.

Reply codes: RFC 5321 section 4.2. It wants no authentication, as a relay on the same machine does not.
"""

from __future__ import annotations

import asyncio
import logging
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from dialtone.standins.exchange import Exchange
from dialtone.standins.standin import StandIn
from dialtone.standins.wire import Answer, Request, text_answer

MAX_SIZE = 2**20
_MAX_RECIPIENTS = 100


class Mail(StandIn):
    """Takes a mail for one recipient: `path` of the request is the address, `raw` the message."""

    name = "mail"

    def answer(self, _request: Request) -> Answer:
        """250: taken."""
        return text_answer(250, "2.0.0 OK: taken")

    def recorded_body(self, request: Request) -> Any:
        """Sender, recipient, subject and the plain text of the message."""
        message = _parsed(request.raw)
        return {
            "from": request.headers.get("mail-from", ""),
            "to": request.path,
            "subject": str(message.get("subject", "")),
            "text": _text(message),
            "id": str(message.get("message-id", "")),
        }

    def text(self, request: Request) -> str:
        """Subject and text, decoded."""
        message = _parsed(request.raw)
        return f"{message.get('subject', '')}\n{_text(message)}"


def _parsed(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, EmailMessage, policy=policy.default)


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    try:
        return str(part.get_content()).replace("\r\n", "\n") if part else ""
    except (LookupError, ValueError):  # an unknown charset or encoding
        return ""


class _Handler:
    """aiosmtpd's hooks: an address is refused when it is named, everything else when the message is complete."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange, self._mail = exchange, Mail()

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """553 for an address without a domain, 452 for more recipients than a mail may have."""
        user, _, domain = address.rpartition("@")
        if not user or not domain:
            return "553 5.1.3 The recipient address is not a valid one"
        if len(envelope.rcpt_tos) >= _MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        """250, or what a fault says for one of the recipients."""
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        headers = {"mail-from": envelope.mail_from or ""}
        worst = text_answer(250, "2.0.0 OK: taken")
        for recipient in envelope.rcpt_tos:
            answer = self._exchange.take(self._mail, Request("SMTP", recipient, headers=headers, raw=content))
            await asyncio.sleep(answer.delay)
            if answer.status == 0 and server.transport:
                server.transport.close()
            if not 200 <= answer.status < 300:
                worst = answer
        return f"{worst.status or 421} {_one_line(worst)}"


def _one_line(answer: Answer) -> str:
    return " ".join(answer.body.decode(errors="replace").split())[:400] or "refused"


def smtp(exchange: Exchange, loop: asyncio.AbstractEventLoop) -> SMTP:
    """The protocol of one connection to the mail server."""
    logging.getLogger("mail").setLevel(logging.CRITICAL)
    return SMTP(
        _Handler(exchange),
        data_size_limit=MAX_SIZE,
        enable_SMTPUTF8=True,
        hostname="mail.invalid",
        ident="ESMTP",
        loop=loop,
    )
