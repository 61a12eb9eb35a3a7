"""Keys, idempotency and the endpoints of Stripe's API."""

from __future__ import annotations

from hmac import compare_digest
from typing import Literal

from dialtone.standins.defects import Switches
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.stripe.account import Account
from dialtone.standins.stripe.billing import Billing
from dialtone.standins.stripe.checkout import Checkout
from dialtone.standins.stripe.events import API_VERSION, Events
from dialtone.standins.stripe.subscriptions import Subscriptions
from dialtone.standins.stripe.wire import Idempotency, error, is_live, key_of, new_id
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request


class Stripe(StandIn):
    """One account with one webhook endpoint. The application's key is taken in its live form as well."""

    name = "stripe"

    def __init__(
        self, key: str, probe_key: str, webhook_url: str, switches: Switches, clock: Clock, listed: Listed = NOTHING
    ) -> None:
        self._key, self._probe_key = key, probe_key
        self._live_key = "sk_live_" + key.removeprefix("sk_test_")
        self._switches = switches
        self._idempotency = Idempotency(clock)
        events = Events(webhook_url, switches, clock)
        billing = Billing(events, clock, switches, listed)
        groups = (
            *(Account(billing, switches, clock), billing, events),
            *(Subscriptions(billing, events, clock), Checkout(billing, events, switches, clock)),
        )
        self._groups: tuple[tuple[object, Routes], ...] = tuple((group, group.routes) for group in groups)

    def answer(self, request: Request) -> Answer:
        """What the API answers; the key is looked at before anything else."""
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            answer = refusal.answer
        headers = {"request-id": new_id("req"), "stripe-version": request.headers.get("stripe-version", API_VERSION)}
        return Answer(answer.status, answer.body, answer.content_type, {**headers, **answer.headers})

    def _answer(self, request: Request) -> Answer:
        key = key_of(request)
        if key is None:
            return error(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using"
                " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        caller = self.caller(request)
        if caller.owner == "unknown":
            return error(401, f"Invalid API Key provided: {_masked(key)}")
        if caller.owner == "application" and self._switches.on("stripe-key-revoked"):
            return error(401, f"Expired API Key provided: {_masked(key)}", code="api_key_expired")
        for group, routes in self._groups:
            if found := routes.find(request.method, request.path):
                handler, names = found
                return self._idempotency.run(request, lambda: handler(group, request, **names))  # noqa: B023 - run now
        return error(404, f"Unrecognized request URL ({request.method}: {request.path}).")

    def delayed(self, request: Request, seconds: float) -> None:
        """Its idempotency key is in use until it is answered."""
        self._idempotency.in_use(request, seconds)

    def caller(self, request: Request) -> Caller:
        """The mode stands in the key's prefix (https://docs.stripe.com/keys)."""
        key = key_of(request)
        if key is None:
            return STRANGER
        mode: Literal["test", "live", "unknown"] = "unknown"
        if is_live(request):
            mode = "live"
        elif key.startswith(("sk_test_", "rk_test_")):
            mode = "test"
        if _same(key, self._key) or _same(key, self._live_key):
            return Caller(mode, "application")
        return Caller(mode, "prober" if _same(key, self._probe_key) else "unknown")


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode())


def _masked(key: str) -> str:
    """The kind of the key and nothing of its secret part; Stripe itself also shows the last four characters."""
    kind = "_".join(key.split("_")[:2])
    return f"{kind}_***" if kind in ("sk_test", "sk_live", "rk_test", "rk_live", "pk_test", "pk_live") else "***"
