"""Where a history lives: named by the environment or the profile, and never on the host that is watched."""

from __future__ import annotations

import contextlib
import ipaddress
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
    profile = target.profile
    urls = [profile.base_url, profile.tls_url, profile.plain_url, target.credentials.get(profile.database or "")]
    hosts = {urlsplit(url).hostname for url in urls if url} - {None}
    if not found.startswith(("postgresql://", "postgres://")):
        if any(ours(address) for other in hosts for address in _addresses(other or "")):
            raise StoreError(
                f"the history is a file of this machine, on which the target {target.name} runs: it would be lost"
                f" together with what it is to tell of. Run the checks elsewhere, or name a server in {VARIABLE}"
            )
        return
    host = urlsplit(found).hostname or "localhost"
    for other in hosts:
        if other is not None and (other == host or _addresses(other) & _addresses(host)):
            raise StoreError(
                f"the history is on {host}, a host of the target {target.name}: it would be lost together with what it"
                f" is to tell of. Name another one in {VARIABLE}, or a file"
            )


def ours(address: str) -> bool:
    """Whether an address is this machine's own. Not loopback: a tunnel to anywhere may begin there."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if found.is_loopback or found.is_unspecified or found.is_link_local or found.is_multicast:
        return False
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as trial:
        trial.connect((str(found), 9))  # sends nothing; the way to an own address begins there
        return bool(trial.getsockname()[0] == str(found))
    return False


def _addresses(host: str) -> set[str]:
    with contextlib.suppress(OSError, UnicodeError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return set()
