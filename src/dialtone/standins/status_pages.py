"""Stand-in for the status pages of all providers, each in its own form: `/NAME/…`.

Statuspage (https://confluence.status.atlassian.com/api) for Retell, Telnyx and Upstash, Stripe's own form, and Google
Workspace's list of incidents, which holds those that are over as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request, json_answer

_PAGES = {
    **{"retell": "Retell AI", "telnyx": "Telnyx", "upstash": "Upstash"},
    **{"supabase": "Supabase", "vercel": "Vercel"},
}
_BEGAN = 47 * 60.0  # seconds before now


class StatusPages(StandIn):
    """What the providers say of themselves: nothing but good, unless a defect says otherwise."""

    name = "status_pages"
    routes = Routes()

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches, self._clock = switches, clock

    def answer(self, request: Request) -> Answer:
        """The page, or 404 for one that nobody has."""
        found = self.routes.find(request.method, request.path)
        if found is None:
            return json_answer(404, {"error": "Not found"})
        handler, names = found
        return handler(self, request, **names)

    @routes("GET", "/{provider}/api/v2/summary.json")
    def summary(self, _request: Request, provider: str) -> Answer:
        """Statuspage's summary: the page, its indicator, components, and incidents that are not resolved."""
        if provider not in _PAGES:
            return json_answer(404, {"error": "Not found"})
        down = provider == "telnyx" and self._switches.on("status-page-incident")
        component = {"id": "8kbf7d35c070", "name": "Calls", "status": "major_outage" if down else "operational"}
        began = self._time(_BEGAN)
        incident = {
            "id": "cp306tmzcl0y",
            "name": "Inbound calls fail",
            "status": "identified",
            "impact": "critical",
            "created_at": began,
            "started_at": began,
            "resolved_at": None,
            "components": [component],
            "incident_updates": [],
        }
        indicator = ("critical", "Major System Outage") if down else ("none", "All Systems Operational")
        page = {"id": provider, "name": _PAGES[provider], "url": f"https://status.{provider}.example"}
        tree = {
            "page": {**page, "time_zone": "Etc/UTC", "updated_at": self._time(0)},
            "status": dict(zip(("indicator", "description"), indicator, strict=True)),
            "components": [component],
            "incidents": [incident] if down else [],
            "scheduled_maintenances": [],
        }
        return json_answer(200, tree)

    @routes("GET", "/stripe/current")
    def stripe(self, _request: Request) -> Answer:
        """Stripe's form: a state, and no times."""
        return json_answer(200, {"UptimeStatus": "up", "message": "All services are online.", "uptimeData": []})

    @routes("GET", "/google/incidents.json")
    def google(self, _request: Request) -> Answer:
        """One incident that is over, and one of another product that is not."""
        return json_answer(
            200, [self._incident("Gmail", 3 * 3600.0, None), self._incident("Google Calendar", 9e6, 8e6)]
        )

    def _incident(self, product: str, began: float, ended: float | None) -> dict[str, Any]:
        update = {"when": self._time(ended or 60), "status": "AVAILABLE" if ended else "SERVICE_DISRUPTION"}
        times = {"begin": self._time(began), **({"end": self._time(ended)} if ended else {})}
        told = {"id": product[:6], "service_name": product, "status_impact": "SERVICE_DISRUPTION", "severity": "medium"}
        products = [{"title": product, "id": product.lower()}]
        return {**told, **times, "affected_products": products, "most_recent_update": update, "updates": [update]}

    def _time(self, ago: float) -> str:
        return datetime.fromtimestamp(self._clock.time() - ago, UTC).isoformat(timespec="milliseconds")
