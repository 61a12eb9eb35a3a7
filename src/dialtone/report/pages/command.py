"""`dialtone report`: one page for every day, and with `--public` what customers may see."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialtone.history.commands import place_of
from dialtone.history.engines import StoreError
from dialtone.history.location import DEFAULT, VARIABLE
from dialtone.history.store import HOLDS, Store
from dialtone.report.pages import drilled
from dialtone.report.pages.daily import Daily, gather
from dialtone.report.pages.daily_page import daily_page
from dialtone.report.pages.paint import badge
from dialtone.report.pages.status import status, status_page
from dialtone.report.pages.written import drill_report, put, read_json
from dialtone.report.site import SiteError, generate, install


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "report",
        help="one page to open every day: what is wrong, budgets, incidents, the last drill, what nobody observed",
        description="Writes report.html, one file that loads nothing, from the history, the incidents, the last run and"
        " the last drill; and the drill's own page anew. --public writes what customers may see, by an allow-list:"
        " status.html, status.json and badge.svg, with the components that the profile names. Exit codes: 0 written,"
        " 1 nothing is known, 4 no such history or a wrong profile, 5 no Allure report.",
        epilog="dialtone report; dialtone report --target production --public --to build/report/public",
    )
    parser.add_argument("--build", type=Path, default=Path("build"), metavar="FOLDER", help="what runs left (build)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where to (default: the build folder)")
    parser.add_argument("--target", help="which target (default: the only one of the history, or production)")
    parser.add_argument("--store", help="the history (default: DIALTONE_HISTORY, else build/history.db)")
    parser.add_argument("--config", type=Path, help="the profile file (default: dialtone.toml)")
    parser.add_argument("--public", action="store_true", help="only what customers may see")
    parser.add_argument("--allure", action="store_true", help="the Allure 3 report of build/allure-results as well")
    parser.add_argument("--install", action="store_true", help="with --allure: get its program with npm, if need be")
    parser.add_argument("--title", default="Status", help="of the status page (default: Status)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, clock: Callable[[], float] = time.time) -> int:
    """Gather and write; the exit code."""
    from dialtone.target import ProfileError

    try:
        told, components = _told(args, clock())
    except (StoreError, ProfileError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    if not told.checks and not told.unarmed and not told.drill:
        print(
            f"nothing is known of {told.target}: `pytest checks` leaves verdicts, `dialtone drill` a drill; --build and"
            " --store name other places",
            file=sys.stderr,
        )
        return 1
    to = args.to or args.build
    if args.public:
        shown = status(told, components)
        made = [
            put(to / "status.json", json.dumps(shown, indent=1, ensure_ascii=False) + "\n"),
            put(to / "status.html", status_page(shown, args.title)),
            put(to / "badge.svg", badge(shown["state"])),
        ]
    else:
        made = [put(to / "report.html", daily_page(told))]
        made += drill_report(args.build / "drill.json") if told.drill and not args.to else []
    if args.allure:
        try:
            if args.install:
                install()
            page, gate = generate(args.build, to / "allure-report")
        except SiteError as wrong:
            print(wrong, file=sys.stderr)
            return 5
        print(gate, file=sys.stderr)
        made.append(page)
    print("\n".join(map(str, made)))
    return 0


def _told(args: argparse.Namespace, now: float) -> tuple[Daily, dict[str, list[str]]]:
    """What is known, and the components of the profile. Raises StoreError, ProfileError."""
    from dialtone.target.load import nearest, objectives

    config = args.config or nearest()
    verdicts = read_json(args.build / "verdicts.json")
    store = _store(args)
    try:
        targets = store.targets() if store else []
        only = targets[0] if len(targets) == 1 else None
        target = args.target or only or (verdicts.get("target") if not targets else None) or "production"
        profile: dict[str, Any] = _profile(config, target) if config.is_file() or args.config else {}
        told = gather(
            store,
            target,
            now,
            verdicts=verdicts,
            objectives=objectives(config, target) if profile else {},
            told=_drill(args.build / "drill.json"),
            figures=not args.public,
            runbook=str(profile.get("runbook", "")),
            every=_every(profile),
        )
        return told, profile.get("components", {})
    finally:
        if store:
            store.close()


def _profile(config: Path, target: str) -> dict[str, Any]:
    from dialtone.target.load import raw

    return raw(config, target) if target in raw(config) else {}


def _every(profile: Mapping[str, Any]) -> float:
    """Seconds between rounds, for a run that is in no history: as who starts them says, else the profile."""
    from dialtone.target import ProfileError
    from dialtone.target.duration import seconds

    told = os.environ.get("DIALTONE_EVERY")
    written = profile.get("schedule", {}).get("every")
    try:
        return float(told) if told else seconds(written) if written else HOLDS
    except ValueError as wrong:
        raise ProfileError(f"schedule.every: {wrong}") from None


def _store(args: argparse.Namespace) -> Store | None:
    """The history; none where the usual place has none, since a run may not have kept any."""
    try:
        place = place_of(args.store, os.environ)
    except StoreError:
        if args.store or os.environ.get(VARIABLE, DEFAULT) not in ("", DEFAULT):
            raise
        return None
    return Store.open(place)


def _drill(document: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        return drilled.read(document)
    except (OSError, ValueError):
        return {}, []
