"""The command `dialtone maintenance`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from dialtone.runbook.actions_command import add_places, confirmed
from dialtone.runbook.actions_record import DEFAULT, Record, RecordError, operator
from dialtone.runbook.actions_run import NotPossible
from dialtone.runbook.items import ItemsError
from dialtone.runbook.maintenance import PERIODS, Task, tasks
from dialtone.runbook.maintenance_report import report, write
from dialtone.runbook.maintenance_run import Done, Round, State
from dialtone.runbook.opened import NotOpened, items_folder, opened
from dialtone.target import ProfileError, Target

_MARKS = {
    State.DONE: "x",
    State.ATTENTION: "!",
    State.WAITING: " ",
    State.PERSON: " ",
    State.UNARMED: "-",
    State.FAILED: "-",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `maintenance` to the command line."""
    found = commands.add_parser(
        "maintenance",
        help="do the weekly, monthly or quarterly maintenance as far as a machine can",
        description="Runs the tasks of a period, ticks them off, and leaves a dated report with what is left to a"
        " person. Reads only, unless --yes is given. A sandbox is started for it where none runs.",
        epilog="exit codes: 0 done as far as a machine can; 1 a task failed; 4 it cannot be used like this",
    )
    found.add_argument("period", choices=PERIODS, help="which tasks")
    found.add_argument("--yes", action="store_true", help="also do what changes something (default: show it)")
    found.add_argument("--confirm", metavar="TARGET", help="the target's name once more, for production with --yes")
    found.add_argument("--only", nargs="+", metavar="TASK", default=[], help="only these tasks")
    found.add_argument("--online", action="store_true", help="ask the package index for newer versions, too")
    found.add_argument("--build", type=Path, default=Path("build"), help="where reports and snapshots go")
    found.add_argument("--record", type=Path, default=DEFAULT, help=f"where changes are noted (default: {DEFAULT})")
    found.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_places(found)
    found.set_defaults(run=_maintenance)


def _maintenance(args: argparse.Namespace) -> int:
    try:
        wanted = _wanted(args)
        with opened(args.config, args.target, start=True) as target:
            return _round(target, wanted, args)
    except (NotPossible, NotOpened, ItemsError, ProfileError, RecordError) as wrong:
        print(wrong, file=sys.stderr)
        return 4


def _wanted(args: argparse.Namespace) -> list[Task]:
    known = [task for task in tasks(items_folder(args.config, args.items)).values() if task.every == args.period]
    if unknown := sorted(set(args.only) - {task.name for task in known}):
        names = ", ".join(task.name for task in known) or "none"
        raise NotPossible(f"there is no {args.period} task {unknown[0]!r}; there are {names}")
    return [task for task in known if not args.only or task.name in args.only]


def _round(target: Target, wanted: list[Task], args: argparse.Namespace) -> int:
    tell = (lambda what: print(f"{what} …", file=sys.stderr, flush=True)) if not args.json else (lambda _: None)
    if args.yes:
        record = Record(args.record)
        with confirmed(target, args.target, args.confirm), record.held():
            done = Round(target, args.build, yes=True, online=args.online, record=record, who=operator()).run(
                wanted, tell
            )
    else:
        done = Round(target, args.build, online=args.online).run(wanted, tell)
    at, period = time.time(), args.period
    text = report(target.name, period, done, at, target.profile.runbook)
    path = write(args.build, target.name, f"{period}-part" if args.only else period, text, at)
    if args.json:
        told = {"target": target.name, "period": args.period, "report": str(path), "tasks": [d.as_json() for d in done]}
        print(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        print(_told(done, path))
    return 1 if any(one.state is State.FAILED for one in done) else 0


def _told(done: list[Done], path: Path) -> str:
    lines = []
    for one in done:
        lines.append(f"[{_MARKS[one.state]}] {one.line}" + (f": {one.reason}" if one.reason else ""))
        lines += [f"      {text}" for text in (*one.attentions, *one.persons)]
        lines += [f"      {s.what}: {s.came or 'waits for --yes'}" for s in one.steps]
    ticked = sum(one.is_ticked for one in done)
    return "\n".join([*lines, f"{ticked} of {len(done)} done; the report: {path}"])
