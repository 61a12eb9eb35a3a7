"""`dialtone faults through`: an application led to the interceptor, once every host's canary call has arrived there."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dialtone.interceptor.client import ControlError, Controller, folder_of
from dialtone.interceptor.redirect import WAYS, BypassedError, by_command, environment, in_names, prove

_EPILOG = """\
example:
  dialtone faults through --way preload --canary 'api.stripe.com=node canary.js' -- npm start
every host of the interceptor needs a canary, a command that makes the application's own client call that host: what the
call answers does not matter, only that it arrives. Without it nothing is started: no drill meets a real provider.
"""


def add_to(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the action to `dialtone faults`."""
    told = "run an application whose provider calls are led to the interceptor"
    made = actions.add_parser(
        "through",
        help=told,
        description=told[0].upper() + told[1:] + ".",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--way", choices=WAYS, default="proxy", help="how it is led there (default: proxy)")
    made.add_argument(
        "--canary", action="append", default=[], metavar="HOST=COMMAND", help="may be given for each host"
    )
    made.add_argument("--unproven", action="append", default=[], metavar="HOST", help="a host that is taken on trust")
    made.add_argument("command", nargs=argparse.REMAINDER, help="the application, after --")
    made.set_defaults(run=_through)
    return made


def _through(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        print("which application? dialtone faults through -- COMMAND ...", file=sys.stderr)
        return 2
    try:
        folder = folder_of(args.at)
        with Controller.attached(folder) as controller:
            state = controller.state()
            canaries = _canaries(args.canary, args.unproven, state)
            env, led = environment(state, folder, args.way), args.way == "names"
            calls = {host: in_names(state, folder, call) if led else call for host, call in canaries.items()}
            prove(controller, calls, by_command(calls, env))
    except (ControlError, BypassedError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"arrived: {', '.join(canaries) or 'nobody was asked'}", file=sys.stderr)
    try:
        return subprocess.run(in_names(state, folder, command) if led else command, env=env, check=False).returncode
    except OSError as error:
        print(f"cannot run {command[0]}: {error}", file=sys.stderr)
        return 127


def _canaries(given: Sequence[str], trusted: Sequence[str], state: Mapping[str, Any]) -> dict[str, list[str]]:
    """The command of each host. Raises ValueError for hosts without one, and for hosts that there are not."""
    found = {host: shlex.split(command) for host, mark, command in (one.partition("=") for one in given) if mark}
    if unknown := sorted({*found, *trusted} - set(state["hosts"])):
        raise ValueError(f"the interceptor has no host {', '.join(unknown)}; it has {', '.join(state['hosts'])}")
    if missing := sorted(set(state["hosts"]) - {*found, *trusted}):
        raise ValueError(
            f"no canary for {', '.join(missing)}: nothing is started. Give --canary {missing[0]}=COMMAND, "
            f"or say --unproven {missing[0]}"
        )
    return found
