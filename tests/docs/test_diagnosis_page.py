"""docs/diagnosis.md: its examples are read as they stand, its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.conftest import ROOT

from dialtone.runbook.causes import declared as causes
from dialtone.runbook.coverage import KINDS
from dialtone.runbook.looks import declared as looks
from dialtone.runbook.page import read
from dialtone.runbook.scene import Scene

TEXT = (ROOT / "docs" / "diagnosis.md").read_text()


def blocks(language: str) -> list[str]:
    """The examples of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_are_looks_and_causes(tmp_path: Path) -> None:
    """Each Python block can be put beside the checks as it is."""
    for number, block in enumerate(blocks("python")):
        (tmp_path / f"example_{number}.py").write_text(block)
    assert [look.name for look in looks([tmp_path])] == ["largest_tables"]
    assert [cause.id for cause in causes([tmp_path])] == ["stripe.key-refused"]


def test_the_lines_of_the_example_are_lines() -> None:
    """Each with an anchor and its covers."""
    lines = read(blocks("markdown")[0]).lines
    assert [(line.anchor, [str(c) for c in line.covers]) for line in lines] == [
        ("site-down.pages", ["check: pages_answer", "check: health_answers_ok"]),
        ("site-down.rollback", ["command: do promote", "person: primary"]),
    ]


def test_the_tables_name_what_there_is() -> None:
    """What a look may ask for, and the kinds of covers."""
    names = {name.removeprefix("_make_") for name in dir(Scene) if name.startswith("_make_")}
    first = [row.split("|")[1] for row in TEXT.splitlines() if row.startswith("| `")]
    told = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    assert names - {"reach"} <= told
    assert set(KINDS) <= told
    assert told == (names - {"reach"}) | set(KINDS)
