"""A local Acme: takes pages from whoever has the key, the same idempotency key once."""

from __future__ import annotations

from dialtone.standins.config import Config
from dialtone.standins.defects import Switches
from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request, json_answer

NEEDS = ("acme_key",)


class Acme(StandIn):
    """`POST /pages`."""

    name = "acme"

    def __init__(self, key: str) -> None:
        self._key = key
        self.pages: dict[str, object] = {}

    def answer(self, request: Request) -> Answer:
        """202, 401 without the key, 400 without an idempotency key, 404 elsewhere."""
        if request.headers.get("authorization") != f"Acme {self._key}":
            return json_answer(401, {"error": "unauthorized"})
        if (request.method, request.path) != ("POST", "/pages"):
            return json_answer(404, {"error": "not found"})
        ident = request.headers.get("idempotency-key", "")
        if not ident:
            return json_answer(400, {"error": "idempotency-key is missing"})
        self.pages.setdefault(ident, request.json())
        return json_answer(202, {"pages": len(self.pages)})


def build(config: Config, switches: Switches, clock: Clock) -> list[StandIn]:
    """One listener."""
    return [Acme(config.secrets["acme_key"])]
