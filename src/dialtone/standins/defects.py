"""The ways in which the stand-ins can be made wrong on purpose, and the file that says which ones are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DEFECTS: dict[str, dict[str, Any]] = {
    "stripe-endpoint-disabled": {
        "what": "Stripe has disabled the webhook endpoint: GET /v1/webhook_endpoints says status disabled",
        "cause": "stripe.endpoint-disabled",
        "area": "webhooks",
        "how": "switch",
        "cascade": False,
    },
    "stripe-undelivered": {
        "what": "Stripe could not deliver events for three hours: pending_webhooks stays 1",
        "cause": "stripe.undelivered",
        "area": "webhooks",
        "how": "switch",
        "cascade": False,
    },
    "telnyx-deliveries-failing": {
        "what": "Telnyx' delivery record says that most webhooks failed",
        "cause": "telnyx.undelivered",
        "area": "webhooks",
        "how": "switch",
        "cascade": False,
    },
    "archive-copies-half": {
        "what": "the archive of the database's log says that it keeps each segment, and keeps a half",
        "cause": "",
        "area": "database",
        "how": "switch",
        "cascade": False,
        "kind": "resilience",
    },
    "stripe-key-revoked": {
        "what": "the application's Stripe key was revoked: refused with 401",
        "cause": "stripe.key-refused",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "stripe-balance-503": {
        "what": "Stripe answers GET /v1/balance with 503",
        "cause": "stripe.down",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "invoices-unrecorded": {
        "what": "Stripe took three payments whose webhooks were lost: no table knows of them",
        "cause": "ledger.payments-unrecorded",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "invoices-for-one-booking": {
        "what": "Stripe took two payments for one booking",
        "cause": "ledger.charged-twice",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "calls-unrecorded": {
        "what": "Retell held four calls of which no table knows",
        "cause": "ledger.calls-unrecorded",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "telnyx-events-unstored": {
        "what": "Telnyx delivered six events, was answered 200, and nothing of them was stored",
        "cause": "ledger.events-unstored",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "calendar-events-gone": {
        "what": "five events that the appointments name are not in the calendar",
        "cause": "ledger.calendar-gone",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "calendar-events-stay": {
        "what": "the prober may not delete an event of a synthetic booking: it stays in the calendar for good",
        "cause": "housekeeping.left-at-providers",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "status-page-incident": {
        "what": "Telnyx' status page tells of a major outage of its calls, begun 47 minutes ago",
        "cause": "telnyx.incident",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "stripe-price-archived": {
        "what": "the price that customers pay was archived at Stripe: no checkout page opens for it",
        "cause": "stripe.price-unusable",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "backups-failing": {
        "what": "the daily backup has been failing for four days",
        "cause": "data.backups-failing",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "domain-expiring": {
        "what": "nobody renewed the domain: its registration ends in nine days",
        "cause": "domain.expiring",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "preview-drift": {
        "what": "JWT_SECRET was set for production only: previews run without it",
        "cause": "configuration.preview-differs",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "visitors-crashing": {
        "what": "Sentry counts a crash in one of seven sessions of real visitors since the last release",
        "cause": "application.visitors-crash",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
    "sentry-drops-events": {
        "what": "Sentry's quota is used up: it answers 200 to events and keeps none of them",
        "cause": "sentry.events-dropped",
        "area": "providers",
        "how": "switch",
        "cascade": False,
    },
}
"""Every defect of the stand-ins by id."""


class Switches:
    """Which defects are active, according to a JSON list of ids in a file that is replaced atomically.

    The file is looked at on every question and read again when it was replaced; a missing file means none.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._active: frozenset[str] = frozenset()

    def on(self, defect: str) -> bool:
        """Whether the defect is active now. Raises KeyError for an id that is not in `DEFECTS`."""
        if defect not in DEFECTS:
            raise KeyError(defect)
        self._refresh()
        return defect in self._active

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            stat = self._file.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen != self._seen:
                self._active = frozenset(json.loads(self._file.read_text()))
                self._seen = seen
        except FileNotFoundError:
            self._active, self._seen = frozenset(), None
