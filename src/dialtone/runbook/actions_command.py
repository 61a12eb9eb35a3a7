"""The command `dialtone do`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dialtone.runbook.actions import Action, actions
from dialtone.runbook.actions_record import DEFAULT, Record, RecordError, operator
from dialtone.runbook.actions_run import Doing, NotPossible, Outcome
from dialtone.runbook.items import ItemsError
from dialtone.runbook.opened import NotOpened, items_folder, opened
from dialtone.target import ProfileError, Target

_EPILOG = """\
examples:
  dialtone do                                              what can be done
  dialtone do end-long-queries older=5m                    shows what would be done; changes nothing
  dialtone do end-long-queries older=5m --yes              does it, and looks whether anything is left
  dialtone do promote --target production --yes --confirm production
exit codes: 0 shown, done or nothing to do; 1 a step failed or something is left; 4 it cannot be used like this
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `do` to the command line."""
    do = commands.add_parser(
        "do",
        help="do what the runbook does by hand: shown first, done with --yes",
        description="Lists the runbook's actions, or shows what one of them would do, or does it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    do.add_argument("action", nargs="?", help="what to do (default: list what can be done)")
    do.add_argument("words", nargs="*", metavar="WORD", help="what it is to be done to, and options as name=value")
    do.add_argument("--yes", action="store_true", help="do it (default: show exactly what would be done)")
    do.add_argument("--confirm", metavar="TARGET", help="the target's name once more, for production")
    do.add_argument("--record", type=Path, default=DEFAULT, help=f"where it is written down (default: {DEFAULT})")
    do.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_places(do)
    do.set_defaults(run=_do)


def add_places(parser: argparse.ArgumentParser) -> None:
    """The options that say where: target, profile, items."""
    parser.add_argument("--target", help="name of the target in the profile file (default: sandbox)")
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.add_argument("--items", type=Path, default=None, help="folder of the items (default: checks, beside it)")


def _do(args: argparse.Namespace) -> int:
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
        with confirmed(target, args.target, args.confirm):
            outcome = doing.take(Record(args.record), operator(), _tell(args.json))
    else:
        outcome = doing.show()
    if args.json:
        print(json.dumps(outcome.as_json(), ensure_ascii=False, indent=1))
    else:
        print(_told(outcome, args))
    return 0 if outcome.dry or outcome.mended else 1


@contextmanager
def confirmed(
    target: Target, named: str | None, confirm: str | None, ask: Callable[[str], str] | None = None
) -> Iterator[None]:
    """Go on only when a person who means this target said so. Raises NotPossible.

    Production, and what could reach it, has to be named by --target and once more: by --confirm, or at the terminal.
    """
    grave = target.profile.kind == "production" or bool(target.fenced)
    if grave and named != target.name:
        raise NotPossible(f"{target.name} is production or could reach it: name it with --target {target.name}")
    if confirm is None and grave and (ask or sys.stdin.isatty()):
        confirm = (ask or input)(f"this changes {target.name}. Type its name to go on: ").strip()
    if (grave or confirm is not None) and confirm != target.name:
        said = "nothing" if not confirm else repr(confirm)
        raise NotPossible(f"not confirmed: {said} instead of the target's name; say --confirm {target.name}")
    yield


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
    end = "done, nothing is left to do" if outcome.mended else f"NOT mended, {outcome.left} left to do"
    return "\n".join([head + end, *lines, f"written down in {args.record}"])
