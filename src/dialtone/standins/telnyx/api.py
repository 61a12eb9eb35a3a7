"""Keys and the endpoints of Telnyx' API."""

from __future__ import annotations

from hmac import compare_digest

from dialtone.standins.defects import Switches
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.telnyx.account import Account
from dialtone.standins.telnyx.calls import Calls
from dialtone.standins.telnyx.messages import Messages
from dialtone.standins.telnyx.wire import error
from dialtone.standins.wire import STRANGER, Answer, Caller, Request

_APPLICATION, _PROBER = Caller("unknown", "application"), Caller("unknown", "prober")


class Telnyx(StandIn):
    """One account with one number. `webhook_urls` are where its messaging and its voice webhooks go."""

    name = "telnyx"

    def __init__(
        self,
        key: str,
        probe_key: str,
        webhook_urls: tuple[str, str],
        switches: Switches,
        clock: Clock,
        listed: Listed = NOTHING,
    ) -> None:
        self._key, self._probe_key = key.encode(), probe_key.encode()
        groups = (Account(webhook_urls, switches, clock, listed), Messages(clock), Calls(clock))
        self._groups: tuple[tuple[object, Routes], ...] = tuple((group, group.routes) for group in groups)

    def answer(self, request: Request) -> Answer:
        """What the API answers; 401 before anything else."""
        if self.caller(request) is STRANGER:
            return error(401, "10009")
        for group, routes in self._groups:
            if found := routes.find(request.method, request.path):
                handler, names = found
                return handler(group, request, **names)
        return error(404, "10005")

    def caller(self, request: Request) -> Caller:
        """Keys have no mode."""
        key = (request.bearer or "").encode()
        if compare_digest(key, self._key):
            return _APPLICATION
        return _PROBER if compare_digest(key, self._probe_key) else STRANGER
