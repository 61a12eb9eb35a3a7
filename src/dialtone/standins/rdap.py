"""Stand-in for a registry's RDAP server: what is registered, and until when.

Paths: RFC 9082 section 3; objects, events and status words: RFC 9083 sections 4.5, 5.3 and 10.2. Nobody has to say who
asks.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request, json_answer

_DAY = 86_400
_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.IGNORECASE)
_TYPE = "application/rdap+json"


class Rdap(StandIn):
    """Every well-formed name is registered, for ten months more."""

    name = "rdap"
    routes = Routes()

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches, self._clock = switches, clock

    def answer(self, request: Request) -> Answer:
        """An object, or an error in RDAP's own form."""
        found = self.routes.find(request.method, request.path)
        if found is None:
            return _answer(404 if request.method == "GET" else 405, _error(404, "Not Found"))
        handler, names = found
        return handler(self, request, **names)

    @routes("GET", "/help")
    def help(self, _request: Request) -> Answer:
        """What the server is."""
        return _answer(200, {"rdapConformance": ["rdap_level_0"], "notices": [{"title": "Sandbox", "description": []}]})

    @routes("GET", "/domain/{name}")
    def domain(self, _request: Request, name: str) -> Answer:
        """The registration of a name."""
        if not _NAME.fullmatch(name):
            return _answer(400, _error(400, "Bad Request"))
        left = 9 if self._switches.on("domain-expiring") else 300
        now = self._clock.time()
        events = {"registration": now - 400 * _DAY, "last changed": now - 30 * _DAY, "expiration": now + left * _DAY}
        return _answer(
            200,
            {
                "objectClassName": "domain",
                "ldhName": name.lower(),
                "rdapConformance": ["rdap_level_0"],
                "status": ["client transfer prohibited"],
                "events": [{"eventAction": action, "eventDate": _moment(at)} for action, at in events.items()],
                "secureDNS": {"delegationSigned": False},
            },
        )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _error(code: int, title: str) -> dict[str, Any]:
    return {"errorCode": code, "title": title, "description": []}


def _answer(status: int, value: dict[str, Any]) -> Answer:
    made = json_answer(status, value)
    return Answer(made.status, made.body, _TYPE, made.headers)
