"""`dialtone drill --app`: a team's own build in the sandbox, its calls led to the interceptor, unmodified.

Redirection fails closed: by `preload` nothing but the interceptor can be reached, by `proxy` no port at which providers
are (`sandbox.fence`, Linux), and in any way the application has to call every host there before the first fault (the
suite's fixture `canaries`), else the drill ends.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialtone.drill.canary import NOTHING_STARTED
from dialtone.interceptor.redirect import WAYS
from dialtone.sandbox.campaign import CampaignError
from dialtone.target.load import APP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which application, and how it is led."""
    told = parser.add_argument_group("an application of your own, started in the sandbox")
    told.add_argument("--app", metavar="COMMAND", help="its command, in any language: 'npm start'; it listens on PORT")
    told.add_argument("--in", dest="folder", type=Path, metavar="FOLDER", help="where it is started (default: here)")
    told.add_argument(
        "--way",
        choices=WAYS,
        help="how provider hosts in its code are led to the interceptor (default: the profile's app_way, or proxy): by"
        " HTTPS_PROXY, by a preload for Node (stripe-node heeds no proxy), or by host names on Linux",
    )
    told.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME=TO",
        help="a further host that it calls, led to a part of the sandbox (abcd.supabase.co=postgrest) or to a stand-in"
        " of your own (api.example.com=http://127.0.0.1:9000)",
    )


def options(args: argparse.Namespace) -> dict[str, str]:
    """The variable that lays the application over the profile's; none without `--app`. Raises CampaignError."""
    if args.app is None:
        if args.way or args.host or args.folder:
            raise CampaignError("--way, --host and --in go with --app COMMAND")
        return {}
    if args.defects or args.defect or args.complete:
        raise CampaignError("--defects switches those of the profile's own application on: leave out --app")
    folder = (args.folder or Path()).resolve()
    if not folder.is_dir():
        raise CampaignError(f"--in {args.folder}: there is no such folder")
    try:
        command = shlex.split(args.app)
    except ValueError as wrong:
        raise CampaignError(f"--app {args.app!r}: {wrong}") from None
    if not command or not (shutil.which(command[0]) or (folder / command[0]).exists()):
        raise CampaignError(f"--app {args.app!r}: there is no program {command[0] if command else ''!r}")
    return {APP: json.dumps({"app": command, "folder": str(folder), **_led(args)})}


def _led(args: argparse.Namespace) -> dict[str, Any]:
    from dialtone.sandbox.profile import sandbox_options
    from dialtone.target.load import nearest, raw

    kind = raw(nearest(), args.target).get("kind")
    if kind != "sandbox":
        raise CampaignError(f"--app is started in a sandbox, and {args.target} is a {kind}: leave out --target")
    said = sandbox_options(args.target)
    hosts = dict(said.get("hosts") or {})
    for one in args.host:
        name, mark, to = one.partition("=")
        if not (name and mark and to):
            raise CampaignError(f"--host {one}: NAME=TO is needed, such as api.example.com=http://127.0.0.1:9000")
        hosts[name] = to
    return {"way": args.way or said.get("way") or "proxy", "hosts": hosts, "schema": _here(said.get("schema") or ())}


def _here(globs: Any) -> list[str]:
    """The profile's files are looked for beside the profile's run, wherever the application is started."""
    return [str(Path(one).resolve()) for one in globs]


class Closed:
    """Notices that the application's calls do not arrive, and ends the drill at the first experiment that says so."""

    def __init__(self, otherwise: Callable[[], str | None]) -> None:
        self._otherwise = otherwise
        self.reason: str | None = None

    def hear(self, line: Mapping[str, Any]) -> None:
        """An experiment that is over."""
        if self.reason is None and NOTHING_STARTED in str(line.get("reason")):
            self.reason = str(line["reason"]).removeprefix("inconclusive: ")

    def check(self) -> str | None:
        """A reason to stop the drill."""
        return self.reason or self._otherwise()
