"""What the profile file says about the sandbox: the commands start the same one that a run of checks would start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TARGET = "sandbox"


def named_target(arguments: Sequence[str]) -> str:
    """The target that these arguments of pytest name, or the default one."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return words[words.index("--target") + 1] if "--target" in words[:-1] else TARGET


def sandbox_options(target: str = TARGET, start: Path | None = None) -> dict[str, Any]:
    """Options for `Sandbox.begin`: from DIALTONE_CONFIG, or the nearest dialtone.toml; none where there is no file.

    Raises dialtone.target.ProfileError for a file that cannot be read.
    """
    path = _file(start)
    if path is None:
        return {}
    from dialtone.target.load import sandbox_options as read

    return read(path, target)


def app_defects(target: str = TARGET, start: Path | None = None) -> list[str] | None:
    """The command that lists the defects of the target's own application; None for the one that comes with the suite.

    An application without such a command has an empty one. Raises dialtone.target.ProfileError for a file that cannot
    be read.
    """
    path = _file(start)
    if path is None:
        return None
    from dialtone.target.load import app_defects as read

    return read(path, target)


def _file(start: Path | None) -> Path | None:
    """The profile file: the one that is named, or the nearest."""
    here = (start or Path.cwd()).resolve()
    named = os.environ.get("DIALTONE_CONFIG")
    candidates = [Path(named)] if named else [folder / "dialtone.toml" for folder in (here, *here.parents)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)
