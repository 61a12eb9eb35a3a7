"""The status page for customers and the badge: made of what the list in `report.public` allows, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from dialtone.history.days import Day
from dialtone.incidents.lifecycle import Incident
from dialtone.report.pages.daily import RETIRED, SPAN, Check, Daily
from dialtone.report.pages.paint import moment, page, seconds, word
from dialtone.report.pages.strip import STYLE, said, strip, tone
from dialtone.report.public import FORM, members, says

_SAID = {
    "up": "Everything works",
    "degraded": "Some things do not work as they should",
    "down": "There is an outage",
    "unknown": "We do not know at the moment",
}
_TONE = {"up": "good", "degraded": "warn", "down": "bad", "unknown": "none"}
_DAYS = {"x": "down", "d": "degraded", "o": "up", "u": "unknown", "": "unknown"}
_STYLE = (
    STYLE
    + """
body{max-width:46rem}.big{font-size:1.25rem;font-weight:600;padding:.8rem 1rem;border-radius:.5rem;margin:1rem 0}
.comp{border:1px solid var(--line);border-radius:.5rem;padding:.7rem 1rem;margin:.6rem 0}.comp h2{margin:0;flex:1}
.row{display:flex;gap:1rem;align-items:baseline}.comp .strip{height:1.8rem;margin:.4rem 0 .1rem}
.ends{display:flex;justify-content:space-between}
"""
)


def status(told: Daily, components: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What customers are told, as data: `report.public.STATUS`."""
    checks = {c.id: c for c in told.checks if c.state != RETIRED}
    parts = members(components, list(checks), told.target)
    shown = [
        {"name": name, "state": says(checks[c].state for c in mine), "days": _days([checks[c] for c in mine])}
        for name, mine in parts.items()
    ]
    return {
        "form": FORM,
        "at": datetime.fromtimestamp(told.now, UTC).isoformat(timespec="seconds"),
        "state": _overall([str(part["state"]) for part in shown]),
        "since": (datetime.fromtimestamp(told.now, UTC) - timedelta(days=SPAN - 1)).date().isoformat(),
        "components": shown,
        "incidents": [i for i in (_incident(one, parts) for one in told.incidents) if i["components"]],
    }


def _overall(states: Sequence[str]) -> str:
    order = ("down", "unknown", "degraded", "up")
    return min(states, key=order.index, default="unknown")


def _days(checks: Sequence[Check]) -> list[str]:
    """What a day was, as `report.public.says` has it of now: something bad is an outage if nothing else was good."""
    found = []
    for n in range(SPAN):
        seen = {tone(c.days[n]) for c in checks if len(c.days) == SPAN} - {"", "u"}
        bad = "x" if seen == {"x"} else "d" if "x" in seen else ""
        found.append(_DAYS[bad or ("d" if "d" in seen else "o" if seen else "")])
    return found


def _incident(one: Incident, parts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    hit = {*one.members, one.cause}
    return {
        "began": datetime.fromtimestamp(one.first_bad, UTC).isoformat(timespec="seconds"),
        "ended": None
        if one.resolved is None
        else datetime.fromtimestamp(one.resolved, UTC).isoformat(timespec="seconds"),
        "components": [name for name, mine in parts.items() if hit & set(mine)] if not one.about_unknown else [],
    }


def status_page(given: Mapping[str, Any], title: str = "Status") -> str:
    """The page, from the data of `status` alone."""
    return page(f"{title}: {_SAID[given['state']]}", _body(given, title), _STYLE)


def _body(given: Mapping[str, Any], title: str) -> Iterator[str]:
    yield f'<header><p class="dim">{escape(title)}</p>'
    yield f'<h1 class="big {_TONE[given["state"]]}">{_SAID[given["state"]]}</h1>'
    yield f'<p class="dim">As of {moment(_at(given["at"]))}</p></header><main>'
    for part in given["components"]:
        row = [_DAY[state] for state in part["days"]]
        yield (
            f'<section class="comp"><div class="row"><h2>{escape(part["name"])}</h2>'
            f"{word(part['state'], _TONE[part['state']])}</div>{strip(row)}"
            f'<div class="ends dim"><small>{escape(given["since"])}</small><small>today</small></div>'
            f'<p class="dim">{said(row)}</p></section>'
        )
    yield "<h2>Incidents</h2>"
    if not given["incidents"]:
        yield "<p>None in this time.</p>"
    else:
        yield "<ul>" + "".join(_told(one, given["at"]) for one in given["incidents"]) + "</ul>"
    yield "</main><footer>A day on which nobody looked is left empty: it is not counted as up.</footer>"


def _told(one: Mapping[str, Any], now: str) -> str:
    lasted = seconds(_at(one["ended"] or now) - _at(one["began"]))
    over = f"lasted {lasted}" if one["ended"] else f"{word('not over', 'bad')} for {lasted}"
    return f"<li>{moment(_at(one['began']))}: {escape(', '.join(one['components']))}, {over}"


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


_DAY = {
    "up": Day(good=1), "degraded": Day(degraded=1), "down": Day(bad=1), "unknown": None,
}  # fmt: skip
