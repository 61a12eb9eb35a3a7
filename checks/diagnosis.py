"""What the runbook looks at when a check is red: each step of its diagnoses that a machine can take.

Every function only reads. What it `suspect`s is a cause of causes.py, on what it has seen itself; the rest is shown to
whoever is woken. Columns are chosen so that no customer's data is among them; texts are masked besides.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from dialtone import pick
from dialtone.runbook import look
from dialtone.template import fill
from dialtone.verdict import Judged, Unarmed

_DATABASE = ("database", "site-down", "high-error-rate", "response-time")
_PATIENCE = 1.0  # seconds that a session may wait for a lock


# --- the database: the runbook's own queries -------------------------------------------------------------------------


@look(*_DATABASE, needs=["database"])
def waiting_locks(db, suspect):
    """Who waits for a lock, and for whom."""
    rows = db.rows(
        "SELECT w.pid AS waits, w.usename::text AS role, b.pid AS blocked_by, b.usename::text AS their_role,"
        " b.application_name AS their_application, b.state AS their_state, w.wait_event AS lock,"
        " round(extract(epoch FROM clock_timestamp() - l.waitstart), 1)::float8 AS seconds,"
        " w.query AS statement, b.query AS their_statement"
        " FROM pg_locks l JOIN pg_stat_activity w ON w.pid = l.pid"
        " LEFT JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS by(pid) ON true"
        " LEFT JOIN pg_stat_activity b ON b.pid = by.pid"
        " WHERE NOT l.granted ORDER BY l.waitstart LIMIT 20"
    )
    longest = next((r for r in rows if (r["seconds"] or 0) > _PATIENCE), None)
    if longest:
        idle = str(longest["their_state"] or "").startswith("idle in transaction")
        said = f"session {longest['waits']} waits {longest['seconds']:g} s for session {longest['blocked_by']}"
        suspect("database.transaction-left-open" if idle else "database.lock-held", said)
    return rows


@look(*_DATABASE, needs=["database"])
def sessions_by_state(db):
    """Sessions by application, role and state, against the limit of connections."""
    return db.rows(
        "SELECT coalesce(nullif(application_name, ''), 'unnamed') AS application, usename::text AS role,"
        " coalesce(state, 'background') AS state, count(*)::int AS sessions,"
        " current_setting('max_connections')::int AS limit,"
        " round(extract(epoch FROM clock_timestamp() - min(state_change)), 1)::float8 AS longest_seconds"
        " FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        " GROUP BY 1, 2, 3 ORDER BY sessions DESC LIMIT 20"
    )


@look(*_DATABASE, needs=["database"])
def running_statements(db, target, suspect):
    """What runs or sits in a transaction, oldest first."""
    rows = db.rows(
        "SELECT pid, usename::text AS role, application_name AS application, state, wait_event_type AS waits_for,"
        " round(extract(epoch FROM clock_timestamp() - query_start), 1)::float8 AS seconds, query AS statement"
        " FROM pg_stat_activity WHERE state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        " ORDER BY query_start LIMIT 20"
    )
    levels = target.profile.objectives.get("query_age")
    for row in rows:
        runs = row["state"] == "active" and row["waits_for"] != "Lock"
        if levels and runs and (row["seconds"] or 0) > levels.alert:
            suspect("database.query-runs-long", f"session {row['pid']} has been running {row['seconds']:g} s")
    return rows


@look(*_DATABASE, needs=["database"])
def slow_statements(db):
    """The twenty slowest statements (pg_stat_statements), by their mean."""
    return db.rows(
        "SELECT round(mean_exec_time::numeric, 1)::float8 AS mean_ms,"
        " round(max_exec_time::numeric, 1)::float8 AS max_ms,"
        " calls::int AS calls,"
        " round((100 * total_exec_time / nullif(sum(total_exec_time) OVER (), 0))::numeric, 1)::float8 AS share,"
        " query AS statement FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE d.datname = current_database() ORDER BY mean_exec_time DESC LIMIT 20"
    )


@look("database", "site-down", "calls", "payments", "calendar", needs=["database", "tables"], facts=True)
def schema(db, target):
    """How many columns each table has that the profile names."""
    return db.rows(
        "SELECT c.relname::text AS name, count(*)::int AS columns,"
        " left(md5(string_agg(a.attname, ',' ORDER BY a.attname)), 6)"
        " AS fingerprint FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " AND NOT a.attisdropped WHERE pg_table_is_visible(c.oid) AND c.relname = ANY (%(names)s)"
        " GROUP BY 1 ORDER BY 1",
        {"names": list(target.profile.tables)},
    )


# --- the application -------------------------------------------------------------------------------------------------


@look("*", needs=["routes.health"], facts=True)
def running_version(get, target):
    """Which build is running, and in which region the edge answers."""
    answer = get(target.route("health"))
    if answer.failure:
        return f"the health endpoint does not answer: {answer.failure.reason}"
    tree = answer.json() if "json" in (answer.header("content-type") or "") else {}
    version = str(pick(tree, "version") or "not told")
    edge = target.profile.edge
    region = (edge.region_of(answer.header(edge.header)) if edge else None) or "not told"
    return {"version": version if re.fullmatch(r"[\w.+-]{1,40}", version) else "not told", "region": region}


@look("*", needs=["tools.vercel", "values.hosting_project"])
def last_deployment(read, now):
    """The last deployments, their state and age."""
    found = pick(read("vercel", "deployments").json(), "deployments") or []
    return [
        {
            "state": d.get("readyState") or d.get("state"),
            "in_production": d.get("readySubstate") == "PROMOTED",
            "minutes_ago": round((now.timestamp() - float(d.get("created") or d.get("createdAt") or 0) / 1000) / 60),
            "commit": str((d.get("meta") or {}).get("githubCommitSha", ""))[:10],
        }
        for d in found[:5]
    ]


@look("*", needs=["tools.logs"])
def platform_logs(read, red):
    """What the platform logged of the requests that failed, by their trace id."""
    rows = []
    for entry in [e for e in red if e["trace"]][:3]:
        answer = read("logs", "search", trace=entry["trace"])
        rows += [{"check": entry["id"], "said": line} for line in answer.text().splitlines()[:5]]
    return rows


@look("site-down", "configuration", "payments", "calls", needs=["routes.environment"], facts=True)
def environment_variables(get, target, suspect):
    """Which variables the application sees; never what is in them."""
    answer = get(target.route("environment"))
    if answer.failure or "json" not in (answer.header("content-type") or ""):
        return f"the answer is of no use: {answer.failure.reason if answer.failure else answer.status}"
    flags = {}
    for group in (answer.json(), *(v for v in answer.json().values() if isinstance(v, dict))):
        flags.update({k: v for k, v in group.items() if str(k).isupper() and isinstance(v, bool)})
    missing = [name for name in target.profile.required_variables if flags.get(name) is False]
    if missing:
        suspect("configuration.variable-missing", f"not set: {', '.join(missing)}")
    return [{"name": name, "set": flags.get(name, "not told")} for name in target.profile.required_variables]


@look("site-down", "webhooks", "configuration")
def clocks(get, ask, target, suspect):
    """This prober's clock beside the target's and those of two providers."""

    def ahead(answer):
        told = answer.header("date")
        return round((parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()) if told else None

    off = {"target": ahead(get(target.route("health") if "health" in target.profile.routes else "/"))}
    for name in [n for n, p in target.profile.providers.items() if p.probe][:2]:
        with contextlib.suppress(Judged, Unarmed):
            off[name] = ahead(ask(name, fresh=True))
    known = {whose: seconds for whose, seconds in off.items() if seconds is not None}
    wrong = {whose for whose, seconds in known.items() if abs(seconds) > target.profile.clock_skew}
    if "target" in wrong:
        ours = len(wrong) > 1 and wrong == set(known)
        suspect("prober.clock-off" if ours else "application.clock-off", f"{known['target']:+,} s from this one")
    return [{"clock": whose, "ahead_seconds": seconds} for whose, seconds in known.items()]


# --- the providers ---------------------------------------------------------------------------------------------------


@look("*")
def providers_answer(ask, target, suspect):
    """How each provider answers this prober, and how long it takes."""
    rows = []
    for name, provider in target.profile.providers.items():
        if not provider.probe or target.lacks([f"providers.{name}"]):
            continue
        try:
            answer = ask(name)
        except Judged as judged:
            rows.append({"provider": name, "answer": judged.finding.reason, "ms": None})
            continue
        took = answer.phases.total
        rows.append(
            {
                "provider": name,
                "answer": answer.failure.reason if answer.failure else answer.status,
                "ms": None if took is None else round(took * 1000),
            }
        )
        if (answer.failure or answer.status >= 500) and f"{name}.down" in _DOWN:
            suspect(f"{name}.down", f"{name} answers {answer.failure or answer.status} to its cheapest read")
    return rows


_DOWN = {f"{name}.down" for name in ("stripe", "retell", "telnyx", "google", "upstash")}


@look("*")
def status_pages(status, target):
    """What the providers say of themselves."""
    return [{"provider": name, "says": status.of(name).words(name)} for name in status.named()]


@look("webhooks", "payments", "calls", needs=["database", "queries.webhook_log"])
def webhook_log(db, target):
    """The events of the last hour by provider: came in, not processed, how long the oldest waits."""
    return db.rows(target.query("webhook_log"))


@look("payments", "webhooks", needs=["providers.stripe"])
def stripe_deliveries(ask, target):
    """Our endpoints at Stripe, and the events that it could not deliver."""
    spec, rows = target.provider("stripe"), []
    if spec.endpoints:
        ours = pick(ask("stripe", spec.endpoints).json(), "data") or []
        rows += [{"what": "endpoint", "state": e.get("status"), "events": e.get("api_version")} for e in ours]
    if spec.deliveries:
        waiting = [e for e in pick(ask("stripe", spec.deliveries).json(), "data") or [] if e.get("pending_webhooks")]
        rows += [
            {"what": "undelivered", "state": kind, "events": n}
            for kind, n in Counter(e["type"] for e in waiting).items()
        ]
    return rows


@look("*", needs=["journal"])
def outgoing_calls(journal, began, suspect):
    """What the application asked of its providers during the run, by answer (targets with stand-ins only)."""
    recent = [r for r in journal() if r["at"] >= began.timestamp()]
    calls = [r for r in recent if (r.get("credential") or {}).get("owner") == "application"]
    counted = Counter((r["provider"], r["status"]) for r in calls if r["provider"] not in ("sentry", "slack", "mail"))
    for (provider, code), count in counted.items():
        if provider == "telnyx" and code in (401, 403):
            suspect("telnyx.key-refused", f"Telnyx answered {code} to the application {count} times")
    return [{"provider": p, "answer": code, "calls": n} for (p, code), n in sorted(counted.items())]


# --- errors ----------------------------------------------------------------------------------------------------------

# Ways in which HTTP clients refuse to send a header: undici and Node, httpx, urllib3.
_UNSENDABLE = re.compile(
    r"(?i)invalid character in header|ERR_INVALID_CHAR|illegal header|invalid header|LocalProtocol"
)
_CALLED = re.compile(r"(?i)\b(telnyx|stripe|retell)\b")


@look("*", needs=["providers.sentry", "values.sentry_issues", "values.sentry_latest"])
def sentry_issues(ask, target, since, began, suspect):
    """The issues that Sentry has seen since the last ok run, the most frequent first, with stack and release."""
    rows: list[dict[str, Any]] = []
    for issue in ask("sentry", target.value("sentry_issues")).json():
        seen = _time(issue["lastSeen"])
        if since and seen < since:
            continue
        kind = (issue.get("metadata") or {}).get("type") or "message"
        row = {"error": kind, "events": int(issue["count"]), "first_seen": _time(issue["firstSeen"]), "last_seen": seen}
        if len(rows) < 5:
            event = ask("sentry", fill(target.value("sentry_latest"), {"issue": issue["id"]})).json()
            chain = [v for e in event.get("entries") or [] if e.get("type") == "exception" for v in e["data"]["values"]]
            row |= {"release": _release(event), "stack": _stack(chain)}
            if seen >= began:
                _suspect_of(issue, chain, suspect)
        rows.append(row)
    return rows


def _release(event):
    return str((event.get("release") or {}).get("version") or "not told").rpartition("@")[2]


def _stack(chain):
    """The innermost frames of the outermost exception: names of the program's only."""
    frames = ((chain[-1].get("stacktrace") or {}).get("frames") or [])[-3:] if chain else []
    return " < ".join(f"{f.get('filename')}:{f.get('lineNo')} {f.get('function')}" for f in reversed(frames))


def _suspect_of(issue, chain, suspect):
    called = _CALLED.search(str(issue.get("title")))
    unsendable = any(_UNSENDABLE.search(f"{v.get('type')} {v.get('value')}") for v in chain)
    if called and unsendable:
        suspect(f"{called[1].lower()}.key-unusable", f"Sentry: {issue['count']} times the request could not be sent")


def _time(told):
    return datetime.fromisoformat(str(told).replace("Z", "+00:00"))
