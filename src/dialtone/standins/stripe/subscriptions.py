"""Subscriptions: of the sandbox's database, and those that are made here.

The first invoice is paid at once, unless the customer's card is declined: then the subscription is `incomplete`
(https://docs.stripe.com/billing/subscriptions/overview).
"""

from __future__ import annotations

from typing import Any

from dialtone.standins.standin import Routes
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.stripe.billing import Billing
from dialtone.standins.stripe.events import Events
from dialtone.standins.stripe.wire import (
    LIST_PARAMETERS,
    error,
    integer,
    is_live,
    metadata,
    missing,
    new_id,
    no_such,
    page,
    parameters,
)
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

_SUBSCRIPTIONS = ("sub_synthetic", "sub_sandbox")
_CUSTOMERS = ("cus_synthetic", "cus_sandbox")
_DAY = 86_400
_CREATE = frozenset(
    "automatic_tax billing_cycle_anchor cancel_at cancel_at_period_end collection_method currency customer"
    " days_until_due default_payment_method description discounts items metadata off_session payment_behavior"
    " payment_settings proration_behavior trial_end trial_period_days trial_settings".split()
)
_UPDATE = (_CREATE | {"pause_collection"}) - {"customer"}
_CANCEL = frozenset("cancellation_details invoice_now prorate".split())


class Subscriptions:
    """Who pays regularly."""

    routes = Routes()

    def __init__(self, billing: Billing, events: Events, clock: Clock) -> None:
        self._billing, self._events, self._clock = billing, events, clock
        self._started = int(clock.time())
        self._made: Bounded[dict[str, Any]] = Bounded()

    @routes("GET", "/v1/subscriptions")
    def list_subscriptions(self, request: Request) -> Answer:
        """Those that were made here, and that of a customer of the sandbox's database: whoever has none is `unpaid`.

        Cancelled ones are left out unless `status` asks for them or for `all`.
        """
        values = parameters(request, LIST_PARAMETERS | {"customer", "status", "price", "collection_method"})
        name, status = str(values.get("customer", "")), values.get("status")
        base = next((base for base in _CUSTOMERS if name.startswith(base)), None)
        shown = [one for one in self._made.newest_first() if not name or one["customer"] == name]
        if base is not None and "unpaid" not in name:
            shown.append(self._of_the_sandbox("sub_sandbox" + name.removeprefix(base), name, request))
        if status != "all":
            shown = [one for one in shown if (one["status"] == status if status else one["status"] != "canceled")]
        return page(request.path, shown, values)

    @routes("POST", "/v1/subscriptions")
    def create_subscription(self, request: Request) -> Answer:
        """A new one, with its first invoice."""
        values = parameters(request, _CREATE)
        customer, items = self._billing.customer_of(values), values.get("items")
        if not isinstance(items, list) or not items:
            raise missing("items")
        trial = integer(values, "trial_period_days", 0)
        made = self._object(new_id("sub"), customer, request, days=trial or 30)
        made["items"]["data"] = [self._item(made, item) for item in items]
        made["metadata"] = metadata(values)
        made["cancel_at_period_end"] = values.get("cancel_at_period_end") == "true"
        paid = bool(trial) or self._billing.pays(customer)
        if not paid and values.get("payment_behavior") == "error_if_incomplete":
            return error(402, "Your card was declined.", code="card_declined", kind="card_error")
        made["status"] = "trialing" if trial else "active" if paid else "incomplete"
        amount = 0 if trial else 4900 * len(items)
        made["latest_invoice"] = self._billing.invoice_of(request, customer, made["id"], amount, paid=paid)
        self._made[made["id"]] = made
        self._events.emit("customer.subscription.created", made, request)
        return json_answer(200, made)

    @routes("GET", "/v1/subscriptions/{name}")
    def get_subscription(self, request: Request, name: str) -> Answer:
        """One, made here or of the sandbox's database."""
        return json_answer(200, self._one(name, request))

    @routes("POST", "/v1/subscriptions/{name}")
    def update_subscription(self, request: Request, name: str) -> Answer:
        """Change items, metadata, or when it ends."""
        values, one = parameters(request, _UPDATE), self._one(name, request)
        if one["status"] == "canceled":
            raise no_such("subscription", name)
        if isinstance(values.get("items"), list):
            one["items"]["data"] = [self._item(one, item) for item in values["items"]]
        one["metadata"] |= metadata(values)
        if "cancel_at_period_end" in values:
            one["cancel_at_period_end"] = values["cancel_at_period_end"] == "true"
        self._events.emit("customer.subscription.updated", one, request)
        return json_answer(200, one)

    @routes("DELETE", "/v1/subscriptions/{name}")
    def cancel_subscription(self, request: Request, name: str) -> Answer:
        """End it now; 404 when it has ended."""
        parameters(request, _CANCEL)
        one = self._one(name, request)
        if one["status"] == "canceled":
            raise no_such("subscription", name)
        now = int(self._clock.time())
        one |= {"status": "canceled", "canceled_at": now, "ended_at": now}
        self._events.emit("customer.subscription.deleted", one, request)
        return json_answer(200, one)

    def _one(self, name: str, request: Request) -> dict[str, Any]:
        if (found := self._made.get(name)) is not None:
            return found
        if not name.startswith(_SUBSCRIPTIONS):
            raise no_such("subscription", name)
        customer = "cus_sandbox" + name.removeprefix("sub_sandbox").removeprefix("sub_synthetic")
        return self._of_the_sandbox(name, customer, request)

    def _of_the_sandbox(self, name: str, customer: str, request: Request) -> dict[str, Any]:
        return self._object(name, customer, request, days=0) | {"created": self._started - 30 * _DAY}

    def _item(self, subscription: dict[str, Any], item: Any) -> dict[str, Any]:
        price = item.get("price") if isinstance(item, dict) else None
        if not isinstance(price, str):
            raise missing("items[0][price]")
        if not price.startswith("price_"):
            raise Refusal(no_such("price", price, param="items[0][price]", status=400).answer)
        end = int(self._clock.time()) + 30 * _DAY
        made = {"id": new_id("si"), "object": "subscription_item", "price": {"id": price, "object": "price"}}
        return made | {
            "quantity": integer(item, "quantity", 1),
            "current_period_end": end,
            "subscription": subscription["id"],
        }

    def _object(self, name: str, customer: str, request: Request, *, days: int) -> dict[str, Any]:
        now = int(self._clock.time())
        return {
            "id": name,
            "object": "subscription",
            "cancel_at_period_end": False,
            "canceled_at": None,
            "collection_method": "charge_automatically",
            "created": now,
            "currency": "usd",
            "customer": customer,
            "ended_at": None,
            "items": {"object": "list", "data": [], "has_more": False},
            "latest_invoice": None,
            "livemode": is_live(request),
            "metadata": {},
            "start_date": now,
            "status": "active",
            "trial_end": now + days * _DAY if days and days != 30 else None,
        }
