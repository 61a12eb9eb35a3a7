"""Does a run hold checks? Answered from source text before anything is imported.

Under xdist only the workers collect, and they are started with the controller's environment: what the checks need has
to be on its way before that.
"""

from __future__ import annotations

import ast
import gc
import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

_NAMES = frozenset({"check", "experiment"})
_PASSED_OVER = {"__pycache__", "node_modules", "build", "dist"}


def holds_experiments(paths: Iterable[Path]) -> bool:
    """As `holds_checks`, for `@experiment(…)` alone."""
    return any(_has_check(file, {"experiment"}) for file in _files(paths))


def holds_checks(paths: Iterable[Path]) -> bool:
    """Whether any Python file among (or below) the paths has a function decorated by `@check(…)` or `@experiment(…)`.

    Only files that name `dialtone` count: other libraries have decorators of that name. Folders that pytest would not
    collect either are passed over (hidden ones, virtual environments, what a build left).
    """
    return any(_has_check(file) for file in _files(paths))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.suffix == ".py" and path.is_file():
            yield path
        for folder, below, names in os.walk(path):
            below[:] = sorted(
                name
                for name in below
                if name not in _PASSED_OVER
                and not name.startswith(".")
                and not Path(folder, name, "pyvenv.cfg").is_file()
            )
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def syntax(text: str) -> ast.Module:
    """The tree of a source. Raises SyntaxError, or ValueError for a NUL in it.

    Nothing is collected meanwhile: a finalizer that fails has its traceback formatted, which parses a line as well, and
    CPython 3.11 then takes the depth of that for a mistake in this one (SystemError).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if was_enabled:
            gc.enable()


def _has_check(file: Path, names: Set[str] = _NAMES) -> bool:
    text = file.read_text(errors="replace")
    if "dialtone" not in text:
        return False
    try:
        tree = syntax(text)
    except (SyntaxError, ValueError):
        return False
    own = {alias.asname or alias.name for alias in _imported(tree) if alias.name in names}
    decorators = (d for node in ast.walk(tree) for d in getattr(node, "decorator_list", []))
    return any(_is_ours(d.func if isinstance(d, ast.Call) else d, own, names) for d in decorators)


def _imported(tree: ast.AST) -> Iterator[ast.alias]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from node.names


def _is_ours(name: ast.expr, own: set[str], names: Set[str]) -> bool:
    if isinstance(name, ast.Attribute):
        return name.attr in names and isinstance(name.value, ast.Name) and name.value.id == "dialtone"
    return isinstance(name, ast.Name) and name.id in own
