"""Which database a credential leads to, without ever showing the credential.

Understands URLs and libpq's `key=value` form (https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING),
several hosts, `host=` in the query, and passwords that nobody encoded. Never raises: an error would quote the value.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote

_URL = re.compile(r"([a-z][\w+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)
_PAIR = re.compile(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))")
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")
_LOCAL = re.compile(r"(?:localhost|127\..*|::1|/.*|)$")
_SUPABASE = re.compile(r"(?:db\.|^)([a-z0-9]{16,})\.supabase\.co$")
_POOLER = re.compile(r"\.pooler\.supabase\.com$")


def places(value: str) -> frozenset[tuple[str, str]]:
    """Fingerprints `("host", …)` and `("project", …)` of the database, or of the Supabase API, that a value names.

    A host that is not this machine is one server, whatever port and database are called. Supabase's poolers are shared
    by everybody: there the project in the user's name tells who is meant
    (https://supabase.com/docs/guides/database/connecting-to-postgres).
    """
    is_database, user, hosts = _read(value)
    found = {("project", match[1]) for host, _ in hosts if (match := _SUPABASE.search(host))}
    for host, port in hosts if is_database else []:
        if not _POOLER.search(host):
            found.add(("host", f"{host}:{port}" if _LOCAL.match(host) else host))
        elif "." in user:
            found.add(("project", user.partition(".")[2]))
    return frozenset(found)


def _read(value: str) -> tuple[bool, str, list[tuple[str, str]]]:
    """Whether it names a database, its user, and its hosts with their ports."""
    url = _URL.match(value)
    if not url:
        pairs = {key: quoted or plain for key, quoted, plain in _PAIR.findall(value)}
        names = pairs.get("host") or pairs.get("hostaddr")
        return names is not None, pairs.get("user", ""), _hosts(names, pairs.get("port", "")) if names else []
    before, _, query = url[2].partition("?")
    login, _, place = before.rpartition("@")  # the last one: a password may hold others
    asked = {key: found[-1] for key, found in parse_qs(query).items()}
    names = asked.get("host") or re.split(r"[/#]", place)[0]
    user = asked.get("user") or unquote(login.partition(":")[0])
    return url[1].lower().startswith("postgres"), user, _hosts(names, asked.get("port", ""))


def _hosts(names: str, port: str) -> list[tuple[str, str]]:
    matches = (_HOST.fullmatch(one) for one in unquote(names).lower().split(","))
    return [(m[1].strip("[]").rstrip("."), m[2] or port or "5432") for m in matches if m]
