"""Fences: a non-production target that could reach production is only ever read.

Values are compared in memory and never shown; what is told is the name of the variable or key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from dialtone.target.model import Profile
from dialtone.target.places import places

_LIVE = re.compile(r"(?:sk|rk|pk)_live_")


def live_keys(profile: Profile, values: Mapping[str, str]) -> list[str]:
    """Reasons to fence a target that need no production to compare with."""
    return [f"{profile.credentials[name]} holds a live key" for name, value in values.items() if _LIVE.match(value)]


def fences(
    profile: Profile,
    values: Mapping[str, str],
    production: Profile,
    production_values: Mapping[str, str],
    production_name: str,
) -> list[str]:
    """Reasons why nothing but `reads` may run beside this production, each naming the variable or key."""
    found = []
    for name, value in values.items():
        known = value in production_values.values() and not places(value) and not _LIVE.match(value)
        if known and name not in profile.shared_credentials:
            found.append(f"{profile.credentials[name]} holds a credential of {production_name}")
    theirs = {place for value in production_values.values() for place in places(value)}
    theirs |= {("project", production.project)} if production.project else set()
    for name, value in values.items():
        shared = sorted({kind for kind, _ in theirs.intersection(places(value))})
        if shared:
            found.append(f"{profile.credentials[name]} names the database {' and '.join(shared)} of {production_name}")
    if profile.project and ("project", profile.project) in theirs:
        found.append(f"project is the project of {production_name}")
    live = _endpoints(production).values()
    found.extend(
        f"webhooks.{n} is an endpoint of {production_name}" for n, url in _endpoints(profile).items() if url in live
    )
    if _origin(profile.base_url) == _origin(production.base_url):
        found.append(f"base_url is that of {production_name}")
    return sorted(set(found))


def _origin(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _endpoints(profile: Profile) -> dict[str, tuple[str, int | None, str]]:
    """Where each webhook is delivered; a route may be a whole URL."""
    found = {}
    for name, hook in profile.webhooks.items():
        url = profile.url(hook.route)
        found[name] = (*_origin(url), urlsplit(url).path.rstrip("/"))
    return found
