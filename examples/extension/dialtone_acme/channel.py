"""Acme's pager: one POST for each transition; the id makes a second try the same page."""

from __future__ import annotations

from collections.abc import Mapping

from dialtone.http import Client
from dialtone.incidents.channels import About
from dialtone.incidents.channels.sending import LIMITS, Memory, taken
from dialtone.incidents.message import Message
from dialtone.target.alerting import Channel

ABOUT = About(module="", people=True, needs=("secret", "url"))


class Pager:
    """One address, one key."""

    def __init__(self, url: str, key: str) -> None:
        self._client, self._key = Client(url, limits=LIMITS), key

    def send(self, message: Message, memory: Memory, *, doubt: bool) -> Memory:
        """Page, or tell that it is over."""
        headers = {"authorization": f"Acme {self._key}", "idempotency-key": message.key}
        body = {"incident": message.incident, "state": message.state, "text": message.headline}
        taken(self._client.post("/pages", json=body, headers=headers))
        return memory

    def close(self) -> None:
        """Give its connection back."""
        self._client.close()


def build(name: str, channel: Channel, values: Mapping[str, str]) -> Pager:
    """`secret` names the variable with the key, `url` is Acme's address."""
    assert channel.url
    return Pager(channel.url, values["secret"])
