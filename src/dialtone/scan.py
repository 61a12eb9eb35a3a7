"""Does a run hold checks? Answered from source text before anything is imported.

Under xdist only the workers collect, and they are started with the controller's environment: what the checks need has
to be on its way before that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

_NAMES = {"check", "experiment"}


def holds_checks(paths: Iterable[Path]) -> bool:
    """Whether a Python file among (or below) the paths has a function under `@check(…)` or `@experiment(…)`."""
    return any(_has_check(file) for file in _files(paths))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (p for p in sorted(path.rglob("*.py")) if not any(part.startswith(".") for part in p.parts[-3:]))
        elif path.suffix == ".py" and path.is_file():
            yield path


def _has_check(file: Path) -> bool:
    text = file.read_text(errors="replace")
    if "@check(" not in text and "@experiment(" not in text and ".check(" not in text and ".experiment(" not in text:
        return False
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    return any(_name(d) in _NAMES for node in ast.walk(tree) for d in getattr(node, "decorator_list", []))


def _name(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
