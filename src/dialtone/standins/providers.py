"""Which stand-ins a configuration asks for.

A new provider is its own file, a line in `_BUILDERS` and its secrets in `config.NEEDED_SECRETS`; in another package it
is an entry point of the group `dialtone.standins` with `NEEDS`, its secrets, and `build`. Stand-ins are
imported when they are asked for: one of them alone (Redis) costs more to import than all others together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dialtone import extension
from dialtone.standins.config import NEEDED_SECRETS, Config
from dialtone.standins.defects import Switches
from dialtone.standins.listed import Listed
from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock

Builder = Callable[[Config, Switches, Clock], list[StandIn]]


def stand_ins(config: Config, switches: Switches, clock: Clock) -> dict[str, StandIn]:
    """A stand-in for every HTTP listener of the configuration except the journal's own, by name."""
    made: dict[str, StandIn] = {}
    for name, build in _builders().items():
        if name in config.ports:
            made.update({standin.name: standin for standin in build(config, switches, clock)})
    return made


def _builders() -> dict[str, Builder]:
    points = extension.brought("standins", NEEDED_SECRETS)
    return {**_BUILDERS, **{name: extension.load(point, "NEEDS", "build").build for name, point in points.items()}}


def _stripe(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.stripe import Stripe

    keys = config.secrets["stripe_secret_key"], config.secrets["stripe_probe_key"]
    return [Stripe(*keys, config.webhook_url("stripe"), switches, clock, config.listed.get("stripe", Listed()))]


def _retell(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.retell import Retell

    keys = config.secrets["retell_api_key"], config.secrets["retell_probe_key"]
    return [Retell(*keys, clock, switches, config.listed.get("retell", Listed()))]


def _telnyx(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.telnyx import Telnyx

    keys = config.secrets["telnyx_api_key"], config.secrets["telnyx_probe_key"]
    urls = config.webhook_url("telnyx_sms"), config.webhook_url("telnyx_voice")
    return [Telnyx(*keys, urls, switches, clock, config.listed.get("telnyx", Listed()))]


def _google(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.google import GoogleCalendar, GoogleOAuth, Grants

    secrets = config.secrets
    lasting, rotating, slow = (secrets[f"google_{kind}_token"] for kind in ("refresh", "rotating", "slow"))
    grants = Grants(lasting, rotating, slow, clock)
    oauth = GoogleOAuth(secrets["google_client_id"], secrets["google_client_secret"], grants)
    return [oauth, GoogleCalendar(grants, switches, clock, config.listed.get("google", Listed()))]


def _upstash(config: Config, _switches: Switches, _clock: Clock) -> list[StandIn]:
    from dialtone.standins.upstash import Upstash

    return [Upstash(config.secrets["upstash_token"])]


def _slack(config: Config, _switches: Switches, _clock: Clock) -> list[StandIn]:
    from dialtone.standins.slack import Slack

    return [Slack(config.secrets["slack_path"])]


def _slack_api(config: Config, _switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.slack_api import SlackApi

    return [SlackApi(config.secrets["slack_token"], clock)]


def _pagerduty(config: Config, _switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.pagerduty import PagerDuty

    return [PagerDuty(config.secrets["pagerduty_key"], config.secrets["pagerduty_token"], clock)]


def _resend(config: Config, _switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.resend import Resend

    return [Resend(config.secrets["resend_key"], clock)]


def _hook(config: Config, _switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.hook import Hook

    return [Hook(config.secrets["hook_secret"], clock)]


def _sentry(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.sentry import Sentry

    return [Sentry(config.secrets["sentry_key"], config.secrets["sentry_probe_token"], switches, clock)]


def _status_pages(_config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.status_pages import StatusPages

    return [StatusPages(switches, clock)]


def _vercel(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.vercel import Vercel

    return [Vercel(config.secrets["vercel_token"], config.defects_file, switches, clock)]


def _supabase(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.supabase import Supabase

    return [Supabase(config.secrets["supabase_token"], switches, clock)]


def _postgrest(config: Config, _switches: Switches, _clock: Clock) -> list[StandIn]:
    from dialtone.standins.postgrest import Postgrest

    names = ("supabase_database_url", "supabase_jwt_secret", "supabase_anon_key", "supabase_service_key")
    return [Postgrest(*(config.secrets[name] for name in names))]


def _rdap(_config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    from dialtone.standins.rdap import Rdap

    return [Rdap(switches, clock)]


_BUILDERS: Mapping[str, Builder] = {
    "stripe": _stripe,
    "retell": _retell,
    "telnyx": _telnyx,
    "google": _google,
    "upstash": _upstash,
    "slack": _slack,
    "slack_api": _slack_api,
    "pagerduty": _pagerduty,
    "resend": _resend,
    "hook": _hook,
    "sentry": _sentry,
    "status_pages": _status_pages,
    "vercel": _vercel,
    "supabase": _supabase,
    "rdap": _rdap,
    "postgrest": _postgrest,
}
