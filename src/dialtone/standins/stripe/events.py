"""What happened in the account, and where Stripe tells of it: events and webhook endpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.standin import Routes
from dialtone.standins.state import Bounded, Clock
from dialtone.standins.stripe.wire import (
    LIST_PARAMETERS,
    error,
    is_live,
    metadata,
    missing,
    new_id,
    no_such,
    page,
    parameters,
)
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

API_VERSION = "2026-06-24.dahlia"
_HOUR, _DAY = 3_600, 86_400
_MAX_ENDPOINTS = 16
"""https://docs.stripe.com/webhooks: so many endpoints in each mode."""
_ENDPOINT = frozenset("api_version connect description enabled_events metadata url disabled".split())
_INVOICE = {
    "object": "invoice",
    "customer": "cus_sandbox_waiting",
    "amount_due": 4900,
    "amount_paid": 4900,
    "currency": "usd",
    "metadata": {},
    "status": "paid",
}


class Events:
    """The log of the last 30 days, and the endpoint of the sandbox beside those that were made here."""

    routes = Routes()

    def __init__(self, webhook_url: str, switches: Switches, clock: Clock) -> None:
        self._webhook_url, self._switches, self._clock = webhook_url, switches, clock
        self._started = int(clock.time())
        self._log: Bounded[dict[str, Any]] = Bounded()
        self._endpoints: Bounded[dict[str, Any]] = Bounded()
        self.before: Callable[[], list[dict[str, Any]]] = list
        """Invoices that were paid before the start: each has its event."""

    def emit(self, kind: str, told: dict[str, Any], request: Request) -> None:
        """Something happened to an object: kept as it is now."""
        event = self._event(new_id("evt"), 0, kind, copy.deepcopy(told), pending=0, live=is_live(request))
        event["request"] = {"id": None, "idempotency_key": request.headers.get("idempotency-key")}
        self._log[event["id"]] = event

    @routes("GET", "/v1/events")
    def list_events(self, request: Request) -> Answer:
        """Events, newest first; `delivery_success=false` are those still pending somewhere."""
        values = parameters(request, LIST_PARAMETERS | {"delivery_success", "type", "types"})
        events = self._all()
        if (wanted := values.get("delivery_success")) is not None:
            if wanted not in ("true", "false"):
                raise Refusal(error(400, f"Invalid boolean: {wanted}", param="delivery_success"))
            events = [event for event in events if (event["pending_webhooks"] == 0) == (wanted == "true")]
        types = values.get("types") or ([values["type"]] if "type" in values else None)
        if types:
            events = [event for event in events if _is_of(event["type"], types)]
        return page(request.path, events, values)

    @routes("GET", "/v1/events/{name}")
    def get_event(self, _request: Request, name: str) -> Answer:
        """One event."""
        found = next((event for event in self._all() if event["id"] == name), None)
        if found is None:
            raise no_such("event", name)
        return json_answer(200, found)

    @routes("GET", "/v1/webhook_endpoints")
    def list_endpoints(self, request: Request) -> Answer:
        """All endpoints, newest first."""
        shown = [_without_secret(one) for one in self._endpoints.newest_first()]
        return page(request.path, [*shown, self._own()], parameters(request, LIST_PARAMETERS))

    @routes("POST", "/v1/webhook_endpoints")
    def create_endpoint(self, request: Request) -> Answer:
        """A new endpoint; its secret is shown this once."""
        values = parameters(request, _ENDPOINT)
        for name in ("url", "enabled_events"):
            if not values.get(name):
                raise missing(name)
        if not str(values["url"]).startswith(("https://", "http://localhost", "http://127.0.0.1")):
            raise Refusal(error(400, "Invalid URL: URL must be publicly accessible.", code="url_invalid", param="url"))
        if len(self._endpoints) + 1 >= _MAX_ENDPOINTS:
            raise Refusal(error(400, f"You have reached the maximum of {_MAX_ENDPOINTS} test webhook endpoints."))
        made = self._endpoint(new_id("we"), str(values["url"]), list(values["enabled_events"]), is_live(request))
        made |= {"description": values.get("description"), "metadata": metadata(values), "secret": new_id("whsec")}
        self._endpoints[made["id"]] = made
        return json_answer(200, made)

    @routes("GET", "/v1/webhook_endpoints/{name}")
    def get_endpoint(self, _request: Request, name: str) -> Answer:
        """One endpoint."""
        return json_answer(200, _without_secret(self._one(name)))

    @routes("POST", "/v1/webhook_endpoints/{name}")
    def update_endpoint(self, request: Request, name: str) -> Answer:
        """Change address, events, or whether it is on."""
        values, endpoint = parameters(request, _ENDPOINT), self._one(name)
        endpoint |= {key: values[key] for key in ("url", "enabled_events", "description") if key in values}
        if "disabled" in values:
            endpoint["status"] = "disabled" if values["disabled"] == "true" else "enabled"
        return json_answer(200, _without_secret(endpoint))

    @routes("DELETE", "/v1/webhook_endpoints/{name}")
    def delete_endpoint(self, _request: Request, name: str) -> Answer:
        """Remove an endpoint that was made here."""
        if self._endpoints.pop(name) is None:
            raise no_such("webhook endpoint", name)
        return json_answer(200, {"id": name, "object": "webhook_endpoint", "deleted": True})

    def _all(self) -> list[dict[str, Any]]:
        events = [*self._log.newest_first(), self._kept("evt_sandbox_delivered", 6 * _HOUR, pending=0)]
        if self._switches.on("stripe-undelivered"):
            ages = range(3 * _HOUR, 3 * _HOUR + 300, 60)
            events = [self._kept(f"evt_sandbox_undelivered_{age}", age, pending=1) for age in ages] + events
        for invoice in self.before():
            age = int(self._clock.time()) - invoice["created"]
            name = f"evt_{invoice['id']}"
            events.append(self._event(name, age, "invoice.paid", invoice, pending=0, live=False))
        return sorted(events, key=lambda event: -event["created"])

    def _kept(self, name: str, age: int, *, pending: int) -> dict[str, Any]:
        told = _INVOICE | {"id": f"in_{name.removeprefix('evt_')}"}
        return self._event(name, age, "invoice.paid", told, pending=pending, live=False)

    def _event(
        self, name: str, age: int, kind: str, told: dict[str, Any], *, pending: int, live: bool
    ) -> dict[str, Any]:
        return {
            "id": name,
            "object": "event",
            "api_version": API_VERSION,
            "created": int(self._clock.time()) - age,
            "data": {"object": told},
            "livemode": live,
            "pending_webhooks": pending,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }

    def _own(self) -> dict[str, Any]:
        made = self._endpoint("we_sandbox", self._webhook_url, ["*"], live=False)
        return made | {"status": "disabled" if self._switches.on("stripe-endpoint-disabled") else "enabled"}

    def _endpoint(self, name: str, url: str, events: list[str], live: bool) -> dict[str, Any]:
        return {
            "id": name,
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "created": self._started - 30 * _DAY if name == "we_sandbox" else int(self._clock.time()),
            "description": None,
            "enabled_events": events,
            "livemode": live,
            "metadata": {},
            "status": "enabled",
            "url": url,
        }

    def _one(self, name: str) -> dict[str, Any]:
        found = self._own() if name == "we_sandbox" else self._endpoints.get(name)
        if found is None:
            raise no_such("webhook endpoint", name)
        return found


def _is_of(kind: str, types: list[str]) -> bool:
    return any(kind == one or (one.endswith(".*") and kind.startswith(one[:-1])) for one in types)


def _without_secret(endpoint: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in endpoint.items() if name != "secret"}
