"""The course of one experiment as a drawing: the fault's span, what customers saw, alerts, recovery.

Lanes of inline SVG beside their names. Places along the time are percentages, so that text keeps its size at any width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
.course{display:grid;grid-template-columns:minmax(4.6rem,max-content) 1fr;gap:2px .6rem;align-items:center;
font-size:.82rem;margin:.5rem 0}
.course svg{display:block;width:100%;overflow:visible;background:var(--card)}
.course text{fill:var(--fg);font-size:11px}.course .ax{background:none}.course .ax text{fill:var(--dim)}
.f{fill:var(--span)}.s{fill:none;stroke:var(--fg);stroke-width:2}.g{fill:var(--link)}.b{fill:var(--bad)}
.x{stroke:var(--bad);stroke-width:2}.t{fill:var(--fg)}.no{fill:var(--bad)}.lane{max-width:8.5rem;color:var(--dim)}
"""
_HIGH = {"series": 38, "marks": 20}
_LANES = (
    ("alerts", ("alert", "resolve")),
    ("recovery", ("recovery", "restore")),
)
_TICKS = 4
_MOST = 6
_ANCHORS = {0: "start", _TICKS: "end"}
_AFTER = re.compile(r", after ([\d.]+) s$")


def drawn(experiment: Mapping[str, Any]) -> str:
    """The drawing, or nothing for an experiment that died before its first step."""
    steps = experiment["steps"]
    begin, end = _span(experiment)
    if not steps:
        return ""

    def x(at: float) -> float:
        return round(100 * (at - begin) / (end - begin), 2)

    fault = _fault(experiment, end)
    band = "".join(f'<rect class="f" x="{x(a)}%" width="{round(x(b) - x(a), 2)}%" height="100%"/>' for a, b in fault)
    lanes = [("fault", _svg(_HIGH["marks"], band + _faulted(experiment, fault, x)))]
    lanes += [
        (f"{s['what']}: {s['bad']} of {s['samples']} bad", _svg(_HIGH["series"], band + "".join(_series(s, x))))
        for s in experiment["symptoms"]
        if s["points"]
    ]
    detected = experiment["seconds_to_detect"]
    if detected is not None and fault:
        told = f"first seen after {detected:.1f} s"
        lanes.append(("detected", _svg(_HIGH["marks"], band + _mark(x(fault[0][0] + detected), told, holds=True))))
    for name, kinds in _LANES:
        found = sorted((s for s in steps if s["step"] in kinds), key=lambda s: bool(s["holds"]))
        for step in found[:_MOST]:
            at = x(_arrived(step, fault))
            lanes.append((name, _svg(_HIGH["marks"], band + _mark(at, _short(step), holds=step["holds"]))))
        if len(found) > _MOST:
            lanes.append((name, _svg(_HIGH["marks"], f'<text y="14">and {len(found) - _MOST} more</text>')))
    drawn_already = {kind for _, several in _LANES for kind in several}
    for step in [s for s in steps if not s["holds"] and s["step"] not in drawn_already][:_MOST]:
        lanes.append((step["step"], _svg(_HIGH["marks"], band + _mark(x(_when(step)), "", holds=False))))
    places = 1 if end - begin >= _TICKS else 2
    axis = "".join(
        f'<text x="{100 * n / _TICKS}%" y="11" text-anchor="{_ANCHORS.get(n, "middle")}">'
        f"{begin + (end - begin) * n / _TICKS:.{places}f} s</text>"
        for n in range(_TICKS + 1)
    )
    rows = "".join(f'<span class="lane">{escape(name)}</span>{svg}' for name, svg in lanes)
    told = escape(f"Time line of {experiment['id']}; its steps are listed below")
    return (
        f'<div class="course" role="img" aria-label="{told}">{rows}<span></span>'
        f'<svg class="ax" height="14" aria-hidden="true">{axis}</svg></div>'
    )


def _span(experiment: Mapping[str, Any]) -> tuple[float, float]:
    """From the first sample or step to the last, seconds; never empty."""
    times = [_when(s) for s in experiment["steps"]]
    times += [float(p["at"]) for s in experiment["symptoms"] for p in s["points"]]
    times += [t for t in experiment.get("fault", ()) if t is not None]
    begin, end = min([0.0, *times]), max([0.1, *times])
    return begin, end + (end - begin) * 0.02


def _fault(experiment: Mapping[str, Any], end: float) -> list[tuple[float, float]]:
    """The spans of its faults by its steps, which may be many; else the one that it tells."""
    open_since: dict[tuple[str, str], float] = {}
    spans = []
    for step in experiment["steps"]:
        key = (str(step.get("host")), str(step.get("fault")))
        if step["step"] == "fault":
            open_since.setdefault(key, _when(step))
        elif step["step"] == "fault ends" and key in open_since:
            spans.append((open_since.pop(key), _when(step)))
    began, ended = (*experiment.get("fault", ()), None, None)[:2]
    if not spans:
        return [] if began is None else [(began, ended if ended is not None else end)]
    return _joined(sorted([*spans, *((since, end) for since in open_since.values())]))


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without overlaps: several faults at once are one span."""
    found: list[tuple[float, float]] = []
    for begin, end in spans:
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _when(step: Mapping[str, Any]) -> float:
    return float(step["at"])


def _arrived(step: Mapping[str, Any], fault: Sequence[tuple[float, float]]) -> float:
    """When an alert arrived: it may be noticed long after that, and its words say how long after the fault's begin."""
    after = _AFTER.search(step["what"]) if step["step"] == "alert" and step["holds"] and fault else None
    return fault[0][0] + float(after[1]) if after else _when(step)


def _faulted(experiment: Mapping[str, Any], fault: Sequence[tuple[float, float]], x: Any) -> str:
    if not fault:
        return '<text x="4" y="14">none was put</text>'
    kinds = dict.fromkeys(s.get("fault") or s["what"] for s in experiment["steps"] if s["step"] == "fault")
    told = ", ".join(kinds)
    told = told if len(told) <= 40 else f"{told[:38]}…"
    return _words(x(fault[0][0]), told)


def _series(symptom: Mapping[str, Any], x: Any) -> Iterator[str]:
    """A bar for each sample, as high as it took; one that was bad is a full bar with a cross."""
    high = _HIGH["series"]
    top = max((p["ms"] for p in symptom["points"]), default=1) or 1
    for point in symptom["points"]:
        at = x(point["at"])
        if point["good"]:
            tall = max(2, round((high - 4) * point["ms"] / top))
            yield f'<rect class="g" x="{at}%" y="{high - tall}" width="3" height="{tall}"/>'
        else:
            yield (
                f'<rect class="b" x="{at}%" y="9" width="3" height="{high - 9}"/>'
                f'<svg x="{at}%" overflow="visible" width="1" height="9"><path class="x" d="M-3 1l8 7m0-7l-8 7"/></svg>'
            )
    yield f'<text x="100%" y="10" text-anchor="end">slowest {top:,.0f} ms</text>'


def _mark(at: float, told: str, *, holds: bool) -> str:
    kind = "t" if holds else "no"
    sign = f'<svg x="{at}%" overflow="visible" width="1" height="1"><path class="{kind}" d="M-4 16l4-12l4 12z"/></svg>'
    return sign + _words(at, told if holds else f"{told}: does not hold".removeprefix(": "))


def _words(at: float, told: str) -> str:
    right = at > 50
    anchor, shift = ("end", -8) if right else ("start", 8)
    return f'<text x="{at}%" dx="{shift}" y="14" text-anchor="{anchor}">{escape(told)}</text>'


def _short(step: Mapping[str, Any]) -> str:
    if step["step"] == "alert" and step.get("channel"):
        _, comma, after = step["what"].rpartition(", after ")
        return f"{step['channel']}{f' after {after}' if comma else ''}"
    told = str(step["what"])
    return told if len(told) <= 34 else f"{told[:32]}…"


def _svg(high: int, inside: str) -> str:
    return f'<svg height="{high}" aria-hidden="true">{inside}</svg>'
