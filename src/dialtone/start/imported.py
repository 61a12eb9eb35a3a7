"""Monitors from elsewhere as targets of a profile: one for each origin, and the checks that look at them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHECKS = '''"""What another monitor looked at, as checks: each page, each route, one response time, one certificate."""

from dialtone import check, each, expect, fail
from dialtone.probes import tls


@check(severity="P0", runbook="site-down", needs=["pages.{page}"], requests=6)
@each("pages", "page")
def test_page_is_served(page, target, http):
    """The page is served, where it has moved to as well, and is the right page."""
    wanted = target.page(page)
    expect(http.get(wanted.path, follow=5)).status(200).contains(wanted.contains)


@check(severity="P0", runbook="site-down", needs=["routes.{route}"], requests=6)
@each("routes", "route", but=["health"])
def test_route_answers(route, target, http):
    """The route answers 200, where it has moved to as well."""
    expect(http.get(target.route(route), follow=5)).status(200)


@check(severity="P0", runbook="site-down", needs=["routes.health"], requests=1)
def test_health_answers_ok(target, http):
    """The health endpoint answers 200 and says that all is well."""
    answer = expect(http.get(target.route("health"))).status(200)
    answer.json_field(target.field("health_status", "status"), target.value("health_ok"))


@check(severity="P1", runbook="response-time", objective="response_time_p95", needs=["values.timed"], samples=True)
def test_answers_come_in_time(target, sampler, objective):
    """95 % of answers arrive within the objective, connecting not counted."""
    path = target.value("timed")
    seen = sampler.latency(path, objective.objective, objective.q)
    objective.quantile(seen.values, what=f"p95 of {path}", errors=seen.errors)


@check(severity="P1", runbook="site-down", objective="certificate_days", requests=1)
def test_certificate_has_time_left(target, reach, objective):
    """The certificate does not run out before somebody can act."""
    seen = tls.inspect(target.profile.base_url)
    if seen.days_left is None:
        if not reach.online():
            raise reach.offline()
        fail(f"no certificate could be had: {seen.failure}")
    objective.value(seen.days_left, what="time that the certificate has left", expires=str(seen.not_after))
'''


UNVERIFIED = "its certificate is not verified there, and is here: name its authority in ca_file of the target"


class ImportRefused(Exception):
    """A file that is not of a form that is known here; the message says where and what was expected."""


@dataclass(slots=True)
class Monitor:
    """One thing that was watched: an address that answers 200, and what else is true of the answer.

    `within` is in milliseconds, `certificate` in days that have to be left.
    """

    name: str
    url: str
    contains: str | None = None
    well: tuple[str, str | bool | int | float] | None = None
    within: float | None = None
    certificate: float | None = None

    @property
    def path(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(slots=True)
class Imported:
    """What a file held: `monitors`, and `left`, in words, what a profile has no place for."""

    monitors: list[Monitor] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def address(where: str, url: Any) -> str | None:
    """Why an address cannot be taken over; None where it can."""
    if not isinstance(url, str) or not url:
        raise ImportRefused(f"{where}: url is missing, or no text")
    if "$" in url:
        return "its address is a variable: write it out"
    if not url.startswith(("http://", "https://")):
        return f"{url.partition(':')[0] if '://' in url else 'an address without a scheme'}: only HTTP is looked at"
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return "its address holds a credential: name one in [credentials] and headers instead"
    return None if parts.hostname else "its address has no host"


def slug(name: str, taken: Sequence[str] | dict[str, Any] = ()) -> str:
    """A name as a key of TOML, one that is not taken."""
    short = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"
    found, number = short, 2
    while found in taken:
        found, number = f"{short}_{number}", number + 1
    return found


def profile(found: Imported, source: str) -> str:
    """The profile: a target for each origin. What has no second place there is added to `left`."""
    lines = [f"# Taken over from {source}. Only reads; `dialtone doctor --target NAME` says what is armed."]
    targets: dict[str, list[Monitor]] = {}
    for monitor in found.monitors:
        targets.setdefault(monitor.origin, []).append(monitor)
    names: list[str] = []
    for origin, monitors in targets.items():
        names.append(slug(urlsplit(origin).netloc, names))
        lines += ["", *_target(names[-1], origin, monitors, found)]
    return "\n".join(lines) + "\n"


def _target(name: str, origin: str, monitors: Sequence[Monitor], found: Imported) -> list[str]:
    tables: dict[str, dict[str, Any]] = {key: {} for key in ("routes", "fields", "values")}
    pages: dict[str, dict[str, Any]] = {}
    objectives: dict[str, dict[str, Any]] = {}
    for monitor in monitors:
        if monitor.well and "health" not in tables["routes"]:
            tables["routes"]["health"] = monitor.path
            tables["fields"]["health_status"], tables["values"]["health_ok"] = monitor.well
        elif monitor.contains is None:
            tables["routes"][slug(monitor.name, {**tables["routes"], "health": ""})] = monitor.path
        if monitor.well and tables["routes"].get("health") != monitor.path:
            found.left.append(f"{monitor.name}: [BODY].{monitor.well[0]}: a target has one health endpoint")
        if monitor.contains is not None:
            pages[slug(monitor.name, pages)] = {"path": monitor.path, "contains": monitor.contains}
        if monitor.within is not None and "timed" not in tables["values"]:
            tables["values"]["timed"] = monitor.path
            told = {"alert": monitor.within, "critical": 4 * monitor.within, "unit": "ms", "quantile": 0.95}
            objectives["response_time_p95"] = told
        elif monitor.within is not None:
            words = f"one response time is watched on {name}, that of {tables['values']['timed']}"
            found.left.append(f"{monitor.name}: response time {monitor.within:g} ms: {words}")
        if monitor.certificate is not None:
            days = max(monitor.certificate, objectives.get("certificate_days", {}).get("alert", 0))
            objectives["certificate_days"] = {"alert": days, "unit": "days", "direction": "above"}
    witnesses = ["https://www.google.com", "https://api.github.com"]
    lines = _table(f"target.{name}", kind="production", base_url=origin, effects=["reads"], witnesses=witnesses)
    for key, table in tables.items():
        lines += ["", *_table(f"target.{name}.{key}", **table)] if table else []
    for key, some in (("pages", pages), ("objectives", objectives)):
        for inner, table in some.items():
            lines += ["", *_table(f"target.{name}.{key}.{inner}", **table)]
    return lines


def _table(head: str, **entries: Any) -> list[str]:
    return [f"[{head}]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items())]


def files(found: Imported, source: str) -> dict[Path, str]:
    """Path -> text."""
    return {Path("dialtone.toml"): profile(found, source), Path("checks/test_imported.py"): CHECKS}
