"""`dialtone gate`: the checks of the gate against a deployment that is not live yet, beside one that is."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from dialtone.report.gather import EXIT_REVISION, EXIT_WORDS
from dialtone.watch.revision import Served

OUTCOME = Path("build/gate.json")
"""What was looked at: target, baseline, the proofs of its revision, the exit code."""


def command(args: argparse.Namespace) -> list[str]:
    """The session of pytest that it is."""
    told = ["--gate", "--target", args.target, "--fail-on", args.fail_on]
    told += ["--baseline", args.baseline] if args.baseline else []
    return [sys.executable, "-m", "pytest", *told, *(args.arguments or ["checks"])]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "gate",
        help="let a deployment pass, or not: the checks of the gate, compared with a baseline",
        description="Runs the checks that are declared with @check(gate=True) against a target. With a baseline,"
        " samples of both are taken in turn and compared, so that a slow runner accuses neither. Exit code 18: a check"
        " that the target's profile requires (gate.required) is not armed; 19: the revision was not served in time, or"
        " not to the end; the others are those of any run.",
        epilog="dialtone gate --target preview --baseline production --revision 4bf92f3 -- checks -n 2",
    )
    parser.add_argument("--target", default="preview", metavar="NAME", help="what may pass (default: preview)")
    parser.add_argument("--baseline", metavar="NAME", help="what it is compared with; only ever read")
    parser.add_argument(
        "--fail-on",
        choices=["degraded", "breach", "critical"],
        default="breach",
        help="the mildest verdict that does not pass (default: breach)",
    )
    parser.add_argument(
        "--revision",
        default="",
        metavar="COMMIT",
        help="wait until this commit is served, and prove it before and after (gate.revision of the profile)",
    )
    parser.add_argument("--within", default="10m", metavar="TIME", help="how long to wait for it (default: 10m)")
    parser.add_argument("arguments", nargs="*", help="further arguments of pytest after -- (default: checks)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.revision:
        return _proved(args)
    sys.stdout.flush()  # this process becomes pytest: signals and the exit code are its own
    return os.execv(sys.executable, command(args))  # noqa: S606 - no shell, and this Python


def _proved(args: argparse.Namespace) -> int:
    from dialtone.target import ProfileError, load
    from dialtone.target.duration import seconds
    from dialtone.target.load import nearest

    try:
        target = load(nearest(), args.target, os.environ)
        within = seconds(args.within)
    except (ProfileError, ValueError) as wrong:
        print(wrong, file=sys.stderr)
        return 4
    where = target.profile.gate.revision
    if where is None:
        print(
            f"--revision: the target {args.target} does not say which commit it serves. Tell where, in dialtone.toml:"
            f'\n[target.{args.target}.gate.revision]\npath = "/api/health"\nfield = "version"',
            file=sys.stderr,
        )
        return 4
    served = Served(target, where)
    outcome: dict[str, Any] = {"target": args.target, "baseline": args.baseline, "wanted": args.revision}
    code = EXIT_REVISION
    try:
        before = served.wait(args.revision, within)
        outcome["before"] = asdict(before)
        if not before.proved:
            print(f"{args.revision[:12]} is not served after {before.waited:.0f} s: {before.served}", file=sys.stderr)
            return EXIT_REVISION
        print(
            f"{args.target} serves {before.served}, said {before.asked} times within {before.waited:.1f} s", flush=True
        )
        budget = target.profile.budget
        spent = served.spent(budget.window) if budget else 0
        code = session(command(args), {"DIALTONE_SPENT": str(spent), "DIALTONE_DEPLOYMENT": args.revision})
        after = served.prove(args.revision)
        outcome["after"] = asdict(after)
        if not after.proved:
            print(f"{args.revision[:12]} was not served to the end: {after.served}", file=sys.stderr)
            code = code if code not in (0, 1, *EXIT_WORDS) else EXIT_REVISION
        return code
    finally:
        served.close()
        OUTCOME.parent.mkdir(parents=True, exist_ok=True)
        OUTCOME.write_text(json.dumps({**outcome, "exit_code": code}, indent=1) + "\n")


def session(command: Sequence[str], more: dict[str, str]) -> int:
    """Run a session and wait for it; what ends this process ends that one first, so that it cleans up."""
    process = subprocess.Popen(command, env={**os.environ, **more})

    def forward(_number: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # a terminal, and GitHub, tell both
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
