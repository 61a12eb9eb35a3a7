"""Channels: one file for each kind, which says how a message looks there, how it is sent, and what an answer means.

A new kind is its file and its line in `KINDS`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from dialtone.redact import secrets

if TYPE_CHECKING:
    from dialtone.incidents.channels.sending import Sender
    from dialtone.target.alerting import Channel


@dataclass(frozen=True, slots=True)
class About:
    """What routing has to know of a kind: whether people read it, and which keys it cannot be without."""

    module: str
    people: bool
    needs: tuple[str, ...]


KINDS: Mapping[str, About] = {
    "slack": About("slack", True, ("secret", "to")),
    "slack-webhook": About("slack_webhook", True, ("secret",)),
    "smtp": About("smtp", True, ("url", "sender")),
    "resend": About("resend", True, ("secret", "sender")),
    "pagerduty": About("pagerduty", True, ("secret",)),
    "sentry": About("sentry", False, ("secret",)),
    "webhook": About("webhook", False, ("secret", "signing")),
}


def lacks(channel: Channel, environ: Mapping[str, str] = os.environ) -> str:
    """What stands between a channel and its first message; empty when nothing does."""
    missing = [f"{key} is not given" for key in KINDS[channel.kind].needs if not getattr(channel, key)]
    for key in ("secret", "signing"):
        variable = getattr(channel, key)
        if variable and not environ.get(variable, "").strip():
            missing.append(f"{variable} is not set")
    return "; ".join(missing)


def build(name: str, channel: Channel, environ: Mapping[str, str] = os.environ) -> Sender:
    """The sender of an armed channel. Its secrets are masked from here on."""
    values = {}
    for key in ("secret", "signing", "reading"):
        variable = getattr(channel, key)
        values[key] = environ.get(variable, "").strip() if variable else ""
        if values[key]:
            secrets.add(values[key])
    module = import_module(f"dialtone.incidents.channels.{KINDS[channel.kind].module}")
    made: Sender = module.build(name, channel, values)
    return made
