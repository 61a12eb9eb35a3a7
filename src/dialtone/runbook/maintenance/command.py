"""The command line of `dialtone maintenance`; what it does is imported only when it is called."""

from __future__ import annotations

import argparse
from pathlib import Path

from dialtone.runbook.actions.command import add_places
from dialtone.runbook.actions.record import DEFAULT

_PERIODS = ("weekly", "monthly", "quarterly")
_EPILOG = """\
examples:
  dialtone maintenance                       what there is
  dialtone maintenance weekly                all of the weekly tasks
  dialtone maintenance try-recovery --yes    one of them
exit codes: 0 done as far as a machine can; 1 a task failed; 4 it cannot be used like this
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `maintenance` to the command line."""
    found = commands.add_parser(
        "maintenance",
        help="do the weekly, monthly or quarterly maintenance as far as a machine can",
        description="Runs the tasks of a period, ticks them off, and leaves a dated report with what is left to a"
        " person. Reads only, unless --yes is given. A sandbox is started for it where none runs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "what", nargs="*", metavar="WHAT", help=f"{', '.join(_PERIODS)}, or names of tasks (default: list)"
    )
    found.add_argument("--yes", action="store_true", help="also do what changes something (default: show it)")
    found.add_argument("--confirm", metavar="TARGET", help="the target's name once more, for production with --yes")
    found.add_argument("--online", action="store_true", help="ask the package index for newer versions, too")
    found.add_argument("--build", type=Path, default=Path("build"), help="where reports and snapshots go")
    found.add_argument("--record", type=Path, default=DEFAULT, help=f"where changes are noted (default: {DEFAULT})")
    found.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_places(found)
    found.set_defaults(run=_maintenance)


def _maintenance(args: argparse.Namespace) -> int:
    from dialtone.runbook.maintenance.terminal import maintain

    return maintain(args)
