"""What covers each line of a runbook, and what is wrong: nothing covers it, or something that is not there."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialtone.runbook.page import Cover, Line, Page

RUNNING = ("check", "diagnosis", "command", "experiment", "route")
"""Kinds of cover that run: a machine checks, measures or does it."""
KINDS = (*RUNNING, "document", "person", "planned")
LEAST = 60
"""Per cent of the lines that something which runs has to cover."""


@dataclass(frozen=True, slots=True)
class Covers:
    """What there is that may cover a line, by kind; `root` is the folder that documents and plans are relative to.

    `people` are the roles on call, each with who fills it; None where nobody has said who is on call.
    """

    names: Mapping[str, Collection[str]]
    root: Path
    people: Mapping[str, str] | None = None

    def wrong(self, cover: Cover) -> str:
        """What is wrong with a cover, or nothing."""
        if cover.kind not in KINDS:
            return f"{cover.kind!r} covers nothing: a line is covered by {', '.join(KINDS)}"
        if cover.kind == "person":
            if not cover.name or self.people is None or cover.name in self.people:
                return ""
            return f"nobody on call is {cover.name}: {_roles(self.people)}"
        if not cover.name:
            return f"{cover.kind} without a name"
        if cover.kind == "planned":
            return f"{cover.name} is there: name what covers the line" if self._is_built(cover.name) else ""
        if cover.kind == "document":
            return "" if self._is_there(cover.name) else f"there is no document {cover.name}"
        known = self.names.get(cover.kind, ())
        if cover.name in known:
            return ""
        near = difflib.get_close_matches(cover.name, list(known), 1, 0.6)
        return f"there is no {cover.kind} {cover.name}{f'; did you mean {near[0]}?' if near else ''}"

    def _is_built(self, place: str) -> bool:
        """Whether a planned place exists: a path, or a module."""
        if "/" in place:
            return (self.root / place).exists()
        if not re.fullmatch(r"\w+(\.\w+)*", place):
            return False
        try:
            return importlib.util.find_spec(place) is not None
        except ModuleNotFoundError:
            return False

    def _is_there(self, document: str) -> bool:
        path, _, anchor = document.partition("#")
        file = self.root / path
        if not file.is_file():
            return False
        return not anchor or f'id="{anchor}"' in file.read_text(errors="replace")


def _roles(people: Mapping[str, str] | None) -> str:
    return f"there are {', '.join(people)}" if people else "[on_call] names nobody"


@dataclass(slots=True)
class Coverage:
    """The outcome: each line with how it is covered, what is wrong in sentences, and what should be known besides."""

    lines: list[Line]
    complaints: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def how(self, line: Line) -> str:
        """`runs`, `document`, `person`, `planned` or `nothing`: the best of its covers."""
        kinds = {cover.kind for cover in line.covers}
        if kinds & set(RUNNING):
            return "runs"
        return next((kind for kind in ("document", "person", "planned") if kind in kinds), "nothing")

    def counts(self) -> dict[str, int]:
        """How many lines are covered how."""
        found = dict.fromkeys(("runs", "document", "person", "planned", "nothing"), 0)
        for line in self.lines:
            found[self.how(line)] += 1
        return found

    def share(self, *hows: str) -> float:
        """Per cent of the lines that are covered in one of these ways; planned ones are not counted as running."""
        counts = self.counts()
        return 100 * sum(counts[how] for how in hows) / max(1, len(self.lines))

    @property
    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "lines": [
                {
                    "line": one.number,
                    "anchor": one.anchor,
                    "section": one.section,
                    "under": one.under,
                    "text": one.text,
                    "covers": [{"kind": c.kind, "name": c.name} for c in one.covers],
                    "how": self.how(one),
                }
                for one in self.lines
            ],
            "counts": self.counts(),
            "covered": round(self.share("runs", "document", "person", "planned"), 1),
            "running": round(self.share("runs"), 1),
            "complaints": self.complaints,
            "remarks": self.remarks,
        }


def judged(page: Page, covers: Covers) -> Coverage:
    """Every line of the page against what there is."""
    found = Coverage(page.lines)
    if not page.lines:
        found.complaints.append("the runbook has no lines: every item of a list is one")
    anchors: dict[str, int] = {}
    for line in page.lines:
        where = f"line {line.number}"
        if not line.anchor:
            found.complaints.append(f'{where} has no anchor: begin it with <a id="NAME"></a> ({_cut(line.text)})')
        elif anchors.setdefault(line.anchor, line.number) != line.number:
            found.complaints.append(f"{where} has the anchor of line {anchors[line.anchor]}: {line.anchor}")
        if not line.covers:
            told = line.anchor or _cut(line.text)
            found.complaints.append(f"{where} is covered by nothing: end it with → and what covers it ({told})")
        found.complaints += [f"{where}: {wrong}" for cover in line.covers if (wrong := covers.wrong(cover))]
    found.complaints += [f"line {n} has a placeholder in use: {text}" for n, text in page.placeholders]
    if page.lines and found.share("runs") < LEAST:
        found.complaints.append(f"{found.share('runs'):.0f} % of the lines run, {LEAST} % have to")
    if covers.people is None:
        found.remarks.append("nobody has said who is on call: [on_call] in the profile file")
    for role, who in (covers.people or {}).items():
        if not who or "[" in who:
            found.complaints.append(f"on call {role} is a placeholder: {who or 'nobody'}")
    return found


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
