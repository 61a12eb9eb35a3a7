"""The part of Sentry's web API that counts sessions by how they ended: the error rate of real traffic.

`GET /api/0/organizations/{org}/sessions/`: getsentry/sentry-api-schema (openapi-derefed.json) and
https://docs.sentry.io/api/releases/retrieve-release-health-session-statistics/. A server's SDK counts each request as a
session, all of them, while traces are sampled.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Request, json_answer

PATH = re.compile(r"/api/0/organizations/[\w-]+/sessions/")
_FIELD = "sum(session)"
_HOUR = 3_600
HEALTHY = {"healthy": 1_980, "errored": 12, "crashed": 8, "abnormal": 0}
CRASHING = {"healthy": 1_700, "errored": 20, "crashed": 280, "abnormal": 0}


def sessions(request: Request, clock: Clock, *, crashing: bool) -> Answer:
    """The sessions of the last hour by status, which is the one grouping that is known here."""
    query = request.query
    if query.get("field") != _FIELD:
        return json_answer(400, {"detail": f'Invalid field: "{query.get("field", "")}"'})
    if query.get("groupBy") != "session.status":
        return json_answer(400, {"detail": f'Invalid groupBy: "{query.get("groupBy", "")}"'})
    end = int(clock.time())
    start = end - end % _HOUR
    groups = [
        {"by": {"session.status": status}, "totals": {_FIELD: count}, "series": {_FIELD: [count]}}
        for status, count in (CRASHING if crashing else HEALTHY).items()
    ]
    answer = {"start": _moment(start), "end": _moment(end), "intervals": [_moment(start)], "groups": groups}
    return json_answer(200, {**answer, "query": query.get("query", "")})


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
