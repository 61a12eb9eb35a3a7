"""`dialtone maintenance` at the terminal: runs the tasks of a period, writes the report, tells the outcome."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from dialtone.runbook.actions.record import Record, RecordError, operator
from dialtone.runbook.actions.run import NotPossible
from dialtone.runbook.actions.terminal import confirm
from dialtone.runbook.items import ItemsError
from dialtone.runbook.maintenance.item import PERIODS, Task, tasks
from dialtone.runbook.maintenance.report import report, write
from dialtone.runbook.maintenance.run import Done, Round, State
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
        known = tasks(items_folder(args.config, args.items))
        if not args.what:
            return _list(known, as_json=args.json)
        wanted = _wanted(args.what, known)
        with opened(args.config, args.target, start=True) as target:
            return _round(target, wanted, args)
    except (NotPossible, NotOpened, ItemsError, ProfileError, RecordError) as wrong:
        print(wrong, file=sys.stderr)
        return 4


def _wanted(words: list[str], known: dict[str, Task]) -> list[Task]:
    """The tasks of a period, or the named ones."""
    if len(words) == 1 and words[0] in PERIODS:
        return [task for task in known.values() if task.every == words[0]]
    if unknown := [word for word in words if word not in known]:
        names = ", ".join((*PERIODS, *known))
        raise NotPossible(f"{unknown[0]!r} is neither a period nor a task; there are {names}")
    return [known[word] for word in words]


def _list(known: dict[str, Task], *, as_json: bool) -> int:
    if as_json:
        told = [{"name": t.name, "every": t.every, "runbook": t.runbook, "does": t.summary} for t in known.values()]
        print(json.dumps(told))
        return 0
    for period in PERIODS:
        print(period)
        for task in known.values():
            if task.every == period:
                print(f"    {task.name:<24}{task.summary}")
    return 0


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
    at, period = time.time(), args.what[0] if args.what[0] in PERIODS else "partial"
    text = report(target.name, period, done, at, target.profile.runbook)
    path = write(args.build, target.name, period, text, at)
    if args.json:
        told = {"target": target.name, "period": period, "report": str(path), "tasks": [d.as_json() for d in done]}
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
