"""E-mail by SMTP (RFC 5321): 4xx is tried again, 5xx is final, each recipient by itself.

A connection that is lost after the data leaves a doubt that the protocol cannot resolve: the mail goes again under the
same Message-ID.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from dialtone.incidents.channels.letter import addresses, letter
from dialtone.incidents.channels.sending import Memory, NotSent
from dialtone.incidents.message import Message
from dialtone.redact import secrets
from dialtone.target.alerting import Channel

PATIENCE = 8.0


class Mail:
    """One server and one sender. `url` is smtp://host:port (STARTTLS where it is offered) or smtps://host:port."""

    def __init__(self, name: str, url: str, sender: str, to: list[str], login: str) -> None:
        self._name, self._sender, self._to = name, sender, to
        parts = urlsplit(url)
        self._secure = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "localhost", parts.port or (465 if self._secure else 587)
        user, _, password = login.partition(":")
        self._login = (unquote(user), unquote(password)) if password else None
        if password:
            secrets.add(unquote(password))

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """One mail to everybody who is left."""
        to = list(message.mails) if memory.get("rest") == message.key else addresses(message, self._to)
        if not to:
            raise NotSent("nobody to send the mail to: give the channel `to`, or people an `email`", final=True)
        server: smtplib.SMTP | None = None
        sending = False
        try:
            server = self._connected()
            sending = True
            refused = server.send_message(letter(message, self._name, self._sender, to), self._sender, to)
        except smtplib.SMTPRecipientsRefused as wrong:
            refused = wrong.recipients
        except smtplib.SMTPResponseException as wrong:
            raise NotSent(f"mail server answered {wrong.smtp_code}", final=wrong.smtp_code >= 500) from None
        except smtplib.SMTPNotSupportedError:
            raise NotSent("mail server lacks what the channel needs (AUTH or SMTPUTF8)", final=True) from None
        except (OSError, smtplib.SMTPException) as wrong:
            kind = type(wrong).__name__
            raise NotSent(
                f"mail server: {'connection lost' if sending else 'no connection'} ({kind})", doubt=sending
            ) from None
        finally:
            if server is not None:
                server.close()
        return self._outcome(message, memory, to, refused)

    def close(self) -> None:
        """Nothing is kept open."""

    def _outcome(
        self, message: Message, memory: Memory, to: list[str], refused: Mapping[str, tuple[int, bytes]]
    ) -> Memory:
        later = [one for one, (code, _) in refused.items() if code < 500]
        if later:
            raise NotSent(f"{len(later)} of {len(to)} recipients are to be tried again later", rest=later)
        if len(refused) == len(to):
            code = next(iter(refused.values()))[0]
            raise NotSent(f"mail server refuses every recipient ({code})", final=True)
        return {**memory, "refused": len(refused)} if refused else memory

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._secure:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=PATIENCE, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=PATIENCE)
        try:
            server.ehlo_or_helo_if_needed()
            if not self._secure and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if self._login:
                server.login(*self._login)
        except BaseException:
            server.close()
            raise
        return server


def build(name: str, channel: Channel, values: Mapping[str, str]) -> Mail:
    """`secret` names the variable with `user:password`, percent-encoded, where the server wants a login."""
    return Mail(name, channel.url or "", channel.sender or "", list(channel.to), values["secret"])
