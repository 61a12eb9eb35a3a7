"""A row of days as one small drawing: a path for each tone, however many days there are.

Height tells what colour tells: full for a day with something bad, two thirds for degraded, a third for good; a day that
nobody observed is a gap in the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from dialtone.history.days import Day

STYLE = """
.strip{display:block;width:100%;min-width:7rem;height:1.1rem;background:var(--card);border-bottom:1px solid var(--line)}
.strip .o{fill:var(--good)}.strip .d{fill:var(--warn)}.strip .x{fill:var(--bad)}.strip .u{fill:none;stroke:var(--dim);
stroke-width:.3}
"""
_HIGH = {"x": 10, "d": 7, "o": 4}
LEGEND = "a third high: good; two thirds: degraded; full: something was bad; a dash: not known; a gap: nobody observed"


def tone(day: Day | None) -> str:
    """`x` bad, `d` degraded, `o` good, `u` looked at and not known, or nothing where nobody observed."""
    if day is None or not (day.bad or day.degraded or day.good or day.unknown):
        return ""
    return "x" if day.bad else "d" if day.degraded else "o" if day.good else "u"


def strip(given: Sequence[Day | None]) -> str:
    """The days, the oldest first."""
    paths: dict[str, str] = {}
    for kind, run in groupby(enumerate(map(tone, given)), key=lambda pair: pair[1]):
        at = [n for n, _ in run]
        if kind == "u":
            paths[kind] = f"{paths.get(kind, '')}M{at[0]} 9h{len(at)}"
        elif kind:
            high = _HIGH[kind]
            paths[kind] = f"{paths.get(kind, '')}M{at[0]} {10 - high}h{len(at)}v{high}h-{len(at)}z"
    drawn = "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in paths.items())
    return (
        f'<svg class="strip" viewBox="0 0 {len(given) or 1} 10" preserveAspectRatio="none" role="img"'
        f' aria-label="{said(given)}">{drawn}</svg>'
    )


def said(given: Sequence[Day | None]) -> str:
    """The same in words."""
    tones = [tone(day) for day in given]
    count = {word: tones.count(kind) for word, kind in (("with something bad", "x"), ("degraded", "d"), ("good", "o"))}
    count["not observed"] = tones.count("") + tones.count("u")
    return f"{len(given)} days: " + ", ".join(f"{n} {word}" for word, n in count.items() if n)
