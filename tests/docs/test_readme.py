"""README.md: its commands can be typed as they stand, its tables are those of the code."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT

from dialtone.cli import parser
from dialtone.judging import Meta, Record
from dialtone.report.gather import EXIT_WORDS, Gatherer, entry
from dialtone.verdict import Finding, Kind, Verdict

TEXT = (ROOT / "README.md").read_text()
COMMANDS = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.strip()
]
OURS = [c for c in COMMANDS if ".venv/bin/dialtone" in c or "--collect-only" in c]


def test_targets_of_make_are_there() -> None:
    """Every `make …` of the page is a target of the Makefile that says what it does."""
    words = [word for command in COMMANDS if command.startswith("make ") for word in shlex.split(command)[1:]]
    told = {word for word in words if "=" not in word}
    made = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert {"check", "test", "drill", "defects", "bench", "lint", "types"} <= told <= made


@pytest.mark.parametrize("command", OURS)
def test_commands_run_as_they_stand(command: str, tmp_path: Path) -> None:
    """Those that need no sandbox are run; all others are run by .ci/run."""
    words = shlex.split(command)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    module = {"dialtone": "dialtone.cli", "pytest": "pytest"}[Path(words[0]).name]
    done = subprocess.run(
        [sys.executable, "-m", module, *words[1:]],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_that_hold_a_sandbox_are_understood() -> None:
    """What the text mentions without running it."""
    for words in re.findall(r"`dialtone (sandbox \w+|defects|profile NAME)`", TEXT):
        assert callable(parser().parse_args(words.split()).run)


def test_other_commands_are_run_by_continuous_integration() -> None:
    """Every command of make on the page is a step of .ci/run; benches run there one by one."""
    steps = (ROOT / ".ci/run").read_text()
    assert "make drill" in TEXT
    assert "dialtone drill --scope smoke" in steps  # the whole of it is longer than a change may wait
    for target in ("check", "test", "defects", "lint", "types"):
        assert re.search(rf"^ *step make {target}\b", steps, re.M), target
    for bench in ("kills", "false_alarms"):
        assert f"bench/{bench}.py --quick" in steps, bench
    lanes = re.findall(r"^(\w+)\(\) \{\n  step ", steps, re.M)
    assert lanes
    assert re.findall(r"^aside (\w+)\n(?:step .*\n)+joined$", steps, re.M) == lanes


def test_exit_codes_are_those_of_the_code() -> None:
    """Ours, and pytest's."""
    told = re.findall(r"^\| ([\d to]+) \| (.+) \|$", TEXT, re.M)
    assert [int(code) for code, _ in told if code.isdigit() and int(code) >= 10] == sorted(EXIT_WORDS)
    assert [code for code, _ in told][:3] == ["0", "1", "2 to 5"]


def test_verdicts_are_those_of_the_code() -> None:
    """Every verdict and every kind of unknown has its row."""
    told = re.findall(r"^\| ([a-z]+)(?:: ([a-z]+))? \|", TEXT, re.M)
    assert {verdict for verdict, _ in told if verdict not in ("verdict",)} == {str(v) for v in Verdict}
    assert {kind for _, kind in told if kind} == {str(k) for k in Kind}


def test_the_document_has_the_keys_that_it_really_has() -> None:
    """The example of verdicts.json has the form of a real one."""
    block = re.search(r"```json\n(.*?)```", TEXT, re.S)
    assert block
    shown = json.loads(block[1])
    record = Record(Meta("x"), [Finding(Verdict.OK, "fine")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert list(shown) == list(Gatherer().document("sandbox", now, now, 0))
    assert set(shown["checks"][0]) == set(entry("a", record.meta, record))


def test_the_picture_is_there() -> None:
    """A PNG, not a pointer to one."""
    for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT):
        assert (ROOT / path).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
