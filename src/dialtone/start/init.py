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
from dialtone.start.detect import Found, detect
from dialtone.start.look import Seen, look
from dialtone.start.sdks import sdks
from dialtone.start.write import files, names
from dialtone.target import ProfileError, load

_NO_EXPERIMENT = (
    "No experiment was written: one needs to know what the application promises when a provider fails, and that its"
    " requests go through the interceptor. `dialtone faults through` leads them there; docs/write-a-fault.md goes on."
)


class InitError(Exception):
    """A first suite cannot be made; the message says why, and what helps."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "init",
        help="write a first profile, three checks and a workflow for an application",
        description="Finds the Next.js, FastAPI, Starlette or Django application of a repository, starts it in a"
        " sandbox (or asks the one at --url), and writes dialtone.toml, checks/test_first.py and"
        " .github/workflows/checks.yml from what it answers to a few GETs. Exit codes: 0 written, 1 nothing to go"
        " by or a file is there already.",
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
    there = [path for path in files(found, Seen(), args.url) if (args.at / path).exists()]
    if there and not (args.force or args.dry_run):
        raise InitError(f"there already: {', '.join(map(str, there))}; --force writes over them, --dry-run prints")
    print(f"found: {found.framework or 'no application'}", *([f"({found.command[-1]})"] if found.command else []))
    seen = evidence(args, found)
    for line in seen.told:
        print(f"  {line}")
    if not names(seen) or not (seen.page or seen.health):
        raise InitError("neither a page nor a health route answered 200: name one with --page or --health")
    made = files(found, seen, args.url)
    for path, text in made.items():
        if args.dry_run:
            print(f"\n--- {path}\n{text}", end="")
        else:
            (args.at / path).parent.mkdir(parents=True, exist_ok=True)
            (args.at / path).write_text(text)
            print(f"written: {path}")
    if not args.dry_run:
        _checked(args.at / "dialtone.toml", "production", args.url)
    print(_closing(found, args.url))
    return 0


def evidence(args: argparse.Namespace, found: Found) -> Seen:
    """What the application answers: the one at --url, else the one that is started for it."""
    from dialtone.http.client import Client

    with _running(args, found) as base, Client(base) as client:
        return look(client, [*args.page, *found.paths], [*args.health, *found.health])


@contextlib.contextmanager
def _running(args: argparse.Namespace, found: Found) -> Iterator[str]:
    if args.url:
        if not args.url.startswith(("http://", "https://")):
            raise InitError(f'--url {args.url}: an address of http or https is needed: "https://app.example.com"')
        yield args.url
        return
    if not found.command:
        raise InitError(f"{found.why}: give --url, or --start with a command that listens on $PORT")
    print("starting it in a sandbox, which is gone afterwards", file=sys.stderr)
    try:
        with contextlib.chdir(args.at):
            sandbox = Sandbox.begin(found.command).wait()
    except SandboxError as wrong:
        raise InitError(f"it did not start: {wrong}\ngive --start with a command that listens on $PORT") from None
    try:
        yield sandbox.env["SANDBOX_BASE_URL"]
    finally:
        sandbox.stop()


def _checked(path: Path, target: str, url: str | None) -> None:
    """The profile that was written is one that can be read: whatever is wrong is a mistake of ours."""
    try:
        load(path, target, {**os.environ, **({} if url else {"PRODUCTION_URL": "https://app.example.com"})})
    except ProfileError as wrong:
        raise InitError(f"the profile that was written cannot be read, which is a mistake of init: {wrong}") from None


def _closing(found: Found, url: str | None) -> str:
    lines = ["", "first run:  pytest checks" + ("" if found.command else " --target production")]
    if not url:
        lines.append("production: set PRODUCTION_URL, then pytest checks --target production")
    used = sdks(found.packages)
    if used:
        lines.append(
            f"providers:  {', '.join(sdk.name for sdk in used)}, read once a check needs them (dialtone doctor)"
        )
    return "\n".join([*lines, *wrap(_NO_EXPERIMENT, 100)])
