"""The interceptor of a sandbox: between the application, which is told of no other address, and every provider host.

Each host has a port of its own, so that a refused or swallowed connection acts on that host alone.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDER = "interceptor"
"""Below the run folder: the token, the authority and `state.json`."""
HOSTS = {
    "stripe": "api.stripe.com",
    "retell": "api.retellai.com",
    "telnyx": "api.telnyx.com",
    "google_oauth": "oauth2.googleapis.com",
    "google": "www.googleapis.com",
    "upstash": "sandbox.upstash.io",
    "slack": "hooks.slack.com",
    "sentry": "sandbox.ingest.sentry.io",
    "postgrest": "sandbox.supabase.co",
    "smtp": "smtp",
    "postgres": "postgres",
}
"""Part of the sandbox -> the host that it stands for, under which faults and the journal know it."""
PATIENCE = {
    "ANSWER_SECONDS": "2.5",
    "STRIPE_SECONDS": "2",
    "RETELL_SECONDS": "1.5",
    "TELNYX_SECONDS": "1.5",
    "GOOGLE_SECONDS": "2",
    "DATABASE_SECONDS": "1.5",
    "RETRY_SECONDS": "0.5",
    "BREAKER_FAILURES": "3",
    "BREAKER_SECONDS": "0.6",
}
"""Settings of the suite's own application with an interceptor before it: as ever, but shorter, as experiments are."""
_TCP = {"smtp", "postgres"}


def further(hosts: Mapping[str, str], ports: Mapping[str, int], brought: Sequence[str] = ()) -> dict[str, str]:
    """Further hosts of the application -> upstream: a part of the sandbox by its name, or an address.

    `brought` are parts that other packages bring.

    Raises RuntimeError, in words, for what is neither, and for a host that would be led to itself.
    """
    led = {}
    for host, to in hosts.items():
        web = sorted({*HOSTS, *brought} - _TCP)
        if to not in web and urlsplit(to).scheme not in ("http", "https"):
            raise RuntimeError(f"{host}: {to!r} is no address of http or https, and no part: {', '.join(web)}")
        if urlsplit(to).hostname == host.lower():
            raise RuntimeError(f"{host} is led to {to}: that is the provider itself. Name a stand-in")
        led[host.lower()] = f"http://127.0.0.1:{ports[to]}" if to in web else to
    return led


def places(way: str | None, between: Mapping[str, int]) -> dict[str, str]:
    """Where the interceptor listens for each part or further host: a port of its own; by names port 443 of an address
    of its own, out of a block that another sandbox is not likely to have."""
    if way != "names":
        return {part: f"127.0.0.1:{port}" for part, port in between.items()}
    chooser = random.SystemRandom()
    block = f"127.{chooser.randrange(10, 250)}.{chooser.randrange(1, 250)}"
    return {
        part: f"127.0.0.1:{port}" if part in _TCP else f"{block}.{number}:443"
        for number, (part, port) in enumerate(between.items(), 1)
    }


def settings(
    folder: Path, ports: Mapping[str, int], listen: Mapping[str, str], more: Mapping[str, str]
) -> dict[str, Any]:
    """The interceptor's settings: `ports` of the parts behind it, `listen` where it stands for them and for `more`."""
    hosts = {
        host: {
            "upstream": f"{'tcp' if part in _TCP else 'http'}://127.0.0.1:{ports[part]}",
            "listen": listen[part],
        }
        for part, host in HOSTS.items()
    }
    hosts |= {
        host: {"upstream": upstream, "listen": listen[host], "host": "upstream"} for host, upstream in more.items()
    }
    return {"hosts": hosts, "folder": str(folder), "journal": str(folder / "journal.jsonl")}


def led(
    folder: Path, way: str, command: Sequence[str], environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The application's command and environment, so that what it calls by name arrives at the interceptor in `folder`.

    By `proxy` and `names` the hosts of HTTP alone: Postgres and mail have addresses of their own in any case.
    """
    from dialtone.interceptor.redirect import environment as redirected
    from dialtone.interceptor.redirect import in_names

    state = json.loads((folder / "state.json").read_text())
    state["hosts"] = [host for host in state["hosts"] if host not in _TCP]
    told = redirected(state, folder, way, environment)
    return (in_names(state, folder, command) if way == "names" else list(command)), told


def command(file: Path) -> list[str]:
    """What runs the interceptor with the settings in `file`."""
    return [sys.executable, "-P", "-m", "dialtone.interceptor", str(file)]
