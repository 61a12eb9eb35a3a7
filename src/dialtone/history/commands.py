"""`dialtone history`: what the results of many runs say."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialtone.history import show
from dialtone.history.engines import StoreError
from dialtone.history.indicators import summary
from dialtone.history.location import DEFAULT, VARIABLE
from dialtone.history.store import Store

_DESCRIPTION = """\
Reads the results that runs have left: for each check its figure over 5 minutes, an hour, a day and 30 days, held
against the objective that it judges by (any other check: against `uptime`), what is left of the error budget, and how
much of the month was observed. `?` marks a figure with too little evidence or coverage, `!` a breach, `!!` critical;
`fast` and `slow` a budget that burns. With a check: the reasons, burn rates and the last change of level.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    found = commands.add_parser(
        "history",
        help="windows, error budgets and changes over all runs that were kept",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes: 0 it was read, 1 there is no such check or nothing yet, 4 no history or a wrong profile",
    )
    found.add_argument("check", nargs="?", help="one check, with all that is known of it")
    found.add_argument("--target", default=None, help="which target (default: the only one, or production)")
    found.add_argument("--store", default=None, help=f"the history (default: {VARIABLE}, else {DEFAULT})")
    found.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    form = found.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as data")
    form.add_argument("--openmetrics", action="store_true", help="as text for Prometheus")
    found.set_defaults(run=run)


def run(args: argparse.Namespace, clock: Callable[[], float] = time.time) -> int:
    """Read and show; the exit code."""
    from dialtone.target import ProfileError

    try:
        store = Store.open(place_of(args.store, os.environ))
    except StoreError as trouble:
        return _wrong(str(trouble), 4)
    try:
        return _show(store, args, clock())
    except (StoreError, ProfileError) as trouble:
        return _wrong(str(trouble), 4)
    finally:
        store.close()


def place_of(named: str | None, environ: Mapping[str, str]) -> str:
    """The history to read. Raises StoreError where a file is not there: looking makes none."""
    place = named or environ.get(VARIABLE) or DEFAULT
    if "://" not in place and not Path(place).exists():
        raise StoreError(f"there is no history at {place}: runs against a deployment leave one; --store names another")
    return place


def _show(store: Store, args: argparse.Namespace, now: float) -> int:
    from dialtone.target.load import objectives

    targets = store.targets()
    if not targets:
        return _wrong("the history is empty: nothing has run yet", 1)
    target = args.target or (targets[0] if len(targets) == 1 else "production")
    checks = list(store.series(target))
    if not checks:
        return _wrong(f"there is nothing of {target}: the history knows {', '.join(targets)}", 1)
    if args.check and args.check not in checks:
        import difflib

        near = difflib.get_close_matches(args.check, checks, 3) or checks[:3]
        return _wrong(f"{target} has no check {args.check!r} in its history: did you mean {', '.join(near)}?", 1)
    config = args.config or _config()
    levels = objectives(config, target) if config else {}
    chosen = [args.check] if args.check else checks
    found = [_summary(store, target, check, levels, now, n, len(chosen)) for n, check in enumerate(chosen, 1)]
    if args.json:
        print(json.dumps(show.document(target, now, found), indent=1))
    elif args.openmetrics:
        print(show.openmetrics(target, found), end="")
    else:
        lines = [(of, show.day(store, target, of.check, now)) for of in found]
        print("\n".join(show.details(*lines[0]) if args.check else show.table(lines)))
    return 0


def _summary(store: Store, target: str, check: str, levels: Any, now: float, number: int, count: int) -> Any:
    if sys.stderr.isatty() and count > 10:
        print(f"\r{number}/{count} checks", end="\n" if number == count else "", file=sys.stderr, flush=True)
    return summary(store, target, check, levels, now)


def _config() -> Path | None:
    named = os.environ.get("DIALTONE_CONFIG")
    here = Path.cwd().resolve()
    found = (p for folder in (here, *here.parents) if (p := folder / "dialtone.toml").is_file())
    return Path(named) if named else next(found, None)


def _wrong(words: str, code: int) -> int:
    print(words, file=sys.stderr)
    return code
