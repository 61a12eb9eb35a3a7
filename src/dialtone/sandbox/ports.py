"""Free ports on loopback, chosen so that nobody else is likely to take them before their listener starts."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from pathlib import Path

_LOWEST, _HIGHEST = 20_000, 32_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(names: Iterable[str], chooser: random.Random | None = None) -> dict[str, int]:
    """One free port of 127.0.0.1 for each name.

    A port of the range from which the kernel serves outgoing connections could be taken by any client between the
    choice and the start of its listener, so ports below that range are preferred.
    """
    chooser = chooser or random.SystemRandom()
    chosen: dict[str, int] = {}
    for name in names:
        chosen[name] = _free_port(chooser, taken=set(chosen.values()))
    return chosen


def _free_port(chooser: random.Random, taken: set[int]) -> int:
    if _ephemeral_from() >= _HIGHEST:
        for _ in range(50):
            port = chooser.randrange(_LOWEST, _HIGHEST)
            if port not in taken and _binds(port):
                return port
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def _binds(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ephemeral_from() -> int:
    """First port that the kernel gives to outgoing connections (Linux says so; elsewhere RFC 6335's 49,152)."""
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 49_152
