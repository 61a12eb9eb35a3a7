"""docs/write-a-check.md, followed word for word in a copy of the checkout."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT

import dialtone
from dialtone import fixtures
from dialtone.judging import check

TEXT = (ROOT / "docs" / "write-a-check.md").read_text()
COPIED = ["src", "checks", "docs", "conftest.py", "dialtone.toml", "pyproject.toml"]


def blocks(mark: str) -> list[str]:
    """The blocks of code under a mark."""
    return re.findall(rf"<!-- {re.escape(mark)} -->\n```\w+\n(.*?)```", TEXT, re.S)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the page is about."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def follow(command: str, copy: Path) -> str:
    """Run a command of the page in the copy; what it printed."""
    program, *words = command.strip().removeprefix(".venv/bin/").split()
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "PYTEST_"))}
    paths = os.pathsep.join([str(copy / "src"), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-m", {"dialtone": "dialtone.cli"}.get(program, program), *words],
        cwd=copy,
        env={**environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def without_times(text: str) -> str:
    """The text without how long something took."""
    return re.sub(r"\d+(\.\d+)? s\b", "… s", text)


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands in a file exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name}: {old!r} stands there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def test_the_page_is_followed(copy: Path) -> None:
    """The check passes, then a defect makes it fail, and nothing else."""
    page, health = copy / "checks/test_site_down.py", copy / "src/dialtone_receptionist/routes/health.py"
    defects = copy / "src/dialtone_receptionist/defects.py"
    first, second = blocks("run: 0")
    (function,) = blocks("add to: checks/test_site_down.py")
    page.write_text(page.read_text() + "\n\n" + function)
    assert "1 check: 1 ok" in follow(first, copy)

    (entry,) = blocks("add to APPLICATION in: src/dialtone_receptionist/defects.py")
    (wrong,) = blocks("add before `return 200` in: src/dialtone_receptionist/routes/health.py")
    (claim,) = blocks("replace in: checks/test_site_down.py")
    edit(defects, "APPLICATION = {\n", "APPLICATION = {\n" + entry)
    edit(health, "    return 200 if is_ok", wrong + "    return 200 if is_ok")
    edit(page, function.splitlines(keepends=True)[0], claim)
    (expected,) = re.findall(r"```text\n(.*?)```", TEXT, re.S)
    assert without_times(expected) in without_times(follow(second, copy))


def told(heading: str) -> list[str]:
    """The first column of the table under a heading."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.M)


def test_arguments_are_those_of_check() -> None:
    """Every argument of `@check` is on the page, with its default."""
    parameters = inspect.signature(check).parameters
    assert sorted(told("What `@check` takes")) == sorted(parameters)
    for name in ("severity", "effect", "requests"):
        assert f"| `{name}` | `{parameters[name].default}` |" in TEXT


def test_fixtures_are_those_of_the_plugin() -> None:
    """Every public fixture is on the page."""
    found = [name for name, thing in vars(fixtures).items() if type(thing).__name__ == "FixtureFunctionDefinition"]
    assert sorted(told("What a check may ask for")) == sorted(name for name in found if not name.startswith("_"))


def test_judgements_are_those_of_the_package() -> None:
    """Every public name of the package and every method of `expect` is on the page."""
    for name in dialtone.__all__:
        assert re.search(rf"`@?{name}\b|\b{name}\(", TEXT) or name in ("experiment", "fault"), name
    methods = [name for name in vars(dialtone.expect) if not name.startswith("_")]
    assert all(f"`{name}`" in TEXT or f".{name}(" in TEXT for name in methods)
