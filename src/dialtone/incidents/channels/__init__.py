"""Channels: one file for each kind, which says how a message looks there, how it is sent, and what an answer means.

A new kind is its file and its line in `_OWN`; in another package it is an entry point of the group
`dialtone.channels`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dialtone import extension
from dialtone.redact import secrets

if TYPE_CHECKING:
    from dialtone.incidents.channels.sending import Sender
    from dialtone.target.alerting import Channel


@dataclass(frozen=True, slots=True)
class About:
    """What routing has to know of a kind: whether people read it, and which keys it cannot be without.

    `module` is the file here that builds it; empty for a kind that another package brings.
    """

    module: str
    people: bool
    needs: tuple[str, ...]


_OWN: Mapping[str, About] = {
    "slack": About("slack", True, ("secret", "to")),
    "slack-webhook": About("slack_webhook", True, ("secret",)),
    "smtp": About("smtp", True, ("url", "sender")),
    "resend": About("resend", True, ("secret", "sender")),
    "pagerduty": About("pagerduty", True, ("secret",)),
    "sentry": About("sentry", False, ("secret",)),
    "webhook": About("webhook", False, ("secret", "signing")),
}


class _Kinds(Mapping[str, About]):
    """Ours, and what installed packages bring: those are looked for when a name that is not ours is asked for."""

    def __getitem__(self, kind: str) -> About:
        if kind in _OWN:
            return _OWN[kind]
        about: About = extension.load(extension.brought("channels", _OWN)[kind], "ABOUT", "build").ABOUT
        return about

    def __iter__(self) -> Iterator[str]:
        return iter([*_OWN, *extension.brought("channels", _OWN)])

    def __len__(self) -> int:
        return len(list(iter(self)))


KINDS: Mapping[str, About] = _Kinds()


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
    if channel.kind in _OWN:
        module: Any = import_module(f"dialtone.incidents.channels.{_OWN[channel.kind].module}")
    else:
        module = extension.load(extension.brought("channels", _OWN)[channel.kind], "build")
    made: Sender = module.build(name, channel, values)
    return made
