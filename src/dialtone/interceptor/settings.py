"""What an interceptor is told at its start: where it listens, which hosts it stands for, and where they really are."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class BadSettingsError(ValueError):
    """Settings that cannot be taken; the text names the key and the remedy."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where bytes are forwarded to."""

    address: str
    port: int
    tls: bool = False
    name: str = ""
    """Name for SNI and verification; empty without TLS."""

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.name or self.address}:{self.port}"

    def authority(self) -> bytes:
        """What stands in a Host header that names it (RFC 9110 section 7.2)."""
        host = self.name or self.address
        host = f"[{host}]" if ":" in host else host
        return (host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}").encode("latin-1", "replace")

    @classmethod
    def parse(cls, url: str) -> Origin:
        """From `http[s]://host[:port]` or `tcp://host:port`. Raises BadSettingsError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadSettingsError(f"upstream {url!r}: {error}") from None
        if parts.scheme not in ("http", "https", "tcp") or not parts.hostname or parts.path not in ("", "/"):
            raise BadSettingsError(f"upstream {url!r}: http://host:port, https://host or tcp://host:port is needed")
        if port is None and parts.scheme == "tcp":
            raise BadSettingsError(f"upstream {url!r}: tcp needs a port")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, parts.hostname if tls else "")


@dataclass(frozen=True, slots=True)
class Host:
    """A provider host: its name, its upstream, and a listener of its own when it has one."""

    name: str
    upstream: Origin
    listen: tuple[str, int] | None = None
    tcp: bool = False
    """Plain TCP: bytes are passed on as they come (Postgres, Redis, SMTP)."""
    renamed: bool = False
    """Whether the upstream is told its own name instead of this one: a provider's sandbox under another host."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Addresses are (address, port); port 0 is any free one."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 0),)
    """Shared listeners: CONNECT, absolute URLs, TLS by server name, plain HTTP by Host."""
    control: tuple[str, int] = ("127.0.0.1", 0)
    journal: Path | None = None
    folder: Path | None = None
    """Where the authority's certificate and `state.json` go."""
    upstream_ca: Path | None = None
    """Verify upstreams by this authority instead of the system's."""
    open: bool = False
    """Said once here and once on the command line: listen on addresses that others can reach."""
    processes: int = 1
    """Processes that share the listeners, for more than one core."""

    def exposed(self) -> list[str]:
        """Addresses among all listeners that are not loopback."""
        every = [*self.listen, self.control, *(h.listen for h in self.hosts.values() if h.listen)]
        return sorted({address for address, _ in every if not _loopback(address)})


def _loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def place(text: str, key: str) -> tuple[str, int]:
    """From `address:port`. Raises BadSettingsError."""
    address, mark, port = text.rpartition(":")
    if not mark or not port.isdigit() or int(port) > 65535:
        raise BadSettingsError(f"{key}: {text!r}: address:port is needed, such as 127.0.0.1:8080")
    return address.strip("[]") or "127.0.0.1", int(port)


_KEYS = {"hosts", "listen", "control", "journal", "folder", "upstream_ca", "open", "processes"}
MAX_PROCESSES = 64


def read(path: Path) -> Settings:
    """From a TOML or JSON file. Raises BadSettingsError."""
    try:
        text = path.read_text()
        given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise BadSettingsError(f"{path}: {error}") from None
    return build(given)


def build(given: Mapping[str, Any]) -> Settings:
    """From what a file says. Raises BadSettingsError."""
    if unknown := sorted(set(given) - _KEYS):
        raise BadSettingsError(f"no such key: {', '.join(unknown)}; there are {', '.join(sorted(_KEYS))}")
    hosts = {}
    for name, said in dict(given.get("hosts", {})).items():
        entry = {"upstream": said} if isinstance(said, str) else dict(said)
        if unknown := sorted(set(entry) - {"upstream", "listen", "host"}):
            raise BadSettingsError(f"hosts.{name}: no such key: {', '.join(unknown)}; there are host, listen, upstream")
        if not isinstance(entry.get("upstream"), str):
            raise BadSettingsError(f"hosts.{name}.upstream: is needed")
        listen = place(entry["listen"], f"hosts.{name}.listen") if "listen" in entry else None
        tcp = entry["upstream"].startswith("tcp://")
        if tcp and listen is None:
            raise BadSettingsError(f"hosts.{name}.listen: is needed for tcp: there is no name on its wire")
        if (told := entry.get("host", "keep")) not in ("keep", "upstream") or (tcp and told != "keep"):
            raise BadSettingsError(f"hosts.{name}.host: {told!r}: keep, or upstream (not for tcp), is needed")
        key = name.lower().rstrip(".")
        hosts[key] = Host(key, Origin.parse(entry["upstream"]), listen, tcp, told == "upstream")
    processes = given.get("processes", 1)
    if not isinstance(processes, int) or isinstance(processes, bool) or not 1 <= processes <= MAX_PROCESSES:
        raise BadSettingsError(f"processes: {processes!r}: a number from 1 to {MAX_PROCESSES} is needed")
    listen = given.get("listen", "127.0.0.1:0")
    listens = [listen] if isinstance(listen, str) else list(listen)
    return Settings(
        hosts=hosts,
        listen=tuple(place(one, "listen") for one in listens),
        control=place(given.get("control", "127.0.0.1:0"), "control"),
        journal=Path(given["journal"]) if given.get("journal") else None,
        folder=Path(given["folder"]) if given.get("folder") else None,
        upstream_ca=Path(given["upstream_ca"]) if given.get("upstream_ca") else None,
        open=given.get("open") is True,
        processes=processes,
    )


def plain(settings: Settings, places: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """Settings as JSON for a further process, with the ports that the listeners really have (`*…` are the shared)."""
    return {
        "hosts": [{**asdict(host), "listen": places.get(host.name)} for host in settings.hosts.values()],
        "listen": [place for name, place in places.items() if name.startswith("*")],
        "upstream_ca": str(settings.upstream_ca) if settings.upstream_ca else None,
        "open": settings.open, "processes": settings.processes,
    }  # fmt: skip


def unplain(given: Mapping[str, Any]) -> Settings:
    """Settings from what `plain` made; there is no journal, no folder and no control API."""
    hosts = {
        said["name"]: Host(
            said["name"], Origin(**said["upstream"]), tuple(said["listen"]) if said["listen"] else None,
            said["tcp"], said["renamed"],
        )
        for said in given["hosts"]
    }  # fmt: skip
    return Settings(
        hosts=hosts, listen=tuple((address, port) for address, port in given["listen"]),
        upstream_ca=Path(given["upstream_ca"]) if given["upstream_ca"] else None,
        open=given["open"], processes=given["processes"],
    )  # fmt: skip
