"""The forms in which status pages are written, for machines; each reader takes its own and leaves the others alone.

Some hosts answer 200 and a web page for any path, and every form has words of its own. So whatever is not understood is
unknown, with the reason, and nothing of a page is quoted but the time at which an incident began.

Sources: Statuspage https://confluence.status.atlassian.com/api; the others as programs in use read them: Instatus
`/summary.json`, incident.io's proxy and widget, status.stripe.com/current, Google's two incidents.json, and Slack's
/api/v2.0.0/current.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from dialtone.http import Answer, BadBody


class Level(IntEnum):
    """How bad a page says it is."""

    OK = 0
    MAINTENANCE = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Status:
    """What a page says: a level and since when, or, with `level` None, the `reason` why it says nothing."""

    level: Level | None
    since: datetime | None = None
    reason: str = ""

    @property
    def incident(self) -> bool:
        """Whether the page tells of an incident."""
        return self.level in (Level.MINOR, Level.MAJOR)

    def words(self, provider: str, now: datetime | None = None) -> str:
        """`Stripe reports an incident since 09:12 UTC`; with its date when that is not today."""
        name = provider.replace("_", " ")
        name = name[:1].upper() + name[1:]
        if self.level is None:
            return f"{name}'s status page tells nothing: {self.reason}"
        if self.level is Level.OK:
            return f"{name} reports no incident"
        what = "maintenance" if self.level is Level.MAINTENANCE else "an incident"
        if self.since is None:
            return f"{name} reports {what}"
        since = self.since.astimezone(UTC)
        form = "%H:%M UTC" if since.date() == (now or datetime.now(UTC)).astimezone(UTC).date() else "%d %b %H:%M UTC"
        return f"{name} reports {what} since {since.strftime(form)}"


def read(answer: Answer, components: Sequence[str] = (), now: datetime | None = None) -> Status:
    """What an answer says, for the named components or products of the page if there are any, else for all of it."""
    if answer.failure:
        return Status(None, reason=answer.failure.reason)
    if answer.redirected_off_host:
        return Status(None, reason="it leads to another host")
    if answer.status != 200:
        return Status(None, reason=f"it answered {answer.status}")
    if answer.is_html:
        return Status(None, reason="it is a web page, not JSON")
    try:
        tree = answer.json()
    except BadBody as wrong:
        return Status(None, reason=f"it is {wrong}")
    wanted = frozenset(name.casefold() for name in components)
    try:
        for form in _FORMS:
            status = form(tree, wanted, now or datetime.now(UTC))
            if status is not None:
                return status
    except _Strange as strange:
        return Status(None, reason=str(strange))
    return Status(None, reason="its JSON is of no known form")


class _Strange(Exception):
    """A page of a known form that says something else than the form allows."""


_WORDS: Mapping[str, Level] = {
    # Statuspage: indicators and impacts, then states of components (incident.io: full_outage)
    **dict.fromkeys(("none", "operational"), Level.OK),
    **dict.fromkeys(("maintenance", "under_maintenance"), Level.MAINTENANCE),
    **dict.fromkeys(("minor", "degraded_performance"), Level.MINOR),
    **dict.fromkeys(("major", "critical", "partial_outage", "major_outage", "full_outage"), Level.MAJOR),
    # Instatus
    "up": Level.OK,
    "undermaintenance": Level.MAINTENANCE,
    **dict.fromkeys(("hasissues", "degradedperformance", "minoroutage"), Level.MINOR),
    **dict.fromkeys(("partialoutage", "majoroutage"), Level.MAJOR),
    # Stripe
    "degraded": Level.MINOR,
    "down": Level.MAJOR,
    # Google
    **dict.fromkeys(("available", "service_information"), Level.OK),
    "service_disruption": Level.MINOR,
    "service_outage": Level.MAJOR,
    # Slack
    "notice": Level.OK,
    "incident": Level.MINOR,
    "outage": Level.MAJOR,
}
_OVER = {"resolved", "postmortem", "completed", "scheduled", "notstartedyet", "maintenance_scheduled", "available"}


def _level(word: Any, where: str) -> Level:
    found = _WORDS.get(str(word).casefold()) if isinstance(word, str) else None
    if found is None:
        raise _Strange(f"{where} is a word that nobody knows")
    return found


def _list(tree: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = tree.get(key) or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise _Strange(f"{key} is not a list of what it should be")
    return found


def _time(*values: Any) -> datetime | None:
    """The first value that is a time: ISO 8601, or seconds since 1970."""
    for value in values:
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC)
            if isinstance(value, str) and value:
                at = datetime.fromisoformat(value)
                return at if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            continue
    return None


def _is_open(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("status", "")).casefold() not in _OVER and not entry.get("resolved_at")


def _names(entries: Iterable[Any]) -> frozenset[str]:
    """Names of components or products, folded, from entries that are texts or tables with a name or title."""
    return frozenset(
        str(entry.get("name") or entry.get("title") or "").casefold()
        if isinstance(entry, dict)
        else str(entry).casefold()
        for entry in entries
    )


def _of_components(entries: Sequence[Mapping[str, Any]], wanted: frozenset[str], key: str) -> Level:
    """The worst state of the wanted components. Raises _Strange when the page has none of such a name."""
    chosen = [entry for entry in entries if str(entry.get("name", "")).casefold() in wanted]
    if not chosen:
        raise _Strange("it has no component of the names in status_components")
    return max(_level(entry.get(key), f"{key} of a component") for entry in chosen)


def _summed(levels: Iterable[tuple[Level, datetime | None]], least: Level = Level.OK) -> Status:
    """One status from several: the worst level, since the earliest time of what is not ok."""
    told = [(level, since) for level, since in levels if level is not Level.OK]
    worst = max([least, *(level for level, _ in told)])
    times = [since for level, since in told if since is not None and level >= min(worst, Level.MINOR)]
    return Status(worst, min(times, default=None))


def _statuspage(tree: Any, wanted: frozenset[str], _now: datetime) -> Status | None:
    """Atlassian's Statuspage, any of its files, and incident.io's page in that form."""
    if not isinstance(tree, dict) or not isinstance(tree.get("page"), dict) or not tree["page"].get("name"):
        return None
    if not tree.keys() & {"status", "components", "incidents", "scheduled_maintenances"} or "activeIncidents" in tree:
        return None
    told = []
    for entry in _list(tree, "incidents"):
        hit = not wanted or wanted & _names(_list(entry, "components"))
        if _is_open(entry) and hit:
            told.append(
                (_level(entry.get("impact"), "impact"), _time(entry.get("started_at"), entry.get("created_at")))
            )
    for entry in _list(tree, "scheduled_maintenances"):
        hit = not wanted or wanted & _names(_list(entry, "components"))
        if _is_open(entry) and hit:
            told.append((Level.MAINTENANCE, _time(entry.get("scheduled_for"), entry.get("started_at"))))
    overall = Level.OK
    if wanted and "components" in tree:
        overall = _of_components(_list(tree, "components"), wanted, "status")
    elif isinstance(tree.get("status"), dict):
        overall = _level(tree["status"].get("indicator"), "status.indicator")
    elif "components" in tree and "incidents" not in tree:
        states = [_level(c.get("status"), "status of a component") for c in _list(tree, "components")]
        overall = max(states, default=Level.OK)
    return _summed(told, overall)


def _instatus(tree: Any, wanted: frozenset[str], _now: datetime) -> Status | None:
    """Instatus: `/summary.json`, and `/v3/components.json`. Its incidents are not tied to components."""
    if not isinstance(tree, dict):
        return None
    page, parts = tree.get("page"), tree.get("components")
    if (
        wanted
        and isinstance(parts, list)
        and all(isinstance(p, dict) and str(p.get("status")).isupper() for p in parts)
    ):
        return Status(_of_components(parts, wanted, "status"))
    if not isinstance(page, dict) or not isinstance(page.get("status"), str):
        return None
    told = [
        (_level(entry.get("impact"), "impact"), _time(entry.get("started")))
        for entry in _list(tree, "activeIncidents")
        if _is_open(entry)
    ]
    told += [(Level.MAINTENANCE, _time(e.get("start"))) for e in _list(tree, "activeMaintenances") if _is_open(e)]
    return _summed(told, _level(page["status"], "page.status"))


def _incident_io(tree: Any, wanted: frozenset[str], _now: datetime) -> Status | None:
    """incident.io: its proxy (`summary`) and its widget."""
    inner = tree.get("summary", tree) if isinstance(tree, dict) else None
    if not isinstance(inner, dict) or "ongoing_incidents" not in inner:
        return None
    named = {str(c.get("id")): str(c.get("name", "")).casefold() for c in _list(inner, "components")}

    def states(entry: Mapping[str, Any]) -> list[Level]:
        parts = [*_list(entry, "component_impacts"), *_list(entry, "affected_components")]
        hit = [
            p
            for p in parts
            if not wanted or str(p.get("name") or named.get(str(p.get("component_id")))).casefold() in wanted
        ]
        return [_level(p.get("status") or p.get("current_status"), "status of a component") for p in hit]

    told = []
    for entry in _list(inner, "ongoing_incidents"):
        levels = states(entry)
        if not levels and not wanted:
            levels = [
                _level(entry["current_worst_impact"], "impact") if "current_worst_impact" in entry else Level.MINOR
            ]
        since = _time(entry.get("published_at"), entry.get("created_at"))
        told += [(level, since) for level in levels if _is_open(entry)]
    if any(_is_open(entry) for entry in _list(inner, "in_progress_maintenances")) and not wanted:
        told.append((Level.MAINTENANCE, None))
    return _summed(told, max(states({"affected_components": inner.get("affected_components")}), default=Level.OK))


def _stripe(tree: Any, wanted: frozenset[str], _now: datetime) -> Status | None:
    """status.stripe.com/current and /current/full; it tells no times."""
    if not isinstance(tree, dict) or not tree.keys() & {"UptimeStatus", "largestatus"}:
        return None
    overall = _level(tree.get("UptimeStatus") or tree.get("largestatus"), "UptimeStatus")
    parts = _list(tree, "uptimeData")
    if not wanted or not parts:
        return Status(overall)
    chosen = [part for part in parts if str(part.get("title", "")).casefold() in wanted]
    if not chosen:
        raise _Strange("it has no component of the names in status_components")
    return Status(Level.MINOR if any(part.get("warning") is not None for part in chosen) else Level.OK)


def _google(tree: Any, wanted: frozenset[str], now: datetime) -> Status | None:
    """Google's incidents.json, of Cloud or of Workspace: every incident there was, those that go on without an end."""
    if not isinstance(tree, list):
        return None
    if not tree:
        raise _Strange("it is an empty list, which says nothing")
    if not all(isinstance(entry, dict) and "begin" in entry for entry in tree):
        return None
    told = []
    for entry in tree:
        began, ended = _time(entry["begin"]), _time(entry.get("end"))
        products = _names([entry.get("service_name") or "", *(entry.get("affected_products") or [])])
        if (began and began > now) or (ended and ended <= now) or (wanted and not wanted & products):
            continue
        latest = entry.get("most_recent_update")
        if isinstance(latest, dict) and not _is_open(latest):
            continue
        told.append((_level(entry.get("status_impact"), "status_impact"), began))
    return _summed(told)


def _slack(tree: Any, wanted: frozenset[str], _now: datetime) -> Status | None:
    """Slack's current status."""
    if not isinstance(tree, dict) or "active_incidents" not in tree:
        return None
    if tree.get("status") not in ("ok", "active"):
        raise _Strange("status is a word that nobody knows")
    return _summed(
        (_level(entry.get("type"), "type"), _time(entry.get("date_created")))
        for entry in _list(tree, "active_incidents")
        if _is_open(entry) and (not wanted or wanted & _names(entry.get("services") or []))
    )


_FORMS = (_instatus, _statuspage, _incident_io, _stripe, _google, _slack)
