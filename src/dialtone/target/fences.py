"""Fences: a non-production target that could reach production is only ever read.

Values are compared in memory and never shown; what is told is the name of the variable or key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from dialtone.target.model import Profile

_LIVE = re.compile(r"(?:sk|rk|pk)_live_")
_SUPABASE = re.compile(r"(?:db\.|^)([a-z0-9]{16,})\.supabase\.co$")


def fences(
    profile: Profile,
    values: Mapping[str, str],
    production: Profile,
    production_values: Mapping[str, str],
    production_name: str,
) -> list[str]:
    """Reasons why nothing but `reads` may run here, each naming the variable or key; empty when there is none."""
    found = []
    for name, value in values.items():
        variable = profile.credentials[name]
        if _LIVE.match(value):
            found.append(f"{variable} holds a live key")
        elif name not in profile.shared_credentials and any(
            value == other and not _is_url(value) for other in production_values.values()
        ):
            found.append(f"{variable} holds a credential of {production_name}")
    theirs = {fingerprint: v for n, v in production_values.items() for fingerprint in _places(v)}
    for name, value in values.items():
        shared = next((f for f in _places(value) if f in theirs), None)
        if shared is not None:
            kind = "project" if shared[0] == "project" else "host and database"
            found.append(f"{profile.credentials[name]} names the database {kind} of {production_name}")
    if profile.project and profile.project == production.project:
        found.append(f"project is the project of {production_name}")
    ours, live = _endpoints(profile), _endpoints(production)
    found.extend(
        f"webhooks.{name} is an endpoint of {production_name}" for name, url in ours.items() if url in live.values()
    )
    if not ours and _origin(profile.base_url) == _origin(production.base_url):
        found.append(f"base_url is that of {production_name}")
    return sorted(set(found))


def _is_url(value: str) -> bool:
    return "://" in value


def _places(value: str) -> list[tuple[str, str]]:
    """Fingerprints of the database that a URL leads to: host, port and name, and the Supabase project."""
    if not _is_url(value):
        return []
    parts = urlsplit(value)
    host = (parts.hostname or "").lower()
    if not parts.scheme.startswith("postgres"):
        match = _SUPABASE.search(host)
        return [("project", match[1])] if match else []
    places = [("database", f"{host}:{parts.port or 5432}/{parts.path.strip('/')}:{parts.username}")]
    match = _SUPABASE.search(host)
    user = (parts.username or "").partition(".")[2]
    if match or (user and "pooler.supabase" in host):
        places.append(("project", match[1] if match else user))
    return places


def _origin(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _endpoints(profile: Profile) -> dict[str, tuple[tuple[str, int | None], str]]:
    return {name: (_origin(profile.base_url), hook.route.rstrip("/")) for name, hook in profile.webhooks.items()}
