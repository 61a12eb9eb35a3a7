"""Causes and defects meet in their names alone: a diagnosis knows what is red and what it sees, nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dialtone.runbook.causes import declared as causes
from dialtone.runbook.looks import declared as looks
from dialtone.sandbox.campaign import known_defects
from dialtone.scan import syntax

ROOT = Path(__file__).parents[2]
CHECKS = ROOT / "checks"
ROOM = ROOT / "src/dialtone/runbook"
READS = [
    *(ROOM / f"{name}.py" for name in "after ask causes child diagnosis items looks masking record scene tell".split()),
    *sorted(CHECKS.glob("causes*.py")),
    CHECKS / "diagnosis.py",
]


def test_defects_have_a_cause_that_is_declared() -> None:
    """A name that no diagnosis could say would be missed for ever; a few may still be without one."""
    known, defects = {cause.id for cause in causes([CHECKS])}, known_defects()
    assert {d.id: d.cause for d in defects.values() if d.cause and d.cause not in known} == {}
    assert sum(bool(d.cause) for d in defects.values()) >= 0.95 * len(defects)


def test_causes_are_not_the_defects_by_another_name() -> None:
    """The vocabulary is that of on-call: components and what is wrong with them; no id is one of a defect."""
    defects = known_defects()
    ids = {cause.id for cause in causes([CHECKS])}
    assert not ids & set(defects)


def test_every_cause_can_be_read_at_night() -> None:
    """A sentence without its full stop, and a first step that does not begin with a capital, as it is told."""
    for cause in causes([CHECKS]):
        assert re.fullmatch(r"[a-z]+\.[a-z0-9-]+", cause.id), cause.id
        assert cause.says[0].isupper(), cause.id
        assert not cause.says.endswith("."), cause.id
        assert 10 <= len(cause.says) <= 120, cause.id
        assert not cause.first[0].isupper() or cause.first.split()[0].isupper() or "'" in cause.first.split()[0], (
            cause.id
        )
        assert len(cause.first) >= 10, cause.id


def test_signs_name_checks_that_exist(tmp_path: Path) -> None:
    """A cause that waits for a check that was renamed would never be seen."""
    from dialtone.sandbox.campaign import CHECKS as ARGUMENTS
    from dialtone.sandbox.campaign import known_claims

    names = {c.id for c in known_claims(list(ARGUMENTS), tmp_path)}
    functions = {name.partition("[")[0] for name in names}
    for cause in causes([CHECKS]):
        for when in cause.seen:
            for pattern in (when.check, *when.also, *when.well):
                assert pattern.partition("[")[0] in functions, f"{cause.id}: {pattern}"


@pytest.mark.parametrize("path", READS, ids=lambda p: p.name)
def test_a_diagnosis_does_not_know_the_defects(path: Path) -> None:
    """No defect by name, no switch file, no module that knows of them, no claim of a check."""
    text = path.read_text()
    for name in (*known_defects(), "DEFECTS_FILE", "catches", "defects.json"):
        if path.name == "ask.py" and name == "DEFECTS_FILE":
            continue  # it takes the variable away from the process that looks
        assert not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text), f"{path.name} names {name}"
    imported = {
        name
        for node in ast.walk(syntax(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    forbidden = ("dialtone.sandbox", "dialtone.standins", "dialtone_receptionist")
    assert not [name for name in imported if name.startswith(forbidden)]


def test_whoever_looks_is_told_nothing_of_the_sandbox() -> None:
    """The process of a diagnosis has neither the switch file nor the sandbox's state in its environment."""
    code = (
        "import os; os.environ.update(DIALTONE_SANDBOX='/x/state.json', DEFECTS_FILE='/x/defects.json')\n"
        "import subprocess; from dialtone.runbook import ask\n"
        "seen = {}\n"
        "class Spy(subprocess.Popen):\n"
        "    def __init__(self, *args, **options):\n"
        "        seen.update(options['env']); super().__init__(*args, **options)\n"
        "ask.subprocess.Popen = Spy\n"
        "ask.diagnose({'checks': [], 'folders': [], 'config': 'none.toml', 'target': 'x', 'began': '2026-01-01'})\n"
        "assert seen and not {'DIALTONE_SANDBOX', 'DEFECTS_FILE'} & set(seen)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_looks_of_the_suite_are_about_sections_of_the_runbook() -> None:
    """A look of a section that nobody has would never be taken."""
    text = (ROOT / "docs/runbook.md").read_text()
    for look in looks([CHECKS]):
        for section in look.sections:
            assert section == "*" or f'<a id="{section}"></a>\n' in text, f"{look.name}: {section}"
