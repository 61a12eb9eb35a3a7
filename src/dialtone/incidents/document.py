"""What is written down after an incident, as the runbook asks: what happened, when, what it cost, who was told, and the
fields that only a person can fill.
"""

from __future__ import annotations

from typing import Any

from dialtone.incidents.desk import Desk
from dialtone.incidents.lifecycle import Incident
from dialtone.incidents.message import cut, moment, subject
from dialtone.incidents.routing import duration


def facts(desk: Desk, incident: Incident) -> dict[str, Any]:
    """Everything that is known, as JSON types. Times are seconds since 1970, spans seconds."""
    steps = desk.records.steps(incident.id)
    rows = desk.outbox.rows(incident=incident.id)
    opened = rows[0].message if rows else None
    first_sent = min((r.sent for r in rows if r.sent), default=None)
    spans = {
        "to detect": _span(incident.first_bad, incident.opened),
        "to tell somebody": _span(incident.first_bad, first_sent),
        "to acknowledge": _span(incident.opened, incident.acknowledged),
        "to resolve": _span(incident.first_bad, incident.resolved),
    }
    return {
        "id": incident.id,
        "target": incident.target,
        "cause": incident.cause,
        "severity": str(incident.severity),
        "state": str(incident.state),
        "first_bad": incident.first_bad,
        "opened": incident.opened,
        "acknowledged": incident.acknowledged,
        "by": incident.by,
        "resolved": incident.resolved,
        "reopened": incident.reopened,
        "spans": spans,
        "happened": opened.broken if opened else subject(incident.cause),
        "likely": opened.likely if opened else "",
        "measured": opened.measured if opened else "",
        "checks": [
            {"id": s.check, "severity": str(s.severity), "reason": s.reason, "verdict": str(s.verdict)}
            for s in sorted(incident.members.values(), key=lambda s: (s.check != incident.cause, s.severity, s.check))
        ],
        "steps": [{"seq": seq, "told": told, "at": at, "note": note} for seq, told, at, note in steps],
        "told": [
            {"channel": r.channel, "told": r.message.told, "names": list(r.message.names), "sent": r.sent,
             "state": r.state, "error": r.error}
            for r in rows
        ],
        "related": [
            {"id": other.id, "first_bad": other.first_bad, "lasted": _span(other.first_bad, other.resolved)}
            for other in desk.records.related(incident)
        ],
    }  # fmt: skip


def _span(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round(end - begin, 3)


def markdown(told: dict[str, Any]) -> str:
    """The document."""
    lines = [
        f"# Incident {told['id']}: {subject(told['cause'])} on {told['target']}",
        "",
        f"{told['severity']}, {told['state']}.",
        "",
        "## What happened?",
        "",
        told["happened"] + ".",
        "",
        *[f"- `{c['id']}` ({c['severity']}): {cut(c['reason'], 300)}" for c in told["checks"]],
        "",
        "| | |",
        "|---|---|",
        *[f"| {name} | {'not yet' if span is None else duration(span)} |" for name, span in told["spans"].items()],
    ]
    if told["measured"]:
        lines += ["", f"Measured: {told['measured']}."]
    lines += ["", "## Time line", ""]
    events = [(told["first_bad"], "first bad sample"), *((s["at"], _step(s)) for s in told["steps"])]
    lines += [f"- {moment(at)}: {what}" for at, what in sorted(events, key=lambda e: e[0])]
    lines += ["", "## Who was told, when", ""]
    lines += [_told(row) for row in told["told"]] or ["Nobody."]
    lines += ["", "## Impact", "", _impact(told), "", "Customers who were hit: _to be filled in_", ""]
    lines += ["## Root cause", "", f"Likeliest, by the diagnosis: {told['likely'] or 'none was made'}", ""]
    lines += ["Found: _to be filled in_", "", "## Resolution steps", "", "_to be filled in_", ""]
    lines += ["## Prevention and follow-ups", "", "- [ ] _to be filled in_", "- [ ] the runbook says what helped", ""]
    lines += ["## Related", ""]
    lines += [_related(other) for other in told["related"]] or ["First of this cause."]
    return "\n".join(lines) + "\n"


def _step(step: dict[str, Any]) -> str:
    return f"{step['told']} ({step['note']})" if step["note"] else str(step["told"])


def _told(row: dict[str, Any]) -> str:
    when = moment(row["sent"]) if row["sent"] else f"{row['state']}: {row['error'] or 'not yet sent'}"
    names = f" to {', '.join(row['names'])}" if row["names"] else ""
    return f"- {when}: {row['told']} on {row['channel']}{names}"


def _impact(told: dict[str, Any]) -> str:
    lasted = told["spans"]["to resolve"]
    if lasted is None:
        return "It is not over."
    month = 30 * 86_400
    share = lasted / (month * 0.001)
    return (
        f"{duration(lasted)} from the first bad sample to the end: {lasted / month:.3%} of 30 days,"
        f" {share:.0%} of the time that an uptime of 99.9 % leaves for all trouble of a month."
    )


def _related(other: dict[str, Any]) -> str:
    lasted = duration(other["lasted"]) if other["lasted"] is not None else "not over"
    return f"- {other['id']}: {moment(other['first_bad'])}, {lasted}"
