"""The report of a drill as one page: what fails newly, the time line of each experiment, the matrix, the trend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from dialtone.report.pages import course, drilled
from dialtone.report.pages.paint import facts, folded, page, seconds, stamp, table, word

_STYLE = (
    course.STYLE
    + """
summary .head{display:inline-flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline;width:calc(100% - 1.4rem);
vertical-align:top}summary .id{flex:1 1 16rem;font-weight:600}.miss{color:var(--bad);font-weight:600}
th[scope=row]{position:sticky;left:0;min-width:7rem;overflow-wrap:anywhere}
.m :is(td,th){padding:.25rem .3rem}@media(min-width:48rem){th[scope=row]{min-width:11.5rem}}
th[scope=col],td.hole{overflow-wrap:normal;white-space:nowrap}
td.hole{color:var(--dim);font-size:.8rem}td.hole i{border:1px dashed var(--dim);border-radius:.3em;padding:0 .3em}
.sign label{display:flex;gap:.6rem;padding:.35rem 0}.sign input{flex:none;width:1.15rem;height:1.15rem;margin:.15rem 0}
.sign ul{list-style:none;padding:0}.bar{display:flex;height:.8rem;min-width:6rem;border-radius:.2rem;overflow:hidden}
.bar i{background:var(--good)}.bar i.fail{background:var(--bad)}.bar i.inconclusive{background:var(--warn)}
"""
)
_FIGURES = (("seconds_to_detect", "detect"), ("seconds_to_alert", "alert"), ("seconds_to_recover", "recover"))


def drill_page(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> str:
    """The page of a drill and of those before it."""
    counts = told["verdicts"]
    said = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) or "nothing ran"
    return page(f"drill: {said}", _body(told, earlier, said), _STYLE)


def _body(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], said: str) -> Iterator[str]:
    new = drilled.newly(told, earlier)
    yield f'<header><p class="dim">Drill on {escape(told["target"])}</p><h1>{escape(said)}</h1>'
    yield f'<p class="dim">{stamp(told["started"])}, {seconds(told["seconds"])}</p></header><main>'
    if new:
        named = ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in new)
        yield f"<p>{word('newly failing', 'bad')} {named}</p>"
    empty, every, bare = drilled.holes(told["matrix"])
    yield facts(
        [
            (str(len(told["experiments"])), "experiments"),
            (str(len(told["matrix"]["hosts"])), "hosts"),
            (f"{every - empty} of {every}", "cells of the matrix tried"),
            (str(sum(e["lost"] for e in told["experiments"])), "lost beyond their objective"),
            (str(sum(e["doubled"] for e in told["experiments"])), "doubled"),
        ]
    )
    yield "<h2>Experiments</h2>"
    yield '<p class="dim">Each opens: time line, steps, ledger. Times are held against the objective.</p>'
    for experiment in drilled.ordered(told, earlier):
        yield _experiment(experiment, drilled.past(experiment["id"], earlier), new=experiment["id"] in new)
    if told["unarmed"]:
        rows = [[escape(e["id"]), escape(e["reason"])] for e in told["unarmed"]]
        yield folded(
            f"{word('not run')} {len(rows)} experiments, with the reason",
            table(["experiment", "reason"], rows, "Experiments that did not run"),
        )
    yield from _recoveries(told)
    yield from _matrix(told["matrix"], bare)
    yield from _trend(told, earlier)
    yield '<h2 id="sign">What a person signs</h2><div class="sign"><ul>'
    yield "".join(
        f'<li><label><input type="checkbox"><span>{escape(line)}</span></label>' for line in drilled.to_sign(told)
    )
    yield '</ul><p class="dim">This page keeps no ticks: print it, or put drill.md into an issue.</p>'
    yield "<p>Name, date: ______________________</p></div></main>"
    yield f"<footer>Made of drill.json; {len(earlier)} drills before it. Nothing is loaded from elsewhere.</footer>"


def _experiment(e: Mapping[str, Any], before: Sequence[str], *, new: bool) -> str:
    times = [_time(e, figure, name) for figure, name in _FIGURES]
    times += [f'<span class="miss">{e[name]} {name}</span>' for name in ("lost", "doubled") if e[name]]
    head = (
        f'<span class="head">{word(e["verdict"])}<span class="id">{escape(e["id"])}</span>'
        f"{word('new', 'bad') if new else ''}<small>{escape(e['dependency'])}</small>"
        f"<small>{' · '.join(t for t in times if t)}</small></span>"
    )
    parts = [f"<p>{escape(e['reason'])}</p>", course.drawn(e)]
    if e["steps"]:
        rows = [
            [
                f"{s['at']:.2f}",
                escape(s["step"]),
                escape(s["what"]),
                "holds" if s["holds"] else word("does not hold", "bad"),
            ]
            for s in e["steps"]
        ]
        parts.append(table(["s", "step", "what", ""], rows, f"Steps of {e['id']}", (0,)))
    if any(sum(counts.values()) for counts in e["ledger"].values()):
        kinds = list(dict.fromkeys(kind for counts in e["ledger"].values() for kind in counts))
        rows = [
            [escape(book), *(str(counts.get(kind, 0)) for kind in kinds)]
            for book, counts in e["ledger"].items()
            if any(counts.values())
        ]
        parts.append(
            "<h3>Ledger</h3>" + table(["duty", *kinds], rows, f"Ledger of {e['id']}", range(1, len(kinds) + 1))
        )
    if before:
        told = ", ".join(before[-drilled.SHOWN :])
        parts.append(f'<p class="dim">Before, the oldest first: {escape(told)}</p>')
    return folded(head, "".join(parts), opened=e["verdict"] != "pass", name=e["id"])


def _time(e: Mapping[str, Any], figure: str, name: str) -> str:
    value, most = e[figure], drilled.aim(e, figure)
    if value is None:
        return ""
    told = f"{name} {seconds(value)}" + (f" of {seconds(most)}" if most is not None else "")
    return f'<span class="miss">{told}, late</span>' if drilled.late(e, figure) else told


def _recoveries(told: Mapping[str, Any]) -> Iterator[str]:
    found = drilled.recoveries(told)
    if not found:
        return
    yield "<h2>Data lost and brought back</h2>"
    rows = []
    for e in found:
        r = e["recovery"]
        rows.append(
            [
                escape(str(r.get("loss", e["id"]))),
                f"{seconds(r.get('rpo'))} of {seconds(e['objectives'].get('rpo'))}",
                f"{seconds(r.get('seconds_to_recover'))} of {seconds(drilled.aim(e, 'seconds_to_recover'))}",
                f"{r.get('lost', 0)} of {r.get('promised', 0)}",
                word(e["verdict"]),
            ]
        )
    yield table(["loss", "RPO", "RTO", "promises missing", ""], rows, "Recovery point and time of each loss", (1, 2, 3))


def _matrix(matrix: Mapping[str, Any], bare: Sequence[str]) -> Iterator[str]:
    yield "<h2>Host × class of fault</h2>"
    if bare:
        yield f"<p>{word('no fault met', 'warn')} {escape(', '.join(bare))}</p>"
    filled, empty, kinds = drilled.cells(matrix), drilled.empty(matrix), drilled.columns(matrix)
    head = "".join(f'<th scope="col">{escape(kind)}' for kind in kinds)
    rows = ""
    for host in matrix["hosts"]:
        rows += f'<tr><th scope="row">{escape(host)}'
        for kind in kinds:
            outcome, number = filled.get((host, kind)) or (empty[host, kind], 0)
            more = f" <small>× {number}</small>" if number > 1 else ""
            if number:
                rows += f"<td>{word(outcome)}{more}"
            else:
                rows += f'<td class="hole"><i>{outcome}</i>' if outcome == drilled.HOLE else f"<td>{outcome}"
    yield (
        '<div class="wide" role="region" tabindex="0" aria-label="Matrix of hosts and faults"><table class="m">'
        f'<thead><tr><th scope="col">host{head}<tbody>{rows}</table></div>'
    )


def _trend(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "<h2>Trend</h2>"
    if not earlier:
        yield '<p class="dim">The first drill on this target: there is nothing to compare with.</p>'
        return
    rows = []
    for one in [told, *reversed(earlier[-drilled.SHOWN :])]:
        counts = one["verdicts"]
        bar = "".join(f'<i class="{v}" style="flex:{counts.get(v, 0)}"></i>' for v in drilled.WORST if counts.get(v))
        rows.append(
            [
                stamp(one["started"]) + (" (this one)" if one is told else ""),
                *(str(counts.get(v, 0)) for v in drilled.WORST),
                seconds(one["seconds"]),
                f'<span class="bar" aria-hidden="true">{bar}</span>',
            ]
        )
    yield table(["drill", *drilled.WORST, "took", ""], rows, "The last drills, the newest first", (1, 2, 3, 4))
