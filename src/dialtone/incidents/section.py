"""What the runbook says of a section: its title, who is hit, and the first step. From the file that people read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ANCHOR = re.compile(r'<a id="([\w-]+)"></a>\s*\n#+ +(.+)')
_STEP = re.compile(r"^\s*1\. +((?:.+)(?:\n {2,}\S.*)*)", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_MARKS = re.compile(r'<a id="[^"]*"></a>|\s+→.*')  # an item's own anchor, and what covers it: not for people


@dataclass(frozen=True, slots=True)
class Section:
    """One section; what it does not say is empty."""

    anchor: str
    title: str = ""
    about: str = ""
    first_step: str = ""
    link: str = ""


class Runbook:
    """All sections of a runbook that is a file; of one that is an address only the links."""

    def __init__(self, where: str = "", folder: Path | None = None) -> None:
        self._where = where if where.startswith(("https://", "http://")) else ""
        self._sections: dict[str, Section] = {}
        path = (folder or Path()) / where
        if where and not self._where and path.is_file():
            self._sections = sections(path.read_text(errors="replace"))

    def section(self, anchor: str) -> Section:
        """The section of that anchor; an empty one where there is none."""
        link = f"{self._where}#{anchor}" if self._where and anchor else ""
        found = self._sections.get(anchor, Section(anchor))
        return Section(anchor, found.title, found.about, found.first_step, link)


def sections(text: str) -> dict[str, Section]:
    """Every section of the text by its anchor."""
    marks = list(_ANCHOR.finditer(text))
    found = {}
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        body = text[mark.end() : after.start() if after else len(text)]
        step = _STEP.search(body)
        paragraph = next((p for p in body.split("\n\n") if p.strip() and p.strip()[0].isalpha()), "")
        found[mark[1]] = Section(mark[1], mark[2].strip(), _flat(paragraph), _flat(step[1]) if step else "")
    return found


def _flat(text: str) -> str:
    return _LINK.sub(r"\1", _MARKS.sub("", " ".join(text.split()))).replace("**", "").replace("`", "")
