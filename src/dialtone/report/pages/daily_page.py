"""The page of every day: what is wrong now, objectives and their budgets, incidents, the last drill, and what nobody
observed. One file; it opens without a script, however many checks there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from html import escape

from dialtone.history.indicators import COVERED, Summary
from dialtone.history.show import figure
from dialtone.incidents.lifecycle import Incident
from dialtone.incidents.message import cut, subject
from dialtone.objective import Objective
from dialtone.report.pages import drilled
from dialtone.report.pages.daily import NOT_SEEN, RETIRED, SPAN, Check, Daily
from dialtone.report.pages.paint import facts, folded, moment, page, seconds, stamp, table, word
from dialtone.report.pages.strip import LEGEND, STYLE, strip

_STYLE = STYLE + "td.strips{min-width:9rem;width:26%}summary .w{margin-right:.4rem}"
_MOST = 200
"""Rows of what is wrong now; the rest is in its section below."""
_GAPS = 10


def daily_page(told: Daily) -> str:
    """The page."""
    said = _said(told)
    return page(f"{told.target}: {said}", _body(told, said), _STYLE)


def _said(told: Daily) -> str:
    if not told.checks:
        return "nothing is known"
    counts = {w: n for w, n in told.counts.items() if w != RETIRED}
    if set(counts) == {"ok"}:
        return f"all {counts['ok']} checks are ok"
    return ", ".join(f"{n} {w}" for w, n in counts.items()) or "no check is run any more"


def _body(told: Daily, said: str) -> Iterator[str]:
    yield f'<header><p class="dim">{escape(told.target)}</p><h1>{escape(said)}</h1>'
    ago = (
        "nothing was ever looked at" if told.seen is None else f"last looked at {seconds(told.now - told.seen)} before"
    )
    yield f'<p class="dim">As of {moment(told.now)}; {ago}. This page does not renew itself.</p></header><main>'
    judged = [c for c in told.checks if c.of]
    live = [i for i in told.incidents if i.live]
    spent = sum(1 for c in judged if c.of and c.of.burn.left is not None and c.of.burn.left <= 0)
    unseen = sum(end - begin for begin, end in told.gaps)
    yield facts(
        [
            (str(sum(c.state != RETIRED for c in told.checks)), "checks"),
            (str(len(live)), "incidents that are not over"),
            (str(spent), "budgets spent"),
            (seconds(unseen) if unseen else "none", f"of {SPAN} days without a round"),
        ]
    )
    yield from _wrong(told)
    yield from _objectives(told, judged)
    yield from _incidents(told)
    yield from _drill(told)
    yield from _unobserved(told, judged)
    yield from _all(told)
    yield "</main><footer>Made by dialtone report. Nothing is loaded from elsewhere.</footer>"


def _name(check: Check, told: Daily) -> str:
    shown = escape(check.id)
    if check.section and told.runbook.startswith(("http://", "https://")):
        return f'<a href="{escape(told.runbook)}#{escape(check.section)}">{shown}</a>'
    return shown


def _wrong(told: Daily) -> Iterator[str]:
    bad = [c for c in told.checks if c.state not in ("ok", RETIRED)]
    yield "<h2>Not well now</h2>"
    if not bad:
        yield "<p>Nothing that is looked at.</p>" if told.checks else "<p>Nothing is known.</p>"
        return
    rows = [
        [
            _name(c, told),
            word(c.state),
            c.severity,
            escape(cut(c.reason, 300)) + (f" <small>({_since(c, told)})</small>" if c.state == NOT_SEEN else ""),
        ]
        for c in bad[:_MOST]
    ]
    yield table(["check", "state", "severity", "reason"], rows, "Checks that are not well", stack=True)
    if len(bad) > _MOST:
        yield f'<p class="dim">and {len(bad) - _MOST} more, in their sections below</p>'


def _since(check: Check, told: Daily) -> str:
    return "never seen" if check.at is None else f"last seen {seconds(told.now - check.at)} before"


def _objectives(told: Daily, judged: Sequence[Check]) -> Iterator[str]:
    groups: dict[str, list[Summary]] = defaultdict(list)
    for check in judged:
        if check.of:
            groups[check.of.objective].append(check.of)
    if not groups:
        return
    yield "<h2>Objectives</h2>"
    rows = []
    for name, of in sorted(groups.items(), key=lambda item: _left(item[1])[0]):
        left, who = _left(of)
        month = Counter(s.figures["30d"].finding.verdict for s in of)
        worst = sorted(month.items(), key=lambda item: -item[0].rank)
        burning = [s.check for s in of if s.burn.alert]
        rows.append(
            [
                escape(name.replace("_", " ")),
                escape(_levels(told.objectives.get(name))),
                " ".join(f"{word(str(verdict))} {number}" for verdict, number in worst),
                "-" if left == float("inf") else f"{100 * left:,.0f} %",
                escape(who) + (f" {word('burning', 'bad')} {escape(', '.join(burning[:3]))}" if burning else ""),
            ]
        )
    titles = ["objective", "target / alert / critical", "checks, by their 30 days", "least budget left", "of"]
    yield table(titles, rows, "Objectives and their error budgets over 30 days", (3,))


def _left(of: Sequence[Summary]) -> tuple[float, str]:
    """The least that is left of a budget, and whose."""
    known = [(s.burn.left, s.check) for s in of if s.burn.left is not None]
    return min(known, default=(float("inf"), "nothing was seen"))


def _levels(by: Objective | None) -> str:
    if by is None:
        return "-"
    levels = (by.levels.target, by.levels.alert, by.levels.critical)
    return " / ".join("-" if level is None else f"{level:g}" for level in levels) + f" {by.unit}"


def _incidents(told: Daily) -> Iterator[str]:
    yield "<h2>Incidents</h2>"
    if not told.incidents:
        yield "<p>None is known.</p>"
        return
    rows = [_incident(one, told.now) for one in told.incidents]
    titles = ["cause", "state", "severity", "began", "lasted", "by"]
    yield table(titles, rows, "Incidents, those that are not over first", stack=True)


def _incident(one: Incident, now: float) -> list[str]:
    ended = one.resolved if one.resolved is not None else now
    return [
        escape(subject(one.cause)),
        word(str(one.state), "bad" if one.live else "none"),
        escape(str(one.severity)),
        moment(one.first_bad),
        seconds(ended - one.first_bad) + ("" if one.resolved is not None else ", not over"),
        escape(one.by or "-"),
    ]


def _drill(told: Daily) -> Iterator[str]:
    yield "<h2>Last drill</h2>"
    if not told.drill:
        yield f"<p>{word('none', 'warn')} Fallbacks that nobody has seen work may not: <code>dialtone drill</code></p>"
        return
    counts = told.drill["verdicts"]
    said = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    new = drilled.newly(told.drill, told.before)
    empty, every, bare = drilled.holes(told.drill["matrix"])
    worst = next((v for v in drilled.WORST if counts.get(v)), "none")
    yield f"<p>{word(worst)} {stamp(told.drill['started'])} on {escape(told.drill['target'])}: {escape(said)}.</p>"
    if new:
        yield f"<p>Newly failing: {escape(', '.join(new))}.</p>"
    more = f"; no fault met {escape(', '.join(bare))}" if bare else ""
    yield f"<p>{every - empty} of {every} cells of host × class of fault were tried{more}.</p>"


def _unobserved(told: Daily, judged: Sequence[Check]) -> Iterator[str]:
    yield "<h2>What nobody observed</h2>"
    yield '<p class="dim">Time without a look is not counted as uptime.</p>'
    if told.begun is None or told.begun > told.first * 86_400:
        since = "There is no history." if told.begun is None else f"The history begins at {moment(told.begun)}."
        yield f"<p>{since} What was before is not known.</p>"
    if told.gaps:
        rows = [[f"{moment(a)} to {moment(b)}", seconds(b - a)] for a, b in told.gaps[:_GAPS]]
        more = f", the longest {_GAPS}" if len(told.gaps) > _GAPS else ""
        yield folded(
            f"{word('no round', 'warn')} {_many(len(told.gaps), 'span')} without any round in {SPAN} days{more}",
            table(["span", "length"], rows, "Spans without a round", (1,)),
        )
    thin = [c for c in judged if c.of and c.of.figures["30d"].coverage < COVERED]
    if thin:
        rows = [[_name(c, told), f"{100 * c.of.figures['30d'].coverage:.0f} %"] for c in thin[:_MOST] if c.of]
        yield folded(
            f"{word('thin', 'warn')} {len(thin)} checks were observed for less than {100 * COVERED:.0f} % of 30 days",
            table(["check", "observed"], rows, "Checks that were observed too little", (1,)),
        )
    for reason, names in told.unarmed.items():
        yield folded(f"{word('unarmed')} {len(names)}: {escape(reason)}", f"<p>{escape(', '.join(names))}</p>")
    if not (told.gaps or thin or told.unarmed):
        yield "<p>Nothing that is known of.</p>"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


def _all(told: Daily) -> Iterator[str]:
    yield f'<h2>All checks</h2><p class="dim">{SPAN} days to {moment(told.now)[:10]}; {LEGEND}.</p>'
    groups: dict[str, list[Check]] = defaultdict(list)
    for check in told.checks:
        groups[RETIRED if check.state == RETIRED else check.section or "checks"].append(check)
    for section, checks in sorted(groups.items()):
        count = {w: sum(c.state == w for c in checks) for w in dict.fromkeys(c.state for c in checks)}
        said = " ".join(word(w) + f" {n}" for w, n in count.items())
        yield folded(f"<b>{escape(section.replace('-', ' '))}</b> {said}", _rows(checks, told))


def _rows(checks: Sequence[Check], told: Daily) -> str:
    rows = []
    for c in checks:
        of = c.of
        left = "-" if of is None or of.burn.left is None else f"{100 * of.burn.left:,.0f} %"
        seen = "-" if of is None else f"{100 * of.figures['30d'].coverage:.0f} %"
        windows = [escape(figure(of.figures[w])) if of else "-" for w in ("24h", "30d")]
        days = f'<div class="strips">{strip(c.days)}</div>' if c.days else "-"
        rows.append([_name(c, told), word(c.state), *windows, left, seen, days])
    titles = ["check", "state", "24 h", "30 d", "budget left", "observed", f"{SPAN} days"]
    return table(titles, rows, "Checks of this section", (2, 3, 4, 5))
