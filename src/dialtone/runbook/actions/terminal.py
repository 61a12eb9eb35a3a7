"""`dialtone do` at the terminal: lists actions, shows or takes one, asks for the confirmation, tells the outcome."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from dialtone.runbook.actions.item import Action, actions
from dialtone.runbook.actions.record import Record, RecordError, operator
from dialtone.runbook.actions.run import Doing, NotPossible, Outcome
from dialtone.runbook.items import ItemsError
from dialtone.runbook.opened import NotOpened, items_folder, opened
from dialtone.target import ProfileError, Target


def do(args: argparse.Namespace) -> int:
    """The command; its exit code."""
    try:
        found = actions(items_folder(args.config, args.items))
        if args.action is None:
            return _list(found, as_json=args.json)
        action = _named(args.action, found)
        with opened(args.config, args.target) as target:
            return _carry_out(action, target, args)
    except (NotPossible, NotOpened, ItemsError, ProfileError, RecordError) as wrong:
        print(wrong, file=sys.stderr)
        return 4


def _named(name: str, found: dict[str, Action]) -> Action:
    if name not in found:
        raise NotPossible(f"there is no action {name!r}; there are {', '.join(found) or 'none'}")
    return found[name]


def _list(found: dict[str, Action], *, as_json: bool) -> int:
    if as_json:
        print(
            json.dumps(
                [{"name": a.name, "usage": a.usage, "runbook": a.runbook, "does": a.summary} for a in found.values()]
            )
        )
        return 0
    for action in found.values():
        print(f"{action.usage}\n    {action.summary}")
    if not found:
        print("no actions: functions under @action in the files beside the checks")
    return 0


def _carry_out(action: Action, target: Target, args: argparse.Namespace) -> int:
    doing = Doing(action, target, args.words)
    if args.yes:
        confirm(target, args.target, args.confirm, lambda: _told(doing.show(), args))
        outcome = doing.take(Record(args.record), operator(), _tell(args.json))
    else:
        outcome = doing.show()
    if args.json:
        print(json.dumps(outcome.as_json(), ensure_ascii=False, indent=1))
    else:
        print(_told(outcome, args))
    return 0 if outcome.dry or outcome.mended else 1


def confirm(
    target: Target,
    named: str | None,
    said: str | None,
    show: Callable[[], str],
    ask: Callable[[str], str] | None = None,
) -> None:
    """Return only when a person who means this target said so. Raises NotPossible.

    Production, and what could reach it, has to be named by `--target` and once more: by `--confirm`, or at the
    terminal, where what will be done is shown first.
    """
    grave = target.profile.kind == "production" or bool(target.fenced)
    if grave and named != target.name:
        raise NotPossible(f"{target.name} is production or could reach it: name it with --target {target.name}")
    if said is None and grave and (ask or sys.stdin.isatty()):
        print(show(), file=sys.stderr)
        said = (ask or input)(f"this changes {target.name}. Type its name to go on: ").strip()
    if (grave or said is not None) and said != target.name:
        instead = repr(said) if said else "nothing"
        raise NotPossible(f"not confirmed: {instead} instead of the target's name; say --confirm {target.name}")


def _tell(as_json: bool) -> Callable[[str], None]:
    return lambda what: print(f"{what} …", file=sys.stderr, flush=True) if not as_json else None


def _told(outcome: Outcome, args: argparse.Namespace) -> str:
    """The outcome for people."""
    head = f"{outcome.action} on {outcome.target}: "
    lines = []
    for number, step in enumerate(outcome.steps, 1):
        came = "" if step.came is None else f": {'FAILED, ' if step.failed else ''}{step.came}"
        lines.append(f"{number}. {step.what}{came}")
        if outcome.dry:
            lines += [f"     {line}".rstrip() for line in step.shown]
    lines += [f"-> {line}" for line in outcome.said]
    if not outcome.steps:
        return "\n".join([head + "nothing to do", *lines])
    count = f"{len(outcome.steps)} step{'' if len(outcome.steps) == 1 else 's'}"
    if outcome.dry:
        again = " ".join(
            ["dialtone do", outcome.action, *args.words, *(["--target", args.target] if args.target else [])]
        )
        return "\n".join([f"{head}{count}, nothing was changed", *lines, f"do it: {again} --yes"])
    left = "whether anything is left is unknown" if outcome.left is None else f"{outcome.left} left to do"
    end = "done, nothing is left to do" if outcome.mended else f"NOT mended, {left}"
    return "\n".join([head + end, *lines, f"written down in {args.record}"])
