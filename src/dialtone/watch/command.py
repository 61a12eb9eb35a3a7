"""`dialtone watch`: the checks, each at its own interval, for as long as the machine runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

_EPILOG = """\
signals: SIGTERM and Ctrl-C stop it within two seconds, SIGHUP reads profile and checks anew (those that do not hold are
refused, and the watch goes on as it was)
exit codes: 0 stopped, 4 it could not begin: the profile, the checks, the history or the address is wrong
  dialtone watch --target production
  dialtone watch --target production -- checks -k "not journey"
  curl -s http://127.0.0.1:9464/health
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "watch",
        help="look at every check at its own interval, resident, with /metrics and /health",
        description="Looks at every armed check at its own interval (schedule of the profile, or @check(every=...)),"
        " keeps the history, moves incidents and tells people, until it is stopped. A check that hangs is ended and"
        " told as broken, and delays no other.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--target", default=os.environ.get("DIALTONE_TARGET", "production"), metavar="NAME",
        help="what is watched (default: production)",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, default=None, help="the profile file (default: dialtone.toml)")
    parser.add_argument(
        "--sessions", type=_some, default=max(4, 2 * (os.cpu_count() or 1)), metavar="N",
        help="checks that may be looked at at once (default: two for each core, four at least)",
    )  # fmt: skip
    parser.add_argument(
        "--listen", default="127.0.0.1:9464", metavar="ADDRESS",
        help="where /metrics and /health answer, or off (default: 127.0.0.1:9464, which only this machine reaches)",
    )  # fmt: skip
    parser.add_argument("arguments", nargs="*", help="arguments of pytest after -- (default: checks)")
    parser.set_defaults(run=_run)


def _some(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError("one session at least")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from dialtone.redact import secrets
    from dialtone.sandbox import Sandbox, SandboxError
    from dialtone.sandbox.controller import ATTACH_VARIABLE
    from dialtone.target import ProfileError
    from dialtone.target.load import nearest, read, sandbox_options
    from dialtone.watch.notify import WARNING, Log
    from dialtone.watch.page import address, is_open
    from dialtone.watch.resident import scratch, watch
    from dialtone.watch.starting import Settings

    log = Log(os.environ)
    try:
        listen = None if args.listen == "off" else address(args.listen)
        config = Path(args.config or nearest()).resolve()
        file = read(config)
        kind = {**file.defaults, **file.target.get(args.target, {})}.get("kind")
    except (ValueError, ProfileError) as wrong:
        print(secrets.scrub(str(wrong)), file=sys.stderr)
        return 4
    if listen is not None and is_open(listen[0]):
        log(f"--listen {args.listen}: others can read the names and verdicts of all checks there", WARNING)
    sandbox = None
    try:
        if kind == "sandbox":
            if not os.environ.get(ATTACH_VARIABLE):
                sandbox = Sandbox.begin(**sandbox_options(config, args.target)).wait()
                os.environ[ATTACH_VARIABLE] = str(sandbox.state_file)
            os.environ.update(Sandbox.attach(Path(os.environ[ATTACH_VARIABLE]), wait=True).env)
        with scratch() as folder:
            arguments = tuple(args.arguments or ["checks"])
            return watch(Settings(args.target, config, arguments, args.sessions, listen, Path(folder)), log)
    except SandboxError as wrong:
        print(f"the sandbox did not start: {wrong}", file=sys.stderr)
        return 4
    finally:
        if sandbox is not None:
            sandbox.stop()
