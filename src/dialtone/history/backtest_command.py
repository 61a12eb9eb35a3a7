"""`dialtone backtest`: what another objective or another rule would have done."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dialtone.history import backtest
from dialtone.history.commands import place_of
from dialtone.history.engines import StoreError
from dialtone.history.store import Store

_DESCRIPTION = """\
Replays the recorded results of the last days: once by the rule that was, and once by the changed rule and the
objectives of the changed profile. Says how many pages a week each would have sent, how many of them about nothing,
how many outages (bad for ten minutes and more) it would have missed, and the mean minutes until a page.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    found = commands.add_parser(
        "backtest",
        help="replay a changed objective or rule over the history",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: dialtone backtest --config changed.toml --was 3 --rule detector --days 14",
    )
    found.add_argument("checks", nargs="*", help="these checks only (default: all)")
    found.add_argument("--target", default="production", help="which target (default: production)")
    found.add_argument("--config", type=Path, default=None, help="a profile with changed objectives")
    found.add_argument("--rule", default="detector", help="`detector`, or how many bad verdicts in a row page")
    found.add_argument("--was", default="3", help="the rule that was (default: 3 in a row)")
    found.add_argument("--days", type=float, default=30.0, help="how far back (default: 30)")
    found.add_argument("--store", default=None, help="the history (default: DIALTONE_HISTORY, else build/history.db)")
    found.add_argument("--json", action="store_true", help="as data")
    found.set_defaults(run=run)


def run(args: argparse.Namespace, clock: Callable[[], float] = time.time) -> int:
    """Replay and tell; the exit code: 0, 1 when there is nothing to replay, 4 for a wrong profile, rule or history."""
    from dialtone.target import ProfileError
    from dialtone.target.load import objectives

    try:
        store = Store.open(place_of(args.store, os.environ))
    except StoreError as trouble:
        print(trouble, file=sys.stderr)
        return 4
    try:
        changed = objectives(args.config, args.target) if args.config else {}
        until = clock()
        since = until - 86_400 * args.days
        known = list(store.series(args.target))
        chosen = args.checks or known
        unknown = [check for check in chosen if check not in known]
        if unknown or not chosen:
            print(f"nothing is recorded of {', '.join(unknown) or args.target}", file=sys.stderr)
            return 1
        every = backtest.usual(store, args.target, since, until)
        rows = {}
        for what, rule, levels in (("was", args.was, {}), ("would be", args.rule, changed)):
            streams = backtest.streams(store, args.target, chosen, levels, since, until)
            rows[what] = backtest.replay(streams, backtest.rule(rule, len(chosen), every), args.days)
    except (StoreError, ProfileError, ValueError) as trouble:
        print(trouble, file=sys.stderr)
        return 4
    finally:
        store.close()
    if args.json:
        print(json.dumps({what: {**asdict(of), "a_week": of.a_week} for what, of in rows.items()}, indent=1))
    else:
        print("\n".join(lines(rows)))
    return 0


def lines(rows: dict[str, backtest.Replay]) -> list[str]:
    """For people: each rule in a line, then the difference."""
    told = []
    for what, of in rows.items():
        after = "" if of.minutes is None else f", {of.minutes:.1f} min to a page"
        told.append(
            f"{what:<8}  {of.a_week:.1f} pages a week, {of.idle} of {of.pages} about nothing;"
            f" {of.missed} of {of.outages} outages missed{after}"
        )
    before, after_ = rows["was"].minutes, rows["would be"].minutes
    if before is not None and after_ is not None:
        less = before - after_
        told.append(f"{abs(less):.1f} minutes {'sooner' if less >= 0 else 'later'}")
    return told
