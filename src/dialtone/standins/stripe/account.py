"""What an account has of its own: balance, webhook endpoint, events; and the subscriptions of the sandbox."""

from __future__ import annotations

from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.standin import Routes
from dialtone.standins.state import Clock
from dialtone.standins.stripe.wire import LIST_PARAMETERS, error, is_live, no_such, page, parameters
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

API_VERSION = "2026-06-24.dahlia"
_SUBSCRIPTIONS = ("sub_synthetic", "sub_sandbox")
_CUSTOMERS = ("cus_synthetic", "cus_sandbox")
_HOUR, _DAY = 3_600, 86_400

_INVOICE = {
    "object": "invoice",
    "customer": "cus_sandbox_waiting",
    "amount_due": 4900,
    "amount_paid": 4900,
    "currency": "usd",
    "metadata": {},
    "status": "paid",
}


class Account:
    """Balance, the one webhook endpoint, events that are or are not delivered, subscriptions."""

    routes = Routes()

    def __init__(self, webhook_url: str, switches: Switches, clock: Clock) -> None:
        self._webhook_url, self._switches, self._clock = webhook_url, switches, clock
        self._started = int(clock.time())

    @routes("GET", "/v1/balance")
    def balance(self, request: Request) -> Answer:
        """What the account holds, in cents."""
        if self._switches.on("stripe-balance-503"):
            return error(503, "Stripe is temporarily unavailable. Please try again.", kind="api_error")
        amounts = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
        return json_answer(
            200, {"object": "balance", "available": amounts, "pending": amounts, "livemode": is_live(request)}
        )

    @routes("GET", "/v1/webhook_endpoints")
    def webhook_endpoints(self, request: Request) -> Answer:
        """The one endpoint of the account."""
        status = "disabled" if self._switches.on("stripe-endpoint-disabled") else "enabled"
        endpoint = {
            "id": "we_sandbox",
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "created": self._started - 30 * _DAY,
            "description": None,
            "enabled_events": ["*"],
            "livemode": False,
            "metadata": {},
            "status": status,
            "url": self._webhook_url,
        }
        return page(request.path, [endpoint], parameters(request, LIST_PARAMETERS))

    @routes("GET", "/v1/events")
    def events(self, request: Request) -> Answer:
        """Events of the last 30 days; `delivery_success=false` are those still pending somewhere."""
        values = parameters(request, LIST_PARAMETERS | {"delivery_success", "type", "types"})
        events = [self._event("evt_sandbox_delivered", 6 * _HOUR, pending=0)]
        if self._switches.on("stripe-undelivered"):
            ages = range(3 * _HOUR, 3 * _HOUR + 300, 60)
            events = [self._event(f"evt_sandbox_undelivered_{age}", age, pending=1) for age in ages] + events
        if (wanted := values.get("delivery_success")) is not None:
            if wanted not in ("true", "false"):
                raise Refusal(error(400, f"Invalid boolean: {wanted}", param="delivery_success"))
            events = [event for event in events if (event["pending_webhooks"] == 0) == (wanted == "true")]
        types = values.get("types") or ([values["type"]] if "type" in values else None)
        if types:
            events = [event for event in events if event["type"] in types]
        return page(request.path, events, values)

    def _event(self, name: str, age: int, *, pending: int) -> dict[str, Any]:
        return {
            "id": name,
            "object": "event",
            "api_version": API_VERSION,
            "created": int(self._clock.time()) - age,
            "data": {"object": _INVOICE | {"id": f"in_{name.removeprefix('evt_')}"}},
            "livemode": False,
            "pending_webhooks": pending,
            "request": {"id": None, "idempotency_key": None},
            "type": "invoice.paid",
        }

    @routes("GET", "/v1/subscriptions")
    def list_subscriptions(self, request: Request) -> Answer:
        """The subscription of a customer of the sandbox's database, which is active: whoever has none is `unpaid`."""
        values = parameters(request, LIST_PARAMETERS | {"customer", "status", "price", "collection_method"})
        name = str(values.get("customer", ""))
        base = next((base for base in _CUSTOMERS if name.startswith(base)), None)
        found = [] if base is None or "unpaid" in name or values.get("status", "active") != "active" else [name]
        shown = [self._subscription("sub_sandbox" + name.removeprefix(base or ""), name, request) for name in found]
        return page(request.path, shown, values)

    @routes("GET", "/v1/subscriptions/{name}")
    def get_subscription(self, request: Request, name: str) -> Answer:
        """An active subscription of the sandbox's database."""
        if not name.startswith(_SUBSCRIPTIONS):
            raise no_such("subscription", name)
        customer = "cus_sandbox" + name.removeprefix("sub_sandbox").removeprefix("sub_synthetic")
        return json_answer(200, self._subscription(name, customer, request))

    def _subscription(self, name: str, customer: str, request: Request) -> dict[str, Any]:
        return {
            "id": name,
            "object": "subscription",
            "cancel_at_period_end": False,
            "collection_method": "charge_automatically",
            "created": self._started - 30 * _DAY,
            "currency": "usd",
            "customer": customer,
            "items": {"object": "list", "data": [], "has_more": False},
            "livemode": is_live(request),
            "metadata": {},
            "status": "active",
        }
