"""`dialtone init`: a first suite for an application that nobody here wrote, made of what it answers."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from dialtone.sandbox import Sandbox, SandboxError
from dialtone.sandbox.interception import HOSTS
from dialtone.start.detect import Found, detect
from dialtone.start.look import Seen, look
from dialtone.start.sdks import SDKS, sdks
from dialtone.start.trial import Trial, find
from dialtone.start.write import RUNBOOK, files, names
from dialtone.target import ProfileError, load

_NO_EXPERIMENT = (
    "No experiment was written: {why}. docs/write-an-experiment.md goes on, docs/drill-your-own-build.md leads an"
    " application's calls to the interceptor."
)


class InitError(Exception):
    """A first suite cannot be made; the message says why, and what helps."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "init",
        help="write a first profile, three checks, an experiment and a workflow for an application",
        description="Finds the Next.js, FastAPI, Starlette or Django application of a repository, starts it in a"
        " sandbox (or asks the one at --url), and writes dialtone.toml, checks/test_first.py and"
        " .github/workflows/checks.yml from what it answers to a few GETs; an experiment in chaos/ too, where one"
        " of them made it call a provider. Exit codes: 0 written, 1 nothing to go by or a file is there already.",
        epilog='dialtone init; dialtone init --start "npm start"; dialtone init --url https://app.example.com. Then:'
        " pytest checks; dialtone doctor says what else could be armed, dialtone workflows writes gate and drill too.",
    )
    parser.add_argument("--at", type=Path, default=Path(), metavar="FOLDER", help="the repository (default: here)")
    parser.add_argument("--url", help="the application's address: ask that one, and watch it as production")
    parser.add_argument("--start", metavar="COMMAND", help="how it starts on $PORT, for sh (default: as detected)")
    parser.add_argument("--page", action="append", default=[], metavar="PATH", help="a page to look at first")
    parser.add_argument("--health", action="append", default=[], metavar="PATH", help="its health route")
    parser.add_argument("--dry-run", action="store_true", help="print the files, write none")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        return _init(args)
    except InitError as wrong:
        print(wrong, file=sys.stderr)
        return 1


def _init(args: argparse.Namespace) -> int:
    if not args.at.is_dir():
        raise InitError(f"{args.at}: no such folder")
    found = detect(args.at)
    if args.start:
        found.command, found.framework = ["sh", "-c", args.start], found.framework or "own"
    there = [p for p in files(found, Seen(), args.url) if p != RUNBOOK and (args.at / p).exists()]
    if there and not (args.force or args.dry_run):
        raise InitError(f"there already: {', '.join(map(str, there))}; --force writes over them, --dry-run prints")
    print(f"found: {found.framework or 'no application'}", *([f"({found.command[-1]})"] if found.command else []))
    seen, trial = evidence(args, found)
    for line in seen.told:
        print(f"  {line}")
    if not _enough(seen):
        raise InitError("neither a page nor a health route answered 200: name one with --page or --health")
    made = files(found, seen, args.url, trial)
    if (args.at / RUNBOOK).exists():  # people's own words are never written over
        del made[RUNBOOK]
    if trial and (args.at / trial.path).exists() and not (args.force or args.dry_run):
        raise InitError(f"there already: {trial.path}; --force writes over it, --dry-run prints")
    for path, text in made.items():
        if args.dry_run:
            print(f"\n--- {path}\n{text}", end="")
        else:
            (args.at / path).parent.mkdir(parents=True, exist_ok=True)
            (args.at / path).write_text(text)
            print(f"written: {path}")
    if not args.dry_run:
        _checked(args.at / "dialtone.toml", "production", args.url)
    print(_closing(found, args.url, trial))
    return 0


def evidence(args: argparse.Namespace, found: Found) -> tuple[Seen, Trial | None]:
    """What the application answers, the one at --url or the one that is started for it; and a provider that it calls.

    Where it has a provider's SDK it is started behind the interceptor first. One that does not get on there, because
    its build needs the network for example, is started as it is.
    """
    used = [] if args.url or not found.command else sdks(found.packages)
    if used:
        try:
            with _started(args, found, way=found.way) as sandbox:
                seen, trial = _look(args, found, sandbox.env["SANDBOX_BASE_URL"], sandbox.interceptor)
                if _enough(seen):
                    return seen, trial
        except InitError:
            pass
        print("it does not answer where only stand-ins can be reached: once more, without them", file=sys.stderr)
    if args.url:
        if not args.url.startswith(("http://", "https://")):
            raise InitError(f'--url {args.url}: an address of http or https is needed: "https://app.example.com"')
        return _look(args, found, args.url)
    if not found.command:
        raise InitError(f"{found.why}: give --url, or --start with a command that listens on $PORT")
    with _started(args, found) as sandbox:
        return _look(args, found, sandbox.env["SANDBOX_BASE_URL"])


def _look(
    args: argparse.Namespace, found: Found, base: str, interceptor: Path | None = None
) -> tuple[Seen, Trial | None]:
    from dialtone.http.client import Client
    from dialtone.interceptor.client import ControlError, Controller

    with Client(base) as client:
        seen = look(client, [*args.page, *found.paths], [*args.health, *found.health])
        if interceptor is None:
            return seen, None
        try:
            with Controller.attached(interceptor) as controller:
                return seen, find(controller, client, seen, sdks(found.packages))
        except ControlError as wrong:
            seen.told.append(f"which provider it calls could not be seen: {wrong}")
            return seen, None


def _enough(seen: Seen) -> bool:
    return bool(names(seen) and (seen.page or seen.health))


@contextlib.contextmanager
def _started(args: argparse.Namespace, found: Found, way: str | None = None) -> Iterator[Sandbox]:
    print("starting it in a sandbox, which is gone afterwards", file=sys.stderr)
    try:
        with contextlib.chdir(args.at):
            sandbox = Sandbox.begin(found.command, way=way).wait()
    except SandboxError as wrong:
        raise InitError(f"it did not start: {wrong}\ngive --start with a command that listens on $PORT") from None
    try:
        yield sandbox
    finally:
        sandbox.stop()


def _checked(path: Path, target: str, url: str | None) -> None:
    """The profile that was written is one that can be read: whatever is wrong is a mistake of ours."""
    try:
        load(path, target, {**os.environ, **({} if url else {"PRODUCTION_URL": "https://app.example.com"})})
    except ProfileError as wrong:
        raise InitError(f"the profile that was written cannot be read, which is a mistake of init: {wrong}") from None


def _closing(found: Found, url: str | None, trial: Trial | None) -> str:
    lines = ["", "first run:  pytest checks" + ("" if found.command else " --target production")]
    if trial:
        lines.append(f"experiment: pytest chaos ({trial.host} fails, the visitor is served all the same?)")
    if not url:
        lines.append("production: set PRODUCTION_URL, then pytest checks --target production")
    used = sdks(found.packages)
    if used:
        lines.append(
            f"providers:  {', '.join(sdk.name for sdk in used)}, read once a check needs them (dialtone doctor)"
        )
    if trial:
        return "\n".join(lines)
    if url:
        why = "a hosted application has no wire to put a fault on"
    elif used:
        why = f"neither the page nor the health route was seen to call {' or '.join(HOSTS[sdk.name] for sdk in used)}"
    else:
        why = f"no SDK of {', '.join(sdk.name for sdk in SDKS)} is among the dependencies"
    return "\n".join([*lines, *wrap(_NO_EXPERIMENT.format(why=why), 100)])
