"""The settings of the receptionist, all of them environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

CRITICAL = (
    "DATABASE_URL",
    "JWT_SECRET",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "RETELL_API_KEY",
    "TELNYX_API_KEY",
    "TELNYX_PUBLIC_KEY",
    "NEXT_PUBLIC_APP_URL",
)
"""Variables without which the business path does not work; `/api/health/env` reports their presence."""

REQUIRED = (
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "REDIS_REST_URL",
    "REDIS_REST_TOKEN",
    "SENTRY_DSN",
    "SLACK_WEBHOOK_URL",
    "SMTP_URL",
    "ALERT_EMAIL",
    "CRON_SECRET",
)
"""Variables without which a part of the service is missing (calendar, shared limits, alerts, cron)."""


class SettingsError(Exception):
    """A variable is missing without which the service cannot start, or is not a number. Names it, never its value."""


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Field names are the variables' names in lower case. No `repr`: most of them are secrets.

    The limits on time are in seconds: `answer_seconds` for everything that a caller waits for; the others for one step
    at a provider, everything that an appointment needs of Google, one statement or transaction. `retry_seconds` is the
    first wait between two tries of the outbox, which then doubles; a breaker opens after `breaker_failures` in a row;
    `cron_seconds` pass from one run of the background job to the next.
    """

    database_url: str
    port: int
    tls_port: int
    plain_port: int
    tls_cert_file: str
    tls_key_file: str
    tls_expiring_cert_file: str = ""
    tls_expiring_key_file: str = ""
    tls_wrong_host_cert_file: str = ""
    tls_wrong_host_key_file: str = ""
    edge_client_header: str = ""
    jwt_secret: str = ""
    stripe_secret_key: str = ""
    stripe_webhook_secret: str = ""
    retell_api_key: str = ""
    telnyx_api_key: str = ""
    telnyx_public_key: str = ""
    google_client_id: str = ""
    google_client_secret: str = ""
    redis_rest_url: str = ""
    redis_rest_token: str = ""
    slack_webhook_url: str = ""
    sentry_dsn: str = ""
    smtp_url: str = ""
    alert_email: str = ""
    cron_secret: str = ""
    # While a secret is rotated: what it was before is still accepted from others, and never used to sign or to call.
    jwt_secret_previous: str = ""
    stripe_webhook_secret_previous: str = ""
    retell_api_key_previous: str = ""
    telnyx_public_key_previous: str = ""
    next_public_app_url: str = ""
    stripe_api_base: str = "https://api.stripe.com"
    retell_api_base: str = "https://api.retellai.com"
    telnyx_api_base: str = "https://api.telnyx.com"
    google_oauth_base: str = "https://oauth2.googleapis.com"
    google_api_base: str = "https://www.googleapis.com"
    answer_seconds: float = 4.0
    stripe_seconds: float = 4.0
    retell_seconds: float = 2.5
    telnyx_seconds: float = 3.0
    google_seconds: float = 3.0
    upstash_seconds: float = 1.0
    alert_seconds: float = 3.0
    database_seconds: float = 5.0
    retry_seconds: float = 30.0
    breaker_failures: int = 5
    breaker_seconds: float = 5.0
    cron_seconds: float = 60.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the settings; raises `SettingsError` for a missing variable that has no default and for a bad number."""
        values: dict[str, str | int | float] = {}
        for field in fields(cls):
            name = field.name.upper()
            text = env.get(name, "")
            if not text:
                if field.default is MISSING:
                    raise SettingsError(f"{name} is not set" + (" to a port number" if field.type == "int" else ""))
            elif field.type == "int":
                if not text.isdecimal():
                    raise SettingsError(f"{name} is not set to a {'port ' if name.endswith('PORT') else ''}number")
                values[field.name] = int(text)
            elif field.type == "float":
                values[field.name] = _seconds(name, text)
            else:
                values[field.name] = text
        return cls(**values)  # type: ignore[arg-type]  # the loop above gives each field the type it declares


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise SettingsError(f"{name} is not set to a number of seconds")
    return seconds
