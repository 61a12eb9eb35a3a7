"""The command line of `dialtone do`; what it does is imported only when it is called."""

from __future__ import annotations

import argparse
from pathlib import Path

from dialtone.runbook.actions.record import DEFAULT

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
    from dialtone.runbook.actions.terminal import do

    return do(args)
