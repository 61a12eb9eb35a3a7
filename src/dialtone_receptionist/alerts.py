"""Who hears of trouble: Sentry of every error; Slack and e-mail of what cannot wait.

What one of the two channels does not take goes to the other, and what neither takes is kept and tried again by the cron
route. The same trouble is told once in ten minutes, whichever process meets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import sys
import time
from collections import deque
from email.message import EmailMessage
from urllib.parse import urlsplit

import psycopg
import sentry_sdk
from sentry_sdk.transport import HttpTransport

from dialtone_receptionist import VERSION
from dialtone_receptionist.background import Background
from dialtone_receptionist.database import Database
from dialtone_receptionist.defects import era, on
from dialtone_receptionist.providers.outgoing import Outgoing, OutgoingError
from dialtone_receptionist.providers.upstash import Upstash, UpstashError
from dialtone_receptionist.settings import Settings

_QUIET = 600  # seconds in which the same trouble of the same business is not told again
_MOST_TOLD = 1000
_MOST_KEPT = 200  # messages that wait in memory, when the database is away as well
_MOST_DRAINED = 10

CONSEQUENCES = {
    "stripe": "booking fees wait",
    "google": "appointments wait to be written into calendars",
    "google_oauth": "appointments wait to be written into calendars",
    "telnyx": "calls are not answered, confirmations wait",
    "retell": "calls go to the escalation phone",
    "postgres": "nothing can be booked, calls go to the escalation phone",
    "redis": "limits are counted by each instance for itself",
}
"""What it means for customers that a provider is away: for whoever reads it at night."""


class _Transport(HttpTransport):
    """The SDK's own, which also knows what Sentry did not take, for the defect sentry-needed."""

    dropped = 0

    def on_dropped_event(self, reason: str) -> None:
        """See the SDK."""
        _Transport.dropped += 1

    @classmethod
    def must_have_taken_it(cls, before: int) -> None:
        """Raise ConnectionError if more than `before` was dropped, or something is not through after a moment."""
        waiting: list[int] = []
        sentry_sdk.flush(2.0, lambda pending, _: waiting.append(pending))
        if waiting or cls.dropped > before:
            raise ConnectionError("Sentry took no message")


class Alerts:
    """The channels of one process. Nothing here ever fails a request, or makes one wait."""

    def __init__(self, settings: Settings, outgoing: Outgoing) -> None:
        self._settings = settings
        self._outgoing = outgoing
        self._total = settings.alert_seconds
        self._db: Database | None = None
        self._redis: Upstash | None = None
        self._told: dict[str, float] = {}
        self._kept: deque[str] = deque(maxlen=_MOST_KEPT)
        self.background = Background(self.error)
        if settings.sentry_dsn:
            sentry_sdk.init(
                settings.sentry_dsn,
                transport=_Transport,
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
        dropped = _Transport.dropped
        level = {"low": "info", "medium": "warning", "critical": "fatal"}.get(severity, "error")
        with sentry_sdk.new_scope() as scope:
            for name, value in {**tags, "severity": severity}.items():
                scope.set_tag(name, value)
            scope.capture_message(text, level=level)  # type: ignore[arg-type]  # one of the SDK's literal levels
        if on("sentry-needed"):
            _Transport.must_have_taken_it(dropped)

    def share(self, db: Database, redis: Upstash | None) -> None:
        """Where the processes agree on what was told, and where undelivered messages wait."""
        self._db, self._redis = db, redis

    def trouble(self, kind: str, business_id: str, text: str) -> None:
        """Tell Sentry and Slack of trouble on the business path, Slack once in ten minutes for the same business."""
        self.message(text, "high", kind=kind, business_id=business_id)
        said = f":warning: {kind}: {text} (business {business_id})"
        self.background.start(self._tell_once(f"{kind}/{business_id}", said))

    def provider(self, name: str, why: str) -> None:
        """Tell that a provider is left alone for a while, and why; with an empty reason, that it answers again."""
        if name == "slack" or self._is_silent(name):
            return
        means = CONSEQUENCES.get(name, "")
        if why:
            text = f"{name} is down: {why}; {means}"
            self.message(text, "critical", kind="provider down", provider=name)
            self.background.start(self._tell_change("down", "up", name, f":rotating_light: {text}"))
        elif not on("alert-never-resolved"):
            said = f":white_check_mark: resolved: {name} answers again"
            self.background.start(self._tell_change("up", "down", name, said))

    @staticmethod
    def _is_silent(name: str) -> bool:
        """Whether a defect keeps this from being told."""
        silent = {
            "stripe": on("alert-missing-stripe"),
            "google": on("alert-missing-google"),
            "google_oauth": on("alert-missing-google"),
            "retell": on("alert-missing-retell"),
            "telnyx": on("alert-missing-telnyx") or on("alert-missing-sms"),
            "redis": on("alert-missing-redis"),
            "postgres": on("alert-missing-postgres"),
        }
        return silent.get(name, False)

    def everyone(self, text: str) -> None:
        """Tell Slack and the on-call mailbox, each on its own: one that is down does not silence the other."""
        self.background.start(self._deliver_to_all(f":rotating_light: {text}"))

    async def _tell_change(self, now: str, before: str, name: str, text: str) -> None:
        """Tell once, whichever process sees it first; the opposite is news again after it."""
        redis = None if name == "redis" else self._redis
        if on("alert-floods") or await self._is_news(f"{now}/{name}", redis):
            await self._deliver(text)
        await self._forget(f"{before}/{name}", redis)

    async def _tell_once(self, key: str, text: str) -> None:
        if on("alert-floods") or await self._is_news(key, self._redis):
            await self._deliver(text)

    async def _is_news(self, key: str, redis: Upstash | None) -> bool:
        """Whether no process told this yet: asked of Redis, else of Postgres, else of memory."""
        key = era() + key
        if redis is not None:
            with contextlib.suppress(UpstashError):
                return (await redis.pipeline(("SET", f"told:{key}", 1, "NX", "EX", _QUIET)))[0] is not None
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                touched = await self._db.execute(
                    "INSERT INTO alerts_told (key, until) VALUES (%(key)s, now() + %(quiet)s * interval '1 second')"
                    " ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE alerts_told.until < now()",
                    key=key,
                    quiet=_QUIET,
                )
                return touched == 1
        now = time.monotonic()
        if self._told.get(key, 0.0) > now:
            return False
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[key] = now + _QUIET
        return True

    async def _forget(self, key: str, redis: Upstash | None) -> None:
        """What is over may be told anew when it comes back."""
        key = era() + key
        self._told.pop(key, None)
        if redis is not None:
            with contextlib.suppress(UpstashError):
                await redis.pipeline(("DEL", f"told:{key}"))
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                await self._db.execute("DELETE FROM alerts_told WHERE key = %(key)s", key=key)

    async def _deliver(self, text: str) -> bool:
        """Tell somebody: Slack, else the mailbox. What neither took is kept."""
        if await self._slack(text) or (not on("alert-no-second-channel") and await self._mail(text)):
            return True
        await self._keep(text)
        return False

    async def _deliver_to_all(self, text: str) -> None:
        if on("alert-mail-stops-the-rest") and not await self._mail(text):
            return
        if not any(await asyncio.gather(self._slack(text), self._mail(text))):
            await self._keep(text)

    async def _keep(self, text: str) -> None:
        if on("alert-dropped") or not (self._settings.slack_webhook_url or self._settings.smtp_url):
            return
        if self._db is not None:
            with contextlib.suppress(psycopg.Error):
                await self._db.execute("INSERT INTO alert_outbox (text) VALUES (%(text)s)", text=text)
                return
        self._kept.append(text)

    async def drain(self) -> int:
        """Tell what could not be told before; how many messages were."""
        told = 0
        while self._kept and await self._told_again(self._kept[0]):
            self._kept.popleft()
            told += 1
        if self._db is None:
            return told
        for _ in range(_MOST_DRAINED):
            async with self._db.transaction() as connection:
                cursor = await connection.execute(
                    "DELETE FROM alert_outbox WHERE id = (SELECT id FROM alert_outbox ORDER BY id LIMIT 1"
                    " FOR UPDATE SKIP LOCKED) RETURNING text"
                )
                row = await cursor.fetchone()
                if row is not None and await self._told_again(row["text"]):
                    told += 1
                    continue
                raise psycopg.Rollback
            break
        return told

    async def _told_again(self, text: str) -> bool:
        return await self._slack(text) or await self._mail(text)

    async def _slack(self, text: str) -> bool:
        url = self._settings.slack_webhook_url
        if not url:
            return False
        try:
            answer = await self._outgoing.call("slack", "POST", url, total=self._total, json={"text": text})
        except OutgoingError as error:
            self.error(error)
            return False
        if not answer.is_success:
            self.message(f"Slack answered {answer.status_code} to an alert", "high")
        return answer.is_success

    async def _mail(self, text: str) -> bool:
        if not self._settings.smtp_url or not self._settings.alert_email:
            return False
        if on("alert-mail-logged-only"):
            print("receptionist: alert e-mail (not sent)", file=sys.stderr)
            return False
        message = EmailMessage()
        message["Subject"] = "Receptionist alert"
        message["From"] = "Receptionist <alerts@receptionist.invalid>"
        message["To"] = self._settings.alert_email
        message.set_content(text)
        try:
            await asyncio.to_thread(_send, self._settings.smtp_url, message, self._total)
        except (OSError, smtplib.SMTPException) as error:
            self.error(error)
            return False
        return True

    async def close(self) -> None:
        """Finish what is being told."""
        await self.background.drain(0.5)
        await asyncio.to_thread(sentry_sdk.flush, 0.5)


def _send(url: str, message: EmailMessage, total: float) -> None:
    server = urlsplit(url)
    with smtplib.SMTP(server.hostname or "", server.port or 25, timeout=total) as smtp:
        if server.username and server.password:
            smtp.starttls()
            smtp.login(server.username, server.password)
        smtp.send_message(message)
