"""The report of a drill as Markdown: for a job summary or an issue, where people tick the boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dialtone.report.pages import drilled
from dialtone.report.pages.paint import cell, seconds, stamp


def drill_text(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown of a drill and of those before it."""
    return "\n".join(_lines(told, earlier)) + "\n"


def _lines(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    new = drilled.newly(told, earlier)
    said = ", ".join(f"{n} {verdict}" for verdict, n in told["verdicts"].items() if n) or "nothing ran"
    yield f"## Drill on {cell(told['target'])}: {said}"
    yield f"\n{stamp(told['started'])}, {seconds(told['seconds'])}."
    if new:
        yield f"\n**Newly failing:** {', '.join(f'`{name}`' for name in new)}"
    yield "\n| verdict | experiment | dependency | detect | alert | recover | lost | doubled |"
    yield "|---|---|---|--:|--:|--:|--:|--:|"
    for e in drilled.ordered(told, earlier):
        times = (_time(e, f"seconds_to_{name}") for name in ("detect", "alert", "recover"))
        verdict = f"**{e['verdict']}**{', new' if e['id'] in new else ''}" if e["verdict"] != "pass" else "pass"
        row = [verdict, f"`{e['id']}`", cell(e["dependency"]), *times, str(e["lost"]), str(e["doubled"])]
        yield f"| {' | '.join(row)} |"
    bad = [e for e in drilled.ordered(told, earlier) if e["verdict"] != "pass"]
    if bad:
        yield ""
        yield from (f"- `{e['id']}`: {cell(e['reason'])}" for e in bad)
    found = drilled.recoveries(told)
    if found:
        yield "\n| loss | RPO | RTO | promises missing |\n|---|--:|--:|--:|"
    for e in found:
        r = e["recovery"]
        aims = (seconds(e["objectives"].get("rpo")), seconds(drilled.aim(e, "seconds_to_recover")))
        yield (
            f"| {cell(r.get('loss', e['id']))} | {seconds(r.get('rpo'))} of {aims[0]}"
            f" | {seconds(r.get('seconds_to_recover'))} of {aims[1]} | {r.get('lost', 0)} of {r.get('promised', 0)} |"
        )
    yield from _matrix(told["matrix"])
    if told["unarmed"]:
        yield f"\nNot run: {len(told['unarmed'])} experiments."
    yield "\n### To sign\n"
    yield from (f"- [ ] {cell(line)}" for line in drilled.to_sign(told))


def _matrix(matrix: Mapping[str, Any]) -> Iterator[str]:
    filled, empty, kinds = drilled.cells(matrix), drilled.empty(matrix), drilled.columns(matrix)
    if not kinds:
        return
    yield f"\n| host | {' | '.join(cell(kind) for kind in kinds)} |\n|---|{'---|' * len(kinds)}"
    for host in matrix["hosts"]:
        row = (filled[host, kind][0] if (host, kind) in filled else _of(empty[host, kind]) for kind in kinds)
        yield f"| {cell(host)} | {' | '.join(row)} |"


def _of(nothing: str) -> str:
    return f"_{nothing}_" if nothing == drilled.HOLE else nothing


def _time(e: Mapping[str, Any], figure: str) -> str:
    value, most = e[figure], drilled.aim(e, figure)
    if value is None:
        return "-"
    told = seconds(value) + (f" of {seconds(most)}" if most is not None else "")
    return f"**{told}**" if drilled.late(e, figure) else told
