"""The review of dependencies: what is installed, what the project pins, and, if asked, what the index has."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([\w.+!-]+)", re.MULTILINE)
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Review:
    """Names with (pinned, installed), names that are installed and pinned nowhere, names with (installed, newest).

    `newer` is None where the index was not asked, or did not answer: `why` says so.
    """

    pinned: int
    differing: Mapping[str, tuple[str, str]]
    unpinned: list[str]
    newer: Mapping[str, tuple[str, str]] | None
    why: str = ""


def installed() -> dict[str, str]:
    """Every installed distribution with its version, by normalised name."""
    found = importlib.metadata.distributions()
    return {_normal(one.metadata["Name"]): one.version for one in found if one.metadata["Name"]}


def review(
    constraints: Path,
    *,
    online: bool = False,
    have: Callable[[], dict[str, str]] = installed,
    ask: Callable[[], Mapping[str, tuple[str, str]]] | None = None,
) -> Review:
    """Compare what is installed with the pins of a file. Raises ValueError when there is no such file."""
    try:
        pins = {_normal(name): version for name, version in _PIN.findall(constraints.read_text())}
    except OSError:
        raise ValueError(f"{constraints} is not there: nothing is pinned") from None
    here = have()
    differing = {n: (v, here[n]) for n, v in pins.items() if n in here and here[n] != v}
    unpinned = sorted(here.keys() - pins.keys())
    newer, why = None, "the index was not asked: --online asks it"
    if online:
        try:
            newer, why = (ask or _outdated)(), ""
        except (OSError, ValueError, subprocess.SubprocessError) as wrong:
            why = f"the index could not be asked: {type(wrong).__name__}"
    return Review(len(pins), differing, unpinned, newer, why)


def _outdated() -> dict[str, tuple[str, str]]:
    """What pip says is outdated in this environment."""
    command = [sys.executable, "-m", "pip", "list", "--outdated", "--format", "json", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    return {_normal(one["name"]): (one["version"], one["latest_version"]) for one in json.loads(done.stdout)}


def _normal(name: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()
