"""Stand-in for the part of Supabase's management API that tells of a project's backups.

`GET /v1/projects/{ref}/database/backups` and its members: https://supabase.com/docs/reference/api/introduction
(V1BackupsResponse); daily backups are kept for seven days: https://supabase.com/docs/guides/platform/backups.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

from dialtone.standins.defects import Switches
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Request, json_answer

_HOUR, _DAY = 3_600, 86_400
_KEPT = 7


class Supabase(StandIn):
    """One project with a backup every day, the last one some hours ago."""

    name = "supabase"
    routes = Routes()

    def __init__(self, token: str, switches: Switches, clock: Clock) -> None:
        self._token, self._switches, self._clock = token.encode(), switches, clock

    def answer(self, request: Request) -> Answer:
        """401 without the token, as the API answers one that it does not know."""
        if self.caller(request) is STRANGER:
            return json_answer(401, {"message": "Unauthorized"})
        found = self.routes.find(request.method, request.path)
        if found is None:
            return json_answer(404, {"message": f"Cannot {request.method} {request.path}"})
        handler, names = found
        return handler(self, request, **names)

    def caller(self, request: Request) -> Caller:
        """Whoever knows the token is the prober: the application has no use for this API."""
        is_known = compare_digest((request.bearer or "").encode(), self._token)
        return Caller("unknown", "prober") if is_known else STRANGER

    @routes("GET", "/v1/projects/{ref}/health")
    def health(self, request: Request, ref: str) -> Answer:  # every project is the one of the sandbox
        """The services that are asked for, all of them healthy."""
        names = [name for name in request.query.get("services", "").split(",") if name]
        if not names:
            return json_answer(400, {"message": "services: Required"})
        return json_answer(200, [{"name": n, "healthy": True, "status": "ACTIVE_HEALTHY"} for n in names])

    @routes("GET", "/v1/projects/{ref}/database/backups")
    def backups(self, _request: Request, ref: str) -> Answer:
        """The backups of a week, newest first; while the defect is on, those of the last days failed."""
        newest = self._clock.time() - 5 * _HOUR
        failed = 4 if self._switches.on("backups-failing") else 0
        listed = [_backup(n, newest - n * _DAY, "FAILED" if n < failed else "COMPLETED") for n in range(_KEPT)]
        answer = {"region": "us-east-1", "walg_enabled": True, "pitr_enabled": False, "backups": listed}
        return json_answer(200, {**answer, "physical_backup_data": {}})


def _backup(number: int, at: float, status: str) -> dict[str, Any]:
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": 1000 - number, "is_physical_backup": True, "status": status, "inserted_at": when}
