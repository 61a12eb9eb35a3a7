"""Finds the runbook's declarations beside the checks: plain Python files of constants and decorated functions."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


class PolicyError(Exception):
    """A file of declarations that cannot be used; the message names it and the kind of its error, no value."""


def files(folders: Iterable[Path], *stems: str) -> list[Path]:
    """The files `STEM.py` and `STEM_*.py` of the folders, each once, in order of their names."""
    found = {
        path.resolve()
        for folder in folders
        for stem in stems
        for pattern in (f"{stem}.py", f"{stem}_*.py")
        for path in folder.glob(pattern)
    }
    return sorted(found)


def modules(folders: Iterable[Path], *stems: str) -> list[ModuleType]:
    """These files, imported under names of their own. Raises PolicyError for one that cannot be imported."""
    return [_imported(path) for path in files(folders, *stems)]


def members(sources: Iterable[ModuleType], attribute: str) -> Iterator[Any]:
    """What a decorator left as `attribute` at functions of these modules, in the order of their definition."""
    for module in sources:
        for value in vars(module).values():
            if getattr(value, "__module__", None) == module.__name__ and hasattr(value, attribute):
                yield getattr(value, attribute)


def _imported(path: Path) -> ModuleType:
    name = f"dialtone_policy_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PolicyError(f"{path.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PolicyError(f"{path.name} cannot be imported: {type(error).__name__}: {error}") from error
    return module
