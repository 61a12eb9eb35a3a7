"""What a person reads in the terminal: a word for each state, and at the end what to do first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def _wrapped(text: str, width: int, indent: str) -> Iterable[str]:
    import textwrap

    return textwrap.wrap(text, max(40, width), initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def summarise(terminal: pytest.TerminalReporter, gathered: Gatherer, environment: Environment) -> None:
    """Worst first; what was measured, how sure, what to read; then what is not known, and why."""
    width = min(terminal._tw.fullwidth, 120)
    write = terminal.write_line
    terminal.write_sep("=", f"dialtone: {environment.target if environment.opened else 'target'}", bold=True)
    if environment.opened and environment.target.fenced:
        write(f"FENCED, only reads run: {'; '.join(environment.target.fenced)}", red=True)
    runbook = environment.runbook
    for group, facts in _grouped(gathered.of(Verdict.CRITICAL, Verdict.BREACH)):
        first = facts[0]
        colour = {"red": True, "bold": first["verdict"] == Verdict.CRITICAL}
        names = ", ".join(f["id"] for f in facts[:4]) + (f" and {len(facts) - 4} more" if len(facts) > 4 else "")
        write(f"{str(first['verdict']).upper():<9}{first['severity']}  {names}", **colour)
        for line in _wrapped(group, width - 13, " " * 13):
            write(line)
        detail = [f"{first['samples']:,} samples"] if first["samples"] > 1 else []
        detail += [f"{runbook}#{first['runbook']}"] if first["runbook"] else []
        detail += [str(first["at"])] if first["at"] else []
        write(" " * 13 + "  ".join(detail), light=True)
    for found in gathered.of(Verdict.DEGRADED):
        write(f"{'DEGRADED':<9}{found['severity']}  {found['id']}", yellow=True)
        for line in _wrapped(found["reason"], width - 13, " " * 13):
            write(line)
    unknown = gathered.of(Verdict.UNKNOWN)
    for kind in (Kind.BROKEN, Kind.OFFLINE, Kind.REFUSED, Kind.UNDECIDED):
        _list(terminal, str(kind), [f for f in unknown if f["kind"] == kind], width)
    _list(terminal, "unarmed", [f for f in gathered.all() if not f["armed"]], width)
    _closing(terminal, gathered)


def _closing(terminal: pytest.TerminalReporter, gathered: Gatherer) -> None:
    counts: dict[str, int] = {}
    for found in gathered.all():
        counts[state(found)] = counts.get(state(found), 0) + 1
    order = ["critical", "breach", "broken", "offline", "refused", "undecided", "degraded", "ok", "unarmed"]
    said = ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name))
    bad = counts.get("critical", 0) + counts.get("breach", 0)
    terminal.write_line(f"{len(gathered.entries)} checks: {said}", bold=True, red=bool(bad), green=not bad)
    code = gathered.exit_code(1 if bad or counts.get("broken") else 0)
    if code in EXIT_WORDS:
        terminal.write_line(f"exit code {code}: {EXIT_WORDS[code]}", yellow=True)


def _grouped(found: Iterable[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        groups.setdefault(f"{one['reason']}", []).append(one)
    return list(groups.items())


def _list(terminal: pytest.TerminalReporter, word: str, found: list[dict[str, Any]], width: int) -> None:
    for reason, group in _grouped(found):
        names = ", ".join(f["id"] for f in group)
        colour = {"purple": True} if word == "broken" else {"light": True} if word == "unarmed" else {"yellow": True}
        if len(group) > 4:
            names = f"{', '.join(f['id'] for f in group[:3])} and {len(group) - 3} more"
        terminal.write_line(f"{word:<13}{names}", **colour)
        for line in _wrapped(reason, width - 13, " " * 13):
            terminal.write_line(line)
