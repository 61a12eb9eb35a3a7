"""Fences: a non-production target that could reach production is only ever read.

Values are compared in memory and never shown; what is told is the name of the variable or key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from dialtone.target.model import Profile

_LIVE = re.compile(r"(?:sk|rk|pk)_live_")
_SUPABASE = re.compile(r"(?:db\.|^)([a-z0-9]{16,})\.supabase\.co$")
_POOLER = re.compile(r"\.pooler\.supabase\.com$")
_LOCAL = re.compile(r"localhost$|127\.|::1$|/|$")


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
        elif name not in profile.shared_credentials and not _places(value) and value in production_values.values():
            found.append(f"{variable} holds a credential of {production_name}")
    theirs = {place for value in production_values.values() for place in _places(value)}
    theirs |= {("project", production.project)} if production.project else set()
    for name, value in values.items():
        shared = sorted({kind for kind, _ in theirs.intersection(_places(value))})
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


def _places(value: str) -> set[tuple[str, str]]:
    """Fingerprints of the database that a value leads to: its hosts and its Supabase project.

    A host that is not this machine is one server whatever the port and the database are called; Supabase's poolers are
    shared by everybody and are told apart by the project in the user's name
    (https://supabase.com/docs/guides/database/connecting-to-postgres).
    """
    user, hosts, is_database = _read(value)
    places = {("project", match[1]) for host, _ in hosts if (match := _SUPABASE.search(host))}
    if not is_database:
        return places
    for host, port in hosts:
        if _POOLER.search(host):
            places.add(("project", user.partition(".")[2]))
        else:
            places.add(("host", f"{host}:{port}" if _LOCAL.match(host) else host))
    return places


def _read(value: str) -> tuple[str, list[tuple[str, str]], bool]:
    """User, hosts with ports, and whether it is a database, of a URL or of libpq's `key=value` form."""
    url = re.match(r"(\w[\w+.-]*)://(?:([^/@]*)@)?([^/?#]*)", value.replace(r"\@", ""))
    if url:
        # The last @ ends the password: one that was not encoded may hold another.
        rest = value.partition("://")[2]
        login, _, place = re.split(r"[?]", rest)[0].rpartition("@")
        asked = dict(parse_qsl(value.partition("?")[2]))
        names = asked.get("host") or place.partition("/")[0]
        return (
            unquote(asked.get("user") or login.partition(":")[0]),
            _hosts(names, asked.get("port", "")),
            url[1].startswith("postgres"),
        )
    pairs = dict(re.findall(r"(\w+)\s*=\s*('[^']*'|\S+)", value))
    if "host" not in pairs and "hostaddr" not in pairs:
        return "", [], False
    pairs = {k: v.strip("'") for k, v in pairs.items()}
    return pairs.get("user", ""), _hosts(pairs.get("host") or pairs["hostaddr"], pairs.get("port", "")), True


def _hosts(names: str, port: str) -> list[tuple[str, str]]:
    found = []
    for one in names.lower().split(","):
        match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", one)
        if match:
            found.append((match[1].strip("[]").rstrip("."), match[2] or port or "5432"))
    return found


def _origin(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _endpoints(profile: Profile) -> dict[str, tuple[str, int | None, str]]:
    """Where each webhook is delivered; a route may be a whole URL."""
    found = {}
    for name, hook in profile.webhooks.items():
        url = urljoin(profile.base_url.rstrip("/") + "/", hook.route)
        found[name] = (*_origin(url), urlsplit(url).path.rstrip("/"))
    return found
