"""Where a history lives: named by the environment or the profile, and never on the host that is watched."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from dialtone.history.engines import StoreError
from dialtone.target import Target

VARIABLE = "DIALTONE_HISTORY"
DEFAULT = "build/history.db"


def where(target: Target, environ: Mapping[str, str]) -> str | None:
    """The history of a run against `target`, or None. Raises StoreError for one that an outage would take along.

    `DIALTONE_HISTORY` (`off` for none), else `history.store` of the profile, else a file; a sandbox, which is gone
    after the run, has none unless one is named.
    """
    named = environ.get(VARIABLE, "").strip() or target.profile.history.store
    if named == "off" or (named is None and target.profile.kind == "sandbox"):
        return None
    found = named or DEFAULT
    if target.profile.kind != "sandbox":
        _refuse_own_host(found, target)
    return found


def _refuse_own_host(found: str, target: Target) -> None:
    if not found.startswith(("postgresql://", "postgres://")):
        return
    host = urlsplit(found).hostname or "localhost"
    profile = target.profile
    urls = [profile.base_url, profile.tls_url, profile.plain_url, target.credentials.get(profile.database or "")]
    for other in {urlsplit(url).hostname for url in urls if url} - {None}:
        if other is not None and (other == host or _addresses(other) & _addresses(host)):
            raise StoreError(
                f"the history is on {host}, a host of the target {target.name}: it would be lost together with what it"
                f" is to tell of. Name another one in {VARIABLE}, or a file"
            )


def _addresses(host: str) -> set[str]:
    with contextlib.suppress(OSError, UnicodeError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return set()
