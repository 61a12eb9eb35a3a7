"""What an account has of its own: balance, prices, the customers' portal."""

from __future__ import annotations

from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.standin import Routes
from dialtone.standins.state import Clock
from dialtone.standins.stripe.billing import Billing
from dialtone.standins.stripe.wire import error, is_live, new_id, no_such, parameters
from dialtone.standins.wire import Answer, Request, json_answer


class Account:
    """Balance; every price whose id begins with `price_`; portal pages."""

    routes = Routes()

    def __init__(self, billing: Billing, switches: Switches, clock: Clock) -> None:
        self._billing, self._switches, self._clock = billing, switches, clock

    @routes("GET", "/v1/balance")
    def balance(self, request: Request) -> Answer:
        """What the account holds, in cents."""
        if self._switches.on("stripe-balance-503"):
            return error(503, "Stripe is temporarily unavailable. Please try again.", kind="api_error")
        amounts = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
        return json_answer(
            200, {"object": "balance", "available": amounts, "pending": amounts, "livemode": is_live(request)}
        )

    @routes("GET", "/v1/prices/{name}")
    def get_price(self, request: Request, name: str) -> Answer:
        """A price; inactive while the defect says so."""
        if not name.startswith("price_"):
            raise no_such("price", name)
        price: dict[str, Any] = {
            "id": name,
            "object": "price",
            "active": not self._switches.on("stripe-price-archived"),
        }
        price |= {"currency": "usd", "unit_amount": 4900, "type": "recurring", "product": "prod_sandbox"}
        recurring: dict[str, Any] = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
        return json_answer(200, {**price, "recurring": recurring, "livemode": is_live(request), "metadata": {}})

    @routes("POST", "/v1/billing_portal/sessions")
    def create_portal_session(self, request: Request) -> Answer:
        """A page on which a customer changes a card or cancels."""
        values = parameters(request, {"configuration", "customer", "flow_data", "locale", "on_behalf_of", "return_url"})
        name = new_id("bps")
        session: dict[str, Any] = {
            "id": name,
            "object": "billing_portal.session",
            "customer": self._billing.customer_of(values),
        }
        session |= {"created": int(self._clock.time()), "livemode": is_live(request)}
        session |= {"return_url": values.get("return_url"), "url": f"https://billing.stripe.com/p/session/{name}"}
        return json_answer(200, session)
