"""What people read on GitHub: summary, comment, annotations, checklist. Made of the documents of a run alone.

In a public repository everything here is public, so only what `report.public` allows is told: `full` says whether more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dialtone.report.gather import EXIT_WORDS
from dialtone.report.terminal import state

LONGEST = 60_000
"""Characters: GitHub refuses comments and check runs above 65,535."""
MOST = 50
"""Rows of a table, and annotations of a check run."""
_ORDER = ("critical", "breach", "broken", "offline", "refused", "undecided", "degraded")
_LEVELS = {"critical": "failure", "breach": "failure", "broken": "failure", "degraded": "warning"}
_MARK = re.compile(r"<!-- dialtone:(\S+) run=(\d+)\.(\d+) -->")
_BOX = re.compile(r"^- \[([ xX])\] (.+)$", re.MULTILINE)


def headline(document: Mapping[str, Any] | None, code: int | None) -> str:
    """What came of it, in a line."""
    if not document:
        return f"no verdicts (exit code {code})" if code is not None else "no verdicts: it did not get that far"
    counts = Counter(map(state, document["checks"]))
    said = ", ".join(f"{counts[word]} {word}" for word in (*_ORDER, "ok", "unarmed") if counts[word])
    code = document["exit_code"] if code is None else code
    return f"{said or 'no checks'}" + (f"; exit code {code}: {EXIT_WORDS[code]}" if code in EXIT_WORDS else "")


def worst(document: Mapping[str, Any] | None) -> str:
    """The worst verdict of a run: a word of the verdicts, or none."""
    words = [state(e) for e in (document or {}).get("checks", ())]
    found = next((word for word in _ORDER if word in words), "ok" if "ok" in words else "none")
    return "unknown" if found in ("broken", "offline", "refused", "undecided") else found


def table(document: Mapping[str, Any] | None, *, full: bool, runbook: str = "") -> str:
    """The checks that are not ok, worst first, as Markdown."""
    found = [e for e in (document or {}).get("checks", ()) if state(e) in _ORDER]
    if not found:
        return ""
    found.sort(key=lambda e: (_ORDER.index(state(e)), e["severity"], e["id"]))
    lines = ["| verdict | severity | check |" + (" reason |" if full else ""), "|---|---|---|" + "---|" * full]
    for entry in found[:MOST]:
        name = f"`{entry['id']}`"
        if full and entry.get("runbook") and runbook:
            name = f"[{name}]({runbook}#{entry['runbook']})"
        lines.append(
            f"| {state(entry)} | {entry['severity']} | {name} |" + (f" {plain(entry['reason'])} |" if full else "")
        )
    if len(found) > MOST:
        lines.append(f"\nand {len(found) - MOST} more")
    return "\n".join(lines)


def page(title: str, lines: Iterable[str]) -> str:
    """A title and paragraphs, no longer than GitHub takes."""
    text = "\n\n".join([f"### {title}", *(line for line in lines if line)])
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition("\n")[0] + "\n\n(cut: see the artifact)"


def at_lines(document: Mapping[str, Any] | None, *, full: bool) -> list[dict[str, Any]]:
    """At the line of each check that is red or degraded: what is wrong."""
    made = []
    for entry in (document or {}).get("checks", ()):
        level, (path, _, line) = _LEVELS.get(state(entry)), str(entry.get("at") or "").rpartition(":")
        if level and path and line.isdigit():
            told = plain(entry["reason"]) if full else f"{state(entry)}"
            at = {"path": path, "start_line": int(line), "end_line": int(line), "annotation_level": level}
            made.append({**at, "title": f"{state(entry)}: {entry['id']}", "message": told or state(entry)})
    return sorted(made, key=lambda one: one["annotation_level"] != "failure")


def commands(made: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same as workflow commands, of which GitHub shows 10 errors and 10 warnings a step."""
    lines = []
    for word, level in (("error", "failure"), ("warning", "warning")):
        for one in [one for one in made if one["annotation_level"] == level][:10]:
            about = f"file={_part(one['path'])},line={one['start_line']},title={_part(one['title'])}"
            lines.append(f"::{word} {about}::{escaped(one['message'])}")
    return lines


def escaped(text: str) -> str:
    """Data of a workflow command: https://github.com/actions/toolkit, packages/core/src/command.ts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _part(text: str) -> str:
    return escaped(str(text)).replace(":", "%3A").replace(",", "%2C")


def plain(text: str) -> str:
    """Text in a cell: no markup, no line break, nobody is called by name, no workflow command."""
    text = re.sub(r"\s+", " ", str(text)).strip()
    text = re.sub(r"[\\`*_\[\]|~]", lambda found: "\\" + found[0], text)
    text = text.replace("<", "&lt;").replace("::", ":\u200b:")
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", text)


def marked(key: str, order: tuple[int, int], text: str) -> str:
    """Text with an invisible line by which it is found again, and which run wrote it."""
    return f"<!-- dialtone:{key} run={order[0]}.{order[1]} -->\n{text}"


def mark_of(text: str, key: str) -> tuple[int, int] | None:
    """The run that wrote it; None where it is not ours, or of another key."""
    found = _MARK.match(text or "")
    return (int(found[2]), int(found[3])) if found and found[1] == key else None


def rechecked(fresh: str, old: str) -> str:
    """A checklist anew, with the boxes that people had ticked: a line is known by its text."""
    ticked = {text.strip() for box, text in _BOX.findall(old.replace("\r", "")) if box in "xX"}
    return _BOX.sub(lambda line: f"- [{'x' if line[2].strip() in ticked else ' '}] {line[2]}", fresh)
