"""Who hears of trouble: Sentry of every error; Slack and e-mail of what cannot wait."""

from __future__ import annotations

import asyncio
import smtplib
import sys
import time
from email.message import EmailMessage
from urllib.parse import urlsplit

import psycopg
import sentry_sdk

from dialtone_receptionist import VERSION
from dialtone_receptionist.background import Background
from dialtone_receptionist.defects import on
from dialtone_receptionist.providers.outgoing import Outgoing, OutgoingError
from dialtone_receptionist.settings import Settings

_TOTAL = 3.0  # seconds for one message on one channel
_QUIET = 600.0  # seconds in which the same trouble of the same business is not told to Slack again
_MOST_TOLD = 1000


class Alerts:
    """The channels of one process. Nothing here ever fails a request."""

    def __init__(self, settings: Settings, outgoing: Outgoing) -> None:
        self._settings = settings
        self._outgoing = outgoing
        self._told: dict[tuple[str, str], float] = {}
        self.background = Background(self.error)
        if settings.sentry_dsn:
            sentry_sdk.init(
                settings.sentry_dsn,
                release=f"receptionist@{VERSION}",
                # Neither integrations nor local variables: both would carry bodies and customers' data along.
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                send_default_pii=False,
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
                shutdown_timeout=0.5,
            )

    def error(self, error: BaseException) -> None:
        """Tell Sentry of an exception; returns at once, a thread of the SDK sends."""
        if isinstance(error, psycopg.Error):
            # Postgres quotes rows in its messages, and rows are customers' data.
            self.message(f"database: {type(error).__name__} {error.sqlstate or ''}".rstrip(), "high")
        else:
            sentry_sdk.capture_exception(error)

    def message(self, text: str, severity: str, **tags: str) -> None:
        """Tell Sentry something; `severity` is low, medium, high or critical."""
        level = {"low": "info", "medium": "warning", "critical": "fatal"}.get(severity, "error")
        with sentry_sdk.new_scope() as scope:
            for name, value in {**tags, "severity": severity}.items():
                scope.set_tag(name, value)
            scope.capture_message(text, level=level)  # type: ignore[arg-type]  # one of the SDK's literal levels

    def trouble(self, kind: str, business_id: str, text: str) -> None:
        """Tell Sentry and Slack of trouble on the business path, Slack once in ten minutes for the same business."""
        self.message(text, "high", kind=kind, business_id=business_id)
        now = time.monotonic()
        if now - self._told.get((kind, business_id), -_QUIET) < _QUIET:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[kind, business_id] = now
        self.background.start(self._slack(f":warning: {kind}: {text} (business {business_id})"))

    def everyone(self, text: str) -> None:
        """Tell Slack and the on-call mailbox, each on its own: one that is down does not silence the other."""
        self.background.start(self._slack(f":rotating_light: {text}"))
        self.background.start(self._mail(text))

    async def _slack(self, text: str) -> None:
        url = self._settings.slack_webhook_url
        if not url:
            return
        try:
            answer = await self._outgoing.call("slack", "POST", url, total=_TOTAL, json={"text": text})
        except OutgoingError as error:
            self.error(error)
            return
        if not answer.is_success:
            self.message(f"Slack answered {answer.status_code} to an alert", "high")

    async def _mail(self, text: str) -> None:
        if not self._settings.smtp_url or not self._settings.alert_email:
            return
        if on("alert-mail-logged-only"):
            print("receptionist: alert e-mail (not sent)", file=sys.stderr)
            return
        message = EmailMessage()
        message["Subject"] = "Receptionist alert"
        message["From"] = "Receptionist <alerts@receptionist.invalid>"
        message["To"] = self._settings.alert_email
        message.set_content(text)
        try:
            await asyncio.to_thread(_send, self._settings.smtp_url, message)
        except (OSError, smtplib.SMTPException) as error:
            self.error(error)

    async def close(self) -> None:
        """Finish what is being told."""
        await self.background.drain(0.5)
        await asyncio.to_thread(sentry_sdk.flush, 0.5)


def _send(url: str, message: EmailMessage) -> None:
    server = urlsplit(url)
    with smtplib.SMTP(server.hostname or "", server.port or 25, timeout=_TOTAL) as smtp:
        if server.username and server.password:
            smtp.starttls()
            smtp.login(server.username, server.password)
        smtp.send_message(message)
