"""`dialtone maintenance` at the terminal: runs the tasks of a period, writes the report, tells the outcome."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from dialtone.runbook.actions_record import Record, RecordError, operator
from dialtone.runbook.actions_run import NotPossible
from dialtone.runbook.actions_terminal import confirm
from dialtone.runbook.items import ItemsError
from dialtone.runbook.maintenance import Task, tasks
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


def maintain(args: argparse.Namespace) -> int:
    """The command; its exit code."""
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
        record, names = Record(args.record), ", ".join(task.name for task in wanted)
        confirm(
            target, args.target, args.confirm, lambda: f"{args.period} maintenance with all it would change: {names}"
        )
        with record.held():
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
