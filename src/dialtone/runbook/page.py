"""A runbook as data: its sections, its lines, and what each line says that covers it.

Every item of a list is a line. It has an anchor of its own, and ends with what covers it after an arrow:

    - <a id="site-down.pages"></a>All pages answer 500 or 503. → check: pages_answer, health_answers_ok; person: primary

An item that only introduces a list of its own (it ends with a colon) is no line, nor is anything inside of a fence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
_HEADING = re.compile(r"(#+) +(.+)")
_BOLD = re.compile(r"\*\*(.+?)[:.]?\*\*:?\s*$")
_ITEM = re.compile(r"(\s*)(?:[-*+]|\d+[.)]) +(?:\[[ xX]\] +)?(.*)")
_FENCE = re.compile(r"\s*(```|~~~)")
_PLACEHOLDER = re.compile(
    r"\[(?:Your|Backup|Insert|Enter|Name|Company|Team|Phone|Email|TODO|TBD|FIXME|XXX|Placeholder)\b[^\]\n]*\](?![(\[])"
    r"|<(?:your|insert|enter|name|todo|tbd)[ _-][^>\n]*>|\b(?:TODO|TBD|FIXME)\b",
    re.IGNORECASE,
)
ARROW = "→"


@dataclass(frozen=True, slots=True)
class Cover:
    """What covers a line: a kind, and a name where the kind has names."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the runbook. `under` is the nearest heading below its section's: what sort of line it is."""

    number: int
    anchor: str
    section: str
    under: str
    text: str
    covers: tuple[Cover, ...]


@dataclass(slots=True)
class Page:
    """A runbook's lines, its sections by anchor, and the placeholders that nobody filled in: (number, text)."""

    lines: list[Line] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    placeholders: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    number: int
    indent: int
    words: list[str]
    section: str
    under: str


def read(text: str) -> Page:
    """The page that a text is."""
    page = Page()
    for item in _items(text, page):
        said = " ".join(item.words)
        if said.rstrip("* ").endswith(":") and ARROW not in said:
            continue
        anchor = _ANCHOR.search(said)
        words, _, marks = said.partition(ARROW)
        page.lines.append(
            Line(
                item.number,
                anchor[1] if anchor else "",
                item.section,
                item.under,
                _ANCHOR.sub("", words).replace("**", "").strip(),
                tuple(_covers(marks)),
            )
        )
    return page


def _items(text: str, page: Page) -> Iterator[_Item]:
    """The items of all lists; sections and placeholders are noted on the way."""
    waiting: _Item | None = None
    anchor, section, under, level, fenced = "", "", "", 9, False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
            continue
        if fenced:
            continue
        page.placeholders += [(number, found[0]) for found in _PLACEHOLDER.finditer(_without_code(line))]
        heading, item = _HEADING.match(line), _ITEM.match(line)
        if heading or item or not line.strip():
            if waiting:
                yield waiting
            waiting = None
        if heading:
            if anchor:
                section, level, under = anchor, len(heading[1]), ""
                page.sections[anchor] = heading[2].strip()
            elif len(heading[1]) > level:
                under = heading[2].strip()
            else:
                section, level, under = "", len(heading[1]), heading[2].strip()
            anchor = ""
        elif item:
            waiting = _Item(number, len(item[1]), [item[2]], section, under)
        elif waiting:
            waiting.words.append(line.strip())
        elif bold := _BOLD.match(line.strip()):
            under = bold[1].strip()
        if not heading and not item and (alone := _ANCHOR.fullmatch(line.strip())):
            anchor = alone[1]
    if waiting:
        yield waiting


def _without_code(line: str) -> str:
    return re.sub(r"`[^`]*`", "", line)


def _covers(marks: str) -> Iterator[Cover]:
    for part in marks.split(";"):
        kind, _, names = part.strip().rstrip(".").partition(":")
        if not kind:
            continue
        told = [name.strip().strip("`") for name in names.split(",") if name.strip()]
        yield from (Cover(kind.strip(), name) for name in told or [""])
