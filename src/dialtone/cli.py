"""The command `dialtone`: everything around a run of checks that is not pytest."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dialtone import __version__
from dialtone.plugin import find_config

if TYPE_CHECKING:
    from dialtone.target import Target

_EPILOG = """\
checks and experiments themselves are run by pytest:
  pytest checks                        all checks against the sandbox, which is started for the run
  pytest checks --target production    the same checks against production, as far as its profile allows
  pytest chaos                         the experiments
exit codes of such a run: 0 nothing worse than degraded, 1 breach or critical, 2 to 5 pytest's own, 10 a check itself
failed, 11 offline, 12 a P0 check was refused, 13 nothing was judged, 14 an experiment was inconclusive,
15 the history is in trouble, 16 a message about an incident reached nobody, 17 rounds were missed, 18 a check that the
gate requires is not armed, 19 the revision that a gate is for is not served
"""


# Where each command is. A room is imported for its own commands, or for the help of all.
_ROOMS = (
    ("catalog", "checks"),
    ("tenant", "tenant"),
    ("history.commands", "history"),
    ("history.backtest_command", "backtest"),
    ("sandbox.commands", "sandbox defects"),
    ("interceptor.commands", "faults"),
    ("runbook.actions.command", "do"),
    ("runbook.maintenance.command", "maintenance"),
    ("runbook.coverage_command", "runbook"),
    ("incidents.commands", "incidents ack silence outbox routes channels"),
    ("start.doctor", "doctor"),
    ("start.init", "init"),
    ("start.importing", "import"),
    ("start.flows", "workflows"),
    ("start.forecast", "forecast"),
    ("watch.gate", "gate"),
    ("report.pages.command", "report"),
    ("report.export", "export"),
    ("github.command", "github"),
    ("watch.command", "watch"),
    ("drill.command", "drill"),
)


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line, with a sub-command for each thing that can be done; or with what `only` needs, a command."""
    top = argparse.ArgumentParser(
        prog="dialtone",
        description="Synthetic checks and chaos experiments for a live service.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"dialtone {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    profile = commands.add_parser(
        "profile",
        help="read a target's profile and say which checks are armed, and what the others lack",
        description="Reads a profile and the environment as a run would, without a request, and says what is missing:"
        " credentials, and for each check that is not armed the reason. A sandbox is known only while it runs.",
    )
    profile.add_argument("target", help="name of the target in the profile file")
    profile.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    profile.add_argument(
        "--checks", type=Path, default=Path("checks"), metavar="PATH", help="file or folder of checks (default: checks)"
    )
    profile.set_defaults(run=_profile)
    known = {"profile", "completion", *(name for _, names in _ROOMS for name in names.split())}
    known.remove("runbook")  # it knows whether there are the commands that a runbook names
    for room, names in _ROOMS:
        if only not in known or only in names.split():
            import_module(f"dialtone.{room}").add_parser(commands)
    completion = commands.add_parser(
        "completion",
        help="the completion of these commands for a shell",
        description="Prints what a shell has to load, for bash into"
        " ~/.local/share/bash-completion/completions/dialtone, for zsh into a file _dialtone on its $fpath.",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    completion.set_defaults(run=_completion)
    return top


def _completion(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError:
        print("completion needs the package shtab: pip install 'pytest-dialtone[completion]'", file=sys.stderr)
        return 4
    print(shtab.complete(parser(), args.shell))
    return 0


def _profile(args: argparse.Namespace) -> int:
    from dialtone.target import ProfileError, load

    path = args.config or find_config()
    if path is None:
        print("no dialtone.toml here or above: name one with --config", file=sys.stderr)
        return 4
    try:
        target = load(path, args.target, os.environ)
    except ProfileError as wrong:
        print(wrong, file=sys.stderr)
        return 4
    print(f"{target.name}: {target.profile.kind}, {target.profile.base_url}")
    print(f"effects: {', '.join(sorted(target.effects))}")
    for fence in target.fenced:
        print(f"fenced, only reads: {fence}")
    for name, variable in sorted(target.profile.credentials.items()):
        print(f"  {'set    ' if name in target.credentials else 'missing'}  {name}  ({variable})")
    return _armed(args, path, target)


def _armed(args: argparse.Namespace, path: Path, target: Target) -> int:
    from dialtone.catalog import CatalogError, collected, standing
    from dialtone.report.terminal import names_of

    if not args.checks.exists():
        print(f"{args.checks}: no checks there; name them with --checks to see which are armed")
        return 0
    try:
        armed, unarmed = standing(collected([str(args.checks)], args.target, path), target)
    except CatalogError as wrong:
        print(wrong, file=sys.stderr)
        return 4
    print(f"{len(armed)} checks are armed, {sum(map(len, unarmed.values()))} are not:")
    for reason, ids in sorted(unarmed.items(), key=lambda item: (-len(item[1]), item[0])):
        print(textwrap.fill(reason, 100, initial_indent="  ", subsequent_indent="  "))
        told = names_of([{"id": name} for name in ids])
        print(textwrap.fill(told, 100, initial_indent="      ", subsequent_indent="      "))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Ctrl-C ends it with 130, a reader that went away (`| head`) with 141."""
    if argv is None and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A script has started it with `&`: it goes on ignoring Ctrl-C, but what it starts is ended by it.
        signal.signal(signal.SIGINT, lambda *_: None)
    words = sys.argv[1:] if argv is None else list(argv)
    args = parser(words[0] if words else None).parse_args(words)
    try:
        code = int(args.run(args) or 0)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


if __name__ == "__main__":
    raise SystemExit(main())
