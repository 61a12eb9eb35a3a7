"""`dialtone gate`: the checks of the gate against a deployment that is not live yet, beside one that is."""

from __future__ import annotations

import argparse
import os
import sys


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
        " that the target's profile requires (gate.required) is not armed; the others are those of any run.",
        epilog="dialtone gate --target preview --baseline production -- checks -n 2",
    )
    parser.add_argument("--target", default="preview", metavar="NAME", help="what may pass (default: preview)")
    parser.add_argument("--baseline", metavar="NAME", help="what it is compared with; only ever read")
    parser.add_argument(
        "--fail-on",
        choices=["degraded", "breach", "critical"],
        default="breach",
        help="the mildest verdict that does not pass (default: breach)",
    )
    parser.add_argument("arguments", nargs="*", help="further arguments of pytest after -- (default: checks)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    """This process becomes pytest: signals and the exit code are its own."""
    sys.stdout.flush()
    os.execv(sys.executable, command(args))  # noqa: S606 - no shell, and this Python
