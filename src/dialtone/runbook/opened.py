"""The target of a command of the runbook: its profile, and the sandbox that it may live in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialtone.target import Target, load
from dialtone.target.load import read, sandbox_options

DEFAULT = "sandbox"
ATTACH = "DIALTONE_SANDBOX"


class NotOpened(Exception):
    """There is no such target to work on; the text names the remedy."""


def profile_file(config: Path | None) -> Path:
    """The profile file: the named one, DIALTONE_CONFIG, or the nearest dialtone.toml. Raises NotOpened."""
    named = config or (Path(os.environ["DIALTONE_CONFIG"]) if os.environ.get("DIALTONE_CONFIG") else None)
    here = Path.cwd().resolve()
    places = [named] if named else [folder / "dialtone.toml" for folder in (here, *here.parents)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise NotOpened(f"{named}: no such file" if named else "no dialtone.toml here or above: name one with --config")
    return found.resolve()


def items_folder(config: Path | None, items: Path | None) -> Path:
    """Where the items are: the named folder, or `checks` beside the profile file. Raises NotOpened."""
    folder = items or profile_file(config).parent / "checks"
    if not folder.is_dir():
        raise NotOpened(f"{folder}: no such folder: name the one that holds the items with --items")
    return folder


@contextmanager
def opened(config: Path | None, name: str | None, *, start: bool = False) -> Iterator[Target]:
    """The target, with its sandbox where it is one: the attached, or the only resident one; else, if told, a new one.

    The environment names a target for runs of checks (DIALTONE_TARGET), and not for what changes something: here it
    is the sandbox unless the command line says otherwise. Raises NotOpened and ProfileError.
    """
    path, name = profile_file(config), name or DEFAULT
    file = read(path)
    if {**file.defaults, **file.target.get(name, {})}.get("kind") != "sandbox":
        yield load(path, name)
        return
    from dialtone.sandbox import Sandbox, SandboxError

    try:
        state = _state_file(start)
        sandbox = Sandbox.attach(state) if state else Sandbox.begin(**sandbox_options(path, name)).wait()
    except SandboxError as wrong:
        raise NotOpened(str(wrong)) from None
    with sandbox:
        yield load(path, name, {**os.environ, **sandbox.env})


def _state_file(start: bool) -> Path | None:
    """The state file of the sandbox to use; None when one is to be started."""
    if os.environ.get(ATTACH):
        return Path(os.environ[ATTACH])
    from dialtone.sandbox import folder as folders

    resident = [path / "state.json" for path in folders.live_runs() if _is_resident(path / "state.json")]
    if len(resident) == 1:
        return resident[0]
    if start and not resident:
        return None
    if not resident:
        raise NotOpened("no sandbox runs: start one with `dialtone sandbox up`, or name another target with --target")
    raise NotOpened(f"{len(resident)} resident sandboxes run: choose one with {ATTACH}=STATE_FILE")


def _is_resident(state: Path) -> bool:
    try:
        return bool(json.loads(state.read_text())["resident"])
    except (OSError, ValueError, KeyError):
        return False
