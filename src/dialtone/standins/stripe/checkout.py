"""Checkout sessions."""

from __future__ import annotations

from typing import Any

from dialtone.standins.defects import Switches
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

_DAY = 86_400

_SESSION = frozenset(
    "allow_promotion_codes automatic_tax billing_address_collection cancel_url client_reference_id currency customer"
    " customer_creation customer_email customer_update discounts expires_at invoice_creation line_items locale metadata"
    " mode payment_intent_data payment_method_collection payment_method_types phone_number_collection return_url"
    " setup_intent_data submit_type subscription_data success_url tax_id_collection ui_mode".split()
)


class Checkout:
    """Checkout pages: open until they are expired."""

    routes = Routes()

    def __init__(self, billing: Billing, events: Events, switches: Switches, clock: Clock) -> None:
        self._billing, self._events, self._switches, self._clock = billing, events, switches, clock
        self._sessions: Bounded[dict[str, Any]] = Bounded()

    @routes("POST", "/v1/checkout/sessions")
    def create_session(self, request: Request) -> Answer:
        """An open checkout page."""
        values = parameters(request, _SESSION)
        mode = values.get("mode")
        if not mode:
            raise missing("mode")
        if mode not in ("payment", "setup", "subscription"):
            raise Refusal(error(400, "Invalid mode: must be one of payment, setup, or subscription", param="mode"))
        if not values.get("success_url") and values.get("ui_mode", "hosted") == "hosted":
            raise missing("success_url")
        if mode != "setup" and not values.get("line_items"):
            raise missing("line_items")
        if mode != "setup" and self._switches.on("stripe-price-archived"):
            message = "The price specified is inactive. This field only accepts active prices."
            raise Refusal(error(400, message, param="line_items[0][price]"))
        customer = self._billing.customer_of(values) if values.get("customer") else None
        now, live = int(self._clock.time()), is_live(request)
        name = new_id("cs_live" if live else "cs_test")
        session = {
            "id": name,
            "object": "checkout.session",
            "client_reference_id": values.get("client_reference_id"),
            "created": now,
            "customer": customer,
            "customer_email": values.get("customer_email"),
            "expires_at": integer(values, "expires_at", now + _DAY),
            "livemode": live,
            "metadata": metadata(values),
            "mode": mode,
            "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
            "status": "open",
            "success_url": values.get("success_url"),
            "cancel_url": values.get("cancel_url"),
            "url": f"https://checkout.stripe.com/c/pay/{name}",
        }
        self._sessions[name] = session
        return json_answer(200, session)

    @routes("GET", "/v1/checkout/sessions")
    def list_sessions(self, request: Request) -> Answer:
        """Sessions, newest first (https://docs.stripe.com/api/checkout/sessions/list)."""
        values = parameters(request, LIST_PARAMETERS | {"customer", "status"})
        wanted = {name: values[name] for name in ("customer", "status") if name in values}
        sessions = self._sessions.newest_first()
        matching = [session for session in sessions if all(session[name] == value for name, value in wanted.items())]
        return page(request.path, matching, values)

    @routes("GET", "/v1/checkout/sessions/{name}")
    def get_session(self, _request: Request, name: str) -> Answer:
        """A session that was created here."""
        return json_answer(200, self._session(name))

    @routes("POST", "/v1/checkout/sessions/{name}/expire")
    def expire_session(self, request: Request, name: str) -> Answer:
        """End an open session."""
        parameters(request, ())
        session = self._session(name)
        if session["status"] != "open":
            message = 'Only Checkout Sessions with a status in ["open"] can be expired.'
            raise Refusal(error(400, f"{message} This Checkout Session has a status of {session['status']}."))
        session |= {"status": "expired", "url": None}
        self._events.emit("checkout.session.expired", session, request)
        return json_answer(200, session)

    def _session(self, name: str) -> dict[str, Any]:
        session = self._sessions.get(name)
        if session is None:
            raise no_such("checkout.session", name)
        return session
