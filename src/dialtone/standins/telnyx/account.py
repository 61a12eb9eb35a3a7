"""What an account has: a balance, one number, one messaging profile, and the record of webhook deliveries."""

from __future__ import annotations

import uuid
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.listed import NOTHING, Listed
from dialtone.standins.standin import Routes
from dialtone.standins.state import Clock
from dialtone.standins.telnyx.wire import filters, iso, page
from dialtone.standins.wire import Answer, Request, json_answer

NUMBER = "+15550100100"
"""The account's own number; 555-01xx is set aside for fiction."""

PROFILE = "40017d5c-0000-4000-8000-000000000001"
"""The messaging profile that sends and receives."""

_NAMESPACE = uuid.UUID("40017d5c-0000-4000-8000-000000000002")


class Account:
    """Read-only; `webhook_urls` are those of messaging and of voice."""

    routes = Routes()

    def __init__(
        self, webhook_urls: tuple[str, str], switches: Switches, clock: Clock, listed: Listed = NOTHING
    ) -> None:
        self._listed = [name for name, _ in listed.entries(clock.time())]
        self._messaging_url, self._voice_url = webhook_urls
        self._switches, self._clock = switches, clock

    @routes("GET", "/v2/balance")
    def balance(self, _request: Request) -> Answer:
        """Amounts are text."""
        amounts = {"balance": "250.00", "credit_limit": "0.00", "available_credit": "250.00", "pending": "0.00"}
        return json_answer(200, {"data": {"record_type": "balance", "currency": "USD", **amounts}})

    @routes("GET", "/v2/webhook_deliveries")
    def webhook_deliveries(self, request: Request) -> Answer:
        """The latest deliveries, newest first."""
        failing = self._switches.on("telnyx-deliveries-failing")
        deliveries = [self._delivery(number, failed=failing and number % 5 != 0) for number in range(100)]
        wanted_ones = filters(request)
        status, kind = wanted_ones.get("status", {}), wanted_ones.get("event_type")
        if isinstance(status, dict) and (wanted := status.get("eq")):
            deliveries = [delivery for delivery in deliveries if delivery["status"] == wanted]
        if kind:
            deliveries = [delivery for delivery in deliveries if delivery["webhook"]["event_type"] == kind]
        return page(request, deliveries)

    @routes("GET", "/v2/phone_numbers")
    def phone_numbers(self, request: Request) -> Answer:
        """The one number of the account."""
        number = {
            "record_type": "phone_number",
            "id": "1293384261075731499",
            "phone_number": NUMBER,
            "status": "active",
            "connection_id": "1293384261075731500",
            "messaging_profile_id": PROFILE,
            "tags": [],
        }
        wanted = filters(request).get("phone_number", NUMBER)
        return page(request, [number] if str(wanted).lstrip("+ ") in NUMBER else [])

    @routes("GET", "/v2/messaging_profiles")
    def messaging_profiles(self, request: Request) -> Answer:
        """The one profile, with the address that inbound messages are delivered to."""
        profile = {
            "record_type": "messaging_profile",
            "id": PROFILE,
            "name": "sandbox",
            "enabled": True,
            "webhook_url": self._messaging_url,
            "webhook_failover_url": "",
            "webhook_api_version": "2",
            "whitelisted_destinations": ["US"],
        }
        return page(request, [profile])

    def _delivery(self, number: int, *, failed: bool) -> dict[str, Any]:
        at = self._clock.time() - 60 * (number + 1)
        voice = number % 2 == 0
        url, kind = (self._voice_url, "call.initiated") if voice else (self._messaging_url, "message.received")
        event_id = self._listed[number % len(self._listed)] if self._listed else None
        if event_id is None or (10 <= number < 16 and self._switches.on("telnyx-events-unstored")):
            event_id = str(uuid.uuid5(_NAMESPACE, f"event {number}"))
        event = {"record_type": "event", "id": event_id, "event_type": kind, "occurred_at": iso(at), "payload": {}}
        attempt: dict[str, Any] = {
            "status": "failed" if failed else "delivered",
            "started_at": iso(at),
            "finished_at": iso(at + 0.2),
            "http": {
                "request": {"url": url, "headers": [["content-type", "application/json"]]},
                "response": {"status": 500 if failed else 200, "headers": [], "body": ""},
            },
            "errors": [],
        }
        return {
            "record_type": "webhook_delivery",
            "id": str(uuid.uuid5(_NAMESPACE, f"delivery {number}")),
            "user_id": str(_NAMESPACE),
            "status": attempt["status"],
            "started_at": iso(at),
            "finished_at": iso(at + 0.2),
            "webhook": event,
            "attempts": [attempt],
        }
