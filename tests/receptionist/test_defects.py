"""The list of defects and its switches."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dialtone_receptionist
from dialtone_receptionist.defects import APPLICATION, DATABASE, DEFECTS, EDGE, Switches, on
from dialtone_receptionist.holds import HOLDS
from dialtone_receptionist.resilience_defects import RESILIENCE

PACKAGE = Path(dialtone_receptionist.__file__).parent


def in_source() -> set[str]:
    """Every id that the package's code asks for."""
    code = "\n".join(
        f.read_text()
        for f in PACKAGE.rglob("*.py")
        if f.name not in ("defects.py", "holds.py", "resilience_defects.py")
    )
    return set(re.findall(r'\bon\("([a-z0-9-]+)"\)', code)) | set(
        re.findall(r'"([a-z0-9-]+)" (?:not )?in (?:self\.)?(?:active|_?edge)', code)
    )


def test_every_switch_is_asked_for_and_declared() -> None:
    """A declared defect does something, and no code asks for one that nobody can switch."""
    assert in_source() | {"edge-anonymous"} == APPLICATION.keys() | EDGE.keys() | RESILIENCE.keys()


def test_every_database_defect_can_be_held() -> None:
    """The ones of the database are exactly those that a process can hold."""
    assert HOLDS.keys() == DATABASE.keys()
    assert {name for name, defect in DEFECTS.items() if defect["how"] == "hold"} == HOLDS.keys()


def test_each_defect_is_described_by_one_sentence() -> None:
    """`what` is one plain sentence, and no two are the same."""
    sentences = [defect["what"] for defect in DEFECTS.values()]
    assert all(re.fullmatch(r"[A-Z0-9/].+\.", text) and "\n" not in text and len(text) <= 110 for text in sentences)
    assert len(set(sentences)) == len(sentences) >= 70


def test_command_prints_the_list() -> None:
    """`python -m dialtone_receptionist.defects` prints id -> what, area, how, cascade; holding nothing known fails."""
    command = [sys.executable, "-m", "dialtone_receptionist.defects"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(listed.stdout) == DEFECTS
    assert subprocess.run([*command, "--hold", "nonsense"], capture_output=True, check=False).returncode == 2


def test_switches_follow_the_file(switch: Callable[..., None]) -> None:
    """A replaced file counts from the next question on."""
    assert not on("page-500")
    switch("page-500")
    assert on("page-500")
    switch("soft-404")
    assert not on("page-500")
    assert on("soft-404")
    switch()
    assert not on("soft-404")


def test_a_removed_file_is_no_defect(tmp_path: Path) -> None:
    """Missing before or after: nothing is on."""
    file = tmp_path / "defects.json"
    switches = Switches(str(file))
    assert switches.active() == frozenset()
    file.write_text('["page-500"]')
    assert switches.active() == {"page-500"}
    file.unlink()
    assert switches.active() == frozenset()
    assert Switches("").active() == frozenset()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question costs a stat, not a parse."""
    file = tmp_path / "defects.json"
    file.write_text('["page-500"]')
    switches = Switches(str(file))
    first = switches.active()
    monkeypatch.setattr(json, "load", lambda _: pytest.fail("read again"))
    assert switches.active() is first
