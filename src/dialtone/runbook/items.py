"""Items of the runbook: decorated functions beside the checks, in the files of `checks/` that pytest does not collect.

A decorator (`@action`, `@task`) hangs a record on its function; nothing is registered anywhere else, so that whoever
wants the items of one kind reads the files of a folder for them.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

_HOOK = "__dialtone_item__"


class ItemsError(Exception):
    """The files of the items cannot be used; the text names file and remedy."""


class Item(Protocol):
    """What every kind of item has: the name by which it is called."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...


Kind = TypeVar("Kind", bound=Item)


def hang(function: Callable[..., Any], item: Item) -> None:
    """Hang the record of an item on its function."""
    setattr(function, _HOOK, item)


def called(function: Callable[..., Any]) -> str:
    """The name of an item: that of its function, with dashes."""
    return function.__name__.strip("_").replace("_", "-")


def summary(function: Callable[..., Any]) -> str:
    """The first line of the function's docstring."""
    return (function.__doc__ or "").strip().partition("\n")[0]


def files(folder: Path) -> list[Path]:
    """The Python files of a folder that hold items and no checks, by name."""
    found = [path for path in folder.glob("*.py") if not path.name.startswith(("test_", "_", "conftest"))]
    return sorted(path for path in found if not path.stem.endswith("_test"))


def collect(folder: Path, kind: type[Kind]) -> dict[str, Kind]:
    """The items of one kind in the files of a folder, by name, in the order of files and lines. Raises ItemsError."""
    found: dict[str, Kind] = {}
    for path in files(folder):
        for value in vars(_module(path)).values():
            item = getattr(value, _HOOK, None)
            if not isinstance(item, kind) or getattr(value, "__module__", None) != _name(path):
                continue
            if item.name in found:
                raise ItemsError(f"{path}: there are two items {item.name}: give one another name")
            found[item.name] = item
    return found


def listed(folder: Path, constant: str) -> list[Any]:
    """What stands in the lists of this name in the files of a folder, in the order of the files. Raises ItemsError.

    Files that do not write the name at the beginning of a line are not read: what is wrong with them is of no matter.
    """
    named = [path for path in files(folder) if re.search(rf"^{constant}\b", path.read_text(), re.MULTILINE)]
    return [one for path in named for one in getattr(_module(path), constant, ())]


def _name(path: Path) -> str:
    return f"dialtone_items_{path.resolve().parent.name}_{path.stem}"


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(_name(path), path)
    if spec is None or spec.loader is None:
        raise ItemsError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as wrong:
        raise ItemsError(f"{path}: {type(wrong).__name__}: {wrong}") from wrong
    return module
