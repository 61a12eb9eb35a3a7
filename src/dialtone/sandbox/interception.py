"""The interceptor of a sandbox: between the application, which is told of no other address, and every provider host.

Each host has a port of its own, so that a refused or swallowed connection acts on that host alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    "BREAKER_SECONDS": "1",
}
"""Settings of the suite's own application with an interceptor before it: as ever, but shorter, as experiments are."""
_TCP = {"smtp", "postgres"}


def settings(folder: Path, ports: Mapping[str, int], between: Mapping[str, int]) -> dict[str, Any]:
    """The interceptor's settings: `ports` of the parts behind it, `between` the ports where it stands for them."""
    hosts = {
        host: {
            "upstream": f"{'tcp' if part in _TCP else 'http'}://127.0.0.1:{ports[part]}",
            "listen": f"127.0.0.1:{between[part]}",
        }
        for part, host in HOSTS.items()
    }
    return {"hosts": hosts, "folder": str(folder), "journal": str(folder / "journal.jsonl")}


def command(file: Path) -> list[str]:
    """What runs the interceptor with the settings in `file`."""
    return [sys.executable, "-P", "-m", "dialtone.interceptor", str(file)]
