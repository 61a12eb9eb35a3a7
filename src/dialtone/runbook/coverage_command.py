"""The command `dialtone runbook coverage`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dialtone.runbook.actions.item import actions
from dialtone.runbook.coverage import LEAST, Coverage, Covers, judged
from dialtone.runbook.items import ItemsError
from dialtone.runbook.looks import declared
from dialtone.runbook.maintenance.item import PERIODS, tasks
from dialtone.runbook.opened import NotOpened, items_folder, profile_file
from dialtone.runbook.page import read
from dialtone.target import ProfileError
from dialtone.target.load import alerting
from dialtone.target.load import read as read_profile
from dialtone.verdict import Severity

_COLLECTING = 120.0


class CoverageError(Exception):
    """The coverage cannot be told; the message says why and what to do."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `runbook` with its parts to the command line."""
    runbook = commands.add_parser(
        "runbook",
        help="the runbook: what covers each of its lines",
        description="Reads the runbook that the profile names, and says what covers each of its lines.",
    )
    parts = runbook.add_subparsers(title="parts", metavar="PART", required=True)
    coverage = parts.add_parser(
        "coverage",
        help="what covers each line of the runbook",
        description="Prints each line of the runbook with what covers it. Fails on a line that nothing covers, on a"
        f" cover that is not there, on a placeholder, and when less than {LEAST} % are covered by something that runs.",
        epilog="docs/diagnosis.md tells how a line says what covers it",
    )
    coverage.add_argument("--runbook", type=Path, default=None, help="the runbook (default: the one of the profile)")
    coverage.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    coverage.add_argument("--items", type=Path, default=None, help="folder of checks and items (default: checks)")
    coverage.add_argument("--json", action="store_true", help="print everything as JSON")
    coverage.set_defaults(run=lambda args: _coverage(args, set(_words(commands))))


def _words(commands: argparse._SubParsersAction[argparse.ArgumentParser], before: str = "") -> Iterator[str]:
    """Every command, and every part of one: `runbook`, `runbook coverage`."""
    for name, parser in commands.choices.items():
        yield f"{before}{name}"
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from _words(action, f"{before}{name} ")


def _coverage(args: argparse.Namespace, commands: Collection[str]) -> int:
    try:
        found = _found(args, commands)
    except (CoverageError, NotOpened, ItemsError, ProfileError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    if args.json:
        print(json.dumps(found.document, indent=1, ensure_ascii=False))
    else:
        print("\n".join(_table(found)))
    for said in (*found.remarks, *found.complaints):
        print(said, file=sys.stderr)
    return 1 if found.complaints else 0


def _found(args: argparse.Namespace, commands: Collection[str]) -> Coverage:
    config = profile_file(args.config)
    folder = items_folder(args.config, args.items)
    path = args.runbook or _runbook(config)
    if not path.is_file():
        raise CoverageError(f"{path}: no such file: name the runbook with --runbook")
    collected = _collected(config, folder)
    names = {
        "check": {name for name, is_experiment in collected if not is_experiment},
        "experiment": {name for name, is_experiment in collected if is_experiment},
        "diagnosis": {look.name for look in declared([folder])},
        "command": {*commands, *_commands(folder)},
        "route": _routes(config),
    }
    return judged(read(path.read_text()), Covers(names, config.parent, _people(config)))


def _runbook(config: Path) -> Path:
    file = read_profile(config)
    tables = (file.defaults, *file.target.values())
    told = next((str(table["runbook"]) for table in tables if table.get("runbook")), "docs/runbook.md")
    if told.startswith(("http://", "https://")):
        raise CoverageError(f"the runbook is at {told}: name a file of it with --runbook")
    return config.parent / told


def _collected(config: Path, folder: Path) -> set[tuple[str, bool]]:
    """Name of each check and experiment, with and without its case, and whether it is an experiment."""
    beside = folder.parent / "chaos"
    with tempfile.TemporaryDirectory() as place:
        catalog = Path(place) / "catalog.json"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", folder, *([beside] if beside.is_dir() else []), "--collect-only", "-q"],
            cwd=config.parent,
            env={**os.environ, "DIALTONE_CATALOG": str(catalog), "DIALTONE_CONFIG": str(config)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_COLLECTING,
        )
        if not catalog.exists():
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise CoverageError(f"the checks cannot be collected: {said[-1] if said else 'pytest said nothing'}")
        entries: list[Mapping[str, Any]] = json.loads(catalog.read_text())["checks"]
    return {(entry[key], bool(entry["experiment"])) for entry in entries for key in ("id", "function")}


def _commands(folder: Path) -> Iterator[str]:
    """What `dialtone do` and `dialtone maintenance` can be told."""
    yield from (f"do {name}" for name in actions(folder))
    yield from (f"maintenance {name}" for name in (*PERIODS, *tasks(folder)))


def _routes(config: Path) -> set[str]:
    """Ways in which people hear of something: routes and channels by name, kinds of channels, severities."""
    from dialtone.incidents.channels import KINDS

    told = alerting(config)
    return {*told.routes, *told.channels, *KINDS, *Severity}


def _people(config: Path) -> dict[str, str] | None:
    on_call = alerting(config).on_call
    if on_call is None:
        return None
    roles = {"primary": on_call.primary, "secondary": on_call.secondary, "escalation": on_call.escalation}
    return {role: who for role, who in roles.items() if who is not None}


def _table(found: Coverage) -> Iterator[str]:
    section = None
    for line in found.lines:
        if line.section != section:
            section = line.section
            yield f"\n{section or '(no section)'}"
        kinds = dict.fromkeys(cover.kind for cover in line.covers)
        told = ((kind, ", ".join(c.name for c in line.covers if c.kind == kind)) for kind in kinds)
        covers = "; ".join(f"{kind}: {names}" if names else kind for kind, names in told) or "NOTHING"
        yield f"  {line.under[:14]:<14}  {line.text[:58]:<58}  {covers}"
    counts = found.counts()
    covered = found.share("runs", "document", "person", "planned")
    said = ", ".join(f"{counts[how]} {word}" for how, word in _WORDS.items() if counts[how])
    yield f"\n{len(found.lines)} lines: {covered:.0f} % covered, {found.share('runs'):.0f} % by what runs ({said})"


_WORDS = {
    "runs": "run",
    "document": "by a document",
    "person": "by a person",
    "planned": "planned",
    "nothing": "by nothing",
}
