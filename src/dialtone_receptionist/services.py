"""Everything that a request handler may need, wired together once for each process."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from starlette.requests import Request

from dialtone_receptionist.alerts import Alerts
from dialtone_receptionist.background import Background
from dialtone_receptionist.breakers import Breakers
from dialtone_receptionist.calendar import Calendar
from dialtone_receptionist.database import Database
from dialtone_receptionist.desk import Desk
from dialtone_receptionist.fees import Fees
from dialtone_receptionist.limits import MemoryCounter, SharedCounter
from dialtone_receptionist.messages import Messages
from dialtone_receptionist.providers.google import Google
from dialtone_receptionist.providers.outgoing import Outgoing
from dialtone_receptionist.providers.retell import Retell
from dialtone_receptionist.providers.stripe import Stripe
from dialtone_receptionist.providers.telnyx import Telnyx
from dialtone_receptionist.providers.upstash import Upstash
from dialtone_receptionist.settings import Settings
from dialtone_receptionist.traffic import Traffic


@dataclass(frozen=True, slots=True, repr=False)
class Services:
    """The parts of one process. `open` before the first request, `close` after the last."""

    settings: Settings
    db: Database
    outgoing: Outgoing
    redis: Upstash | None
    counter: SharedCounter
    memory_counter: MemoryCounter
    alerts: Alerts
    background: Background
    telnyx: Telnyx
    retell: Retell
    google: Google
    calendar: Calendar
    fees: Fees
    messages: Messages
    desk: Desk
    traffic: Traffic

    @classmethod
    def build(cls, settings: Settings, context: ssl.SSLContext) -> Services:
        """Wire the parts; nothing is connected yet."""
        breakers = Breakers(settings.breaker_failures, settings.breaker_seconds)
        outgoing = Outgoing(context, breakers=breakers)
        alerts = Alerts(settings, outgoing)
        breakers.told = alerts.provider
        db = Database(settings.database_url, settings.database_seconds, breakers)
        redis = _redis(settings, context, alerts)
        alerts.share(db, redis)
        desk = Desk(alerts)
        telnyx = Telnyx(outgoing, settings.telnyx_api_base, settings.telnyx_api_key, settings.telnyx_seconds)
        retell = Retell(outgoing, settings.retell_api_base, settings.retell_api_key, settings.retell_seconds)
        stripe = Stripe(outgoing, settings.stripe_api_base, settings.stripe_secret_key, settings.stripe_seconds)
        google = Google(
            outgoing,
            settings.google_oauth_base,
            settings.google_api_base,
            settings.google_client_id,
            settings.google_client_secret,
        )
        return cls(
            settings=settings,
            db=db,
            outgoing=outgoing,
            redis=redis,
            counter=SharedCounter(redis, lambda error: alerts.provider("redis", str(error) if error else "")),
            memory_counter=MemoryCounter(),
            alerts=alerts,
            background=Background(alerts.error),
            telnyx=telnyx,
            retell=retell,
            google=google,
            calendar=Calendar(db, google, alerts, settings.google_seconds, settings.retry_seconds),
            fees=Fees(db, stripe, alerts, settings.retry_seconds),
            messages=Messages(db, telnyx, alerts, desk.later, settings.retry_seconds),
            desk=desk,
            traffic=Traffic(db, alerts.error),
        )

    async def open(self) -> None:
        """Connect to the database."""
        await self.db.open()
        self.traffic.start()

    async def close(self) -> None:
        """Finish background work and close every connection."""
        await self.background.drain(0.5)
        await self.desk.close()
        await self.traffic.close()
        await self.alerts.close()
        await self.outgoing.close()
        if self.redis is not None:
            await self.redis.close()
        await self.db.close()


def _redis(settings: Settings, context: ssl.SSLContext, alerts: Alerts) -> Upstash | None:
    """The shared counters' database; without one (Sentry is told) each instance counts for itself."""
    try:
        return Upstash(settings.redis_rest_url, settings.redis_rest_token, context, settings.upstash_seconds)
    except ValueError as error:
        alerts.error(error)
        return None


def services(request: Request) -> Services:
    """The services of the process that handles `request`."""
    found: Services = request.app.state.services
    return found
