"""What a person reads in the terminal: a word for each state, and at the end what to do first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dialtone.judging import Record
from dialtone.redact import secrets
from dialtone.report.gather import EXIT_WORDS, Gatherer
from dialtone.verdict import Kind, Verdict

if TYPE_CHECKING:
    from dialtone.environment import Environment

Status = tuple[str, str, tuple[str, dict[str, bool]]]
_STATES: dict[str, Status] = {
    "degraded": ("degraded", "d", ("DEGRADED", {"yellow": True})),
    "unarmed": ("unarmed", "-", ("UNARMED", {"light": True})),
    "undecided": ("undecided", "?", ("UNDECIDED", {"yellow": True})),
    "offline": ("offline", "o", ("OFFLINE", {"yellow": True})),
    "refused": ("refused", "r", ("REFUSED", {"yellow": True})),
    "broken": ("broken", "B", ("BROKEN", {"purple": True})),
    "breach": ("breach", "F", ("BREACH", {"red": True})),
    "critical": ("critical", "C", ("CRITICAL", {"red": True, "bold": True})),
}


def status(report: pytest.CollectReport | pytest.TestReport) -> Status | None:
    """Category, letter and word of a check's report; None leaves it to pytest."""
    found = dict(getattr(report, "user_properties", [])).get("dialtone")
    if not isinstance(found, dict):
        return None
    return _STATES.get(state(found))


def state(found: Mapping[str, Any]) -> str:
    """The one word for an entry: its verdict, its kind of unknown, or unarmed."""
    if not found["armed"]:
        return "unarmed"
    return str(found["kind"] or found["verdict"])


def words(record: Record, nodeid: str) -> str:
    """What stands in pytest's list of failures: where, what, and the last exchanges; no traceback, no values."""
    worst = record.worst()
    lines = [f"{record.notes.get('at', nodeid)}: {worst.kind or worst.verdict}", f"  {worst.reason}"]
    lines += [f"  {key}: {value}" for key, value in worst.evidence.items()]
    for exchange in record.exchanges[-2:]:
        facts = exchange()
        lines.append("  " + ", ".join(f"{k} {v}" for k, v in facts.items() if k not in ("json",)))
    return secrets.scrub("\n".join(lines))


def _wrapped(text: str, width: int, first: str | None = None, indent: str = " " * 13) -> Iterable[str]:
    import textwrap

    first = indent if first is None else first
    return textwrap.wrap(text, max(40, width), initial_indent=first, subsequent_indent=indent, break_long_words=False)


def summarise(
    terminal: pytest.TerminalReporter,
    gathered: Gatherer,
    environment: Environment,
    exit_code: int,
    document: Path,
    closing: Sequence[tuple[str, bool]] = (),
) -> None:
    """Worst first; what was measured, how sure, what to read; then what is not known, and why.

    `closing` are lines that stand before the last one, each with whether it stands out.
    """
    width = min(terminal._tw.fullwidth, 120)
    target = environment.target if environment.opened else None
    title = f"dialtone: {target.name}, {target.profile.base_url}" if target else "dialtone"
    terminal.write_sep("=", title, bold=True)
    if target and target.fenced:
        for line in _wrapped(f"FENCED, only reads run: {'; '.join(target.fenced)}", width, "", "  "):
            terminal.write_line(line, red=True)
    told = gathered.of(Verdict.CRITICAL, Verdict.BREACH, Verdict.DEGRADED)
    for (verdict, reason), group in _grouped(told):
        first = group[0]
        colour = {"yellow": True} if verdict == Verdict.DEGRADED else {"red": True, "bold": verdict == Verdict.CRITICAL}
        for line in _wrapped(names_of(group, 4), width, f"{verdict.upper():<9}{first['severity']}  "):
            terminal.write_line(line, **colour)
        for line in _wrapped(reason, width):
            terminal.write_line(line)
        detail = [f"{first['samples']:,} samples"] if first["samples"] > 1 else []
        detail += [f"proof: {first['proof']}"] if first["proof"] else []
        detail += [f"{environment.runbook}#{first['runbook']}"] if first["runbook"] else []
        detail += [str(first["at"])] if first["at"] else []
        for line in _wrapped("  ".join(detail), width):
            terminal.write_line(line, light=True)
    unknown = gathered.of(Verdict.UNKNOWN)
    _list(terminal, "broken", [f for f in unknown if f["kind"] == Kind.BROKEN], width)
    for (_, reason), group in _grouped(f for f in unknown if f["kind"] == Kind.OFFLINE):
        for line in _wrapped(f"{len(group)} check{'s' * (len(group) != 1)}: {reason}", width, f"{'offline':<13}"):
            terminal.write_line(line, yellow=True)
    for kind in (Kind.REFUSED, Kind.UNDECIDED):
        _list(terminal, str(kind), [f for f in unknown if f["kind"] == kind], width)
    for (_, reason), group in _grouped(f for f in gathered.all() if not f["armed"]):
        for line in _wrapped(reason, width, f"{'unarmed':<13}"):  # what is to be done stands first
            terminal.write_line(line)
        for line in _wrapped(names_of(group, 6), width):
            terminal.write_line(line, light=True)
    for line, strong in closing:
        terminal.write_line(line, bold=strong)
    _closing(terminal, gathered, exit_code, document, width)


def _closing(terminal: pytest.TerminalReporter, gathered: Gatherer, exit_code: int, document: Path, width: int) -> None:
    counts: dict[str, int] = {}
    for found in gathered.all():
        counts[state(found)] = counts.get(state(found), 0) + 1
    order = ["critical", "breach", "broken", "offline", "refused", "undecided", "degraded", "ok", "unarmed"]
    said = ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name))
    bad = any(counts.get(name) for name in ("critical", "breach", "broken"))
    colour = "red" if bad else "yellow" if exit_code or counts.get("degraded") else "green"
    count = len(gathered.entries)
    for line in _wrapped(f"{count} check{'s' * (count != 1)}: {said}; see {document}", width, "", " " * 4):
        terminal.write_line(line, bold=True, **{colour: True})
    if exit_code in EXIT_WORDS:
        terminal.write_line(f"exit code {exit_code}: {EXIT_WORDS[exit_code]}", **{colour: True})


def _grouped(found: Iterable[dict[str, Any]]) -> list[tuple[tuple[str, str], list[dict[str, Any]]]]:
    """Checks with one verdict and one reason are one thing to read."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in found:
        groups.setdefault((str(one["verdict"]), str(one["reason"])), []).append(one)
    return list(groups.items())


def names_of(group: Sequence[Mapping[str, Any]], most: int | None = None) -> str:
    """The ids of a group, cases of one check together; names of `most` checks at most, the others counted."""
    cases: dict[str, list[str]] = {}
    for one in group:
        name, _, case = str(one["id"]).partition("[")
        cases.setdefault(name, []).append(case.removesuffix("]"))
    names = [f"{name}[{', '.join(of)}]" if any(of) else name for name, of in cases.items()]
    if most is None or len(names) <= most:
        return ", ".join(names)
    rest = sum(map(len, list(cases.values())[most - 1 :]))
    return f"{', '.join(names[: most - 1])} and {rest} more"


_COLOURS = {"broken": {"purple": True}}


def _list(terminal: pytest.TerminalReporter, word: str, found: list[dict[str, Any]], width: int) -> None:
    for (_, reason), group in _grouped(found):
        for line in _wrapped(names_of(group), width, f"{word:<13}"):
            terminal.write_line(line, **_COLOURS.get(word, {"yellow": True}))
        for line in _wrapped(reason, width):
            terminal.write_line(line)
