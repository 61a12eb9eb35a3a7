"""What one process of stand-ins is told: ports, credentials that it accepts, the defect file, the application."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dialtone import extension
from dialtone.standins.listed import Listed

NEEDED_SECRETS: Mapping[str, tuple[str, ...]] = {
    "stripe": ("stripe_secret_key", "stripe_probe_key"),
    "retell": ("retell_api_key", "retell_probe_key"),
    "telnyx": ("telnyx_api_key", "telnyx_probe_key"),
    "google_oauth": (
        "google_client_id",
        "google_client_secret",
        "google_refresh_token",
        "google_rotating_token",
        "google_slow_token",
    ),
    "google": (),
    "upstash": ("upstash_token",),
    "slack": ("slack_path",),
    "slack_api": ("slack_token",),
    "pagerduty": ("pagerduty_key", "pagerduty_token"),
    "resend": ("resend_key",),
    "hook": ("hook_secret",),
    "vercel": ("vercel_token",),
    "sentry": ("sentry_key", "sentry_probe_token"),
    "supabase": ("supabase_token",),
    "postgrest": ("supabase_database_url", "supabase_jwt_secret", "supabase_anon_key", "supabase_service_key"),
    "rdap": (),
    "smtp": (),
    "status_pages": (),
    "journal": ("journal_token",),
}
"""The listeners there can be, and the secrets without which each could not tell a right caller from a wrong one."""

_PUBLIC = {"google_client_id"}
_KEYS = {"ports", "secrets", "defects_file", "app_url", "webhooks", "listed"}


@functools.cache
def needed_secrets() -> Mapping[str, tuple[str, ...]]:
    """`NEEDED_SECRETS`, and those of the stand-ins that installed packages bring."""
    points = extension.brought("standins", NEEDED_SECRETS)
    return {**NEEDED_SECRETS, **{name: tuple(extension.load(p, "NEEDS", "build").NEEDS) for name, p in points.items()}}


class ConfigError(ValueError):
    """The configuration cannot be used; the text names file, key and remedy."""


@dataclass(frozen=True, slots=True)
class Config:
    """A validated configuration.

    `webhooks` holds the paths below `app_url` to which a provider delivers (`stripe`, `telnyx_sms`,
    `telnyx_voice`); without one it delivers to `app_url` itself. `listed` is what providers list of the time before.
    """

    ports: Mapping[str, int]
    secrets: Mapping[str, str] = field(repr=False)
    app_url: str = "http://127.0.0.1"
    defects_file: Path | None = None
    webhooks: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, Listed] = field(default_factory=dict)

    def webhook_url(self, provider: str) -> str:
        """The address to which the provider delivers its webhooks."""
        return self.app_url.rstrip("/") + self.webhooks.get(provider, "")

    def hidden(self) -> list[str]:
        """The secrets whose values must not turn up anywhere."""
        return [value for name, value in self.secrets.items() if name not in _PUBLIC]


def load(file: Path) -> Config:
    """Read and validate a configuration file. Raises ConfigError."""
    try:
        told = json.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: not JSON") from error
    try:
        return from_json(told)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def from_json(told: object) -> Config:
    """A configuration from decoded JSON. Raises ConfigError."""
    if not isinstance(told, dict):
        raise ConfigError("must be a JSON object")
    if unknown := sorted(told.keys() - _KEYS):
        raise ConfigError(f"unknown key {unknown[0]}; known are {', '.join(sorted(_KEYS))}")
    ports = _ports(told)
    if "journal" not in ports:
        raise ConfigError("ports.journal: missing")
    if ("google" in ports) != ("google_oauth" in ports):
        raise ConfigError("ports.google and ports.google_oauth need each other")
    secrets = _texts(told, "secrets")
    for name in ports:
        for secret in needed_secrets()[name]:
            if not secrets.get(secret, "").strip():
                raise ConfigError(f"secrets.{secret}: missing or empty, needed by the listener {name}")
    webhooks = _texts(told, "webhooks")
    app_url, defects_file = told.get("app_url", "http://127.0.0.1"), told.get("defects_file")
    if not isinstance(app_url, str) or not isinstance(defects_file, str | None):
        raise ConfigError("app_url and defects_file must be text")
    return Config(ports, secrets, app_url, Path(defects_file) if defects_file else None, webhooks, _listed(told))


def _listed(told: dict[str, object]) -> dict[str, Listed]:
    value = told.get("listed", {})
    try:
        return {name: Listed(**entries) for name, entries in value.items()}  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        raise ConfigError(
            "listed: must be an object of objects with prefix, count, hours, first, step, digits"
        ) from None


def _ports(told: dict[str, object]) -> dict[str, int]:
    ports = told.get("ports", {})
    if not isinstance(ports, dict):
        raise ConfigError("ports: must be an object")
    for name, port in ports.items():
        if name not in needed_secrets():
            raise ConfigError(f"ports.{name}: no such listener; there are {', '.join(needed_secrets())}")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ConfigError(f"ports.{name}: must be a port number")
    return ports


def _texts(told: dict[str, object], key: str) -> dict[str, str]:
    value = told.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(member, str) for member in value.values()):
        raise ConfigError(f"{key}: must be an object of texts")
    return value
