"""The one step that runs something: checks, a gate or a drill, or any command, ended as GitHub ends steps."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from dialtone.github import text
from dialtone.github.job import Job, JobError, document, recall, remember
from dialtone.report.gather import EXIT_HISTORY
from dialtone.report.public import public

VERDICTS, GATE, LOG = Path("build/verdicts.json"), Path("build/gate.json"), Path("build/log.txt")
ENVIRONMENT = "DIALTONE_ENVIRONMENT"
MODES = ("checks", "gate", "drill")
_LINE = re.compile(r"([A-Za-z_]\w*)=(.*)")
_PYTEST = [sys.executable, "-m", "pytest"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the step takes."""
    parser.add_argument("--mode", choices=MODES, help="the usual command of checks, gate or drill")
    parser.add_argument("--target", default="", metavar="NAME", help="with --mode: production, preview or sandbox")
    parser.add_argument("--baseline", default="", metavar="NAME", help="with --mode gate")
    parser.add_argument("--revision", default="", metavar="COMMIT", help="with --mode gate")
    parser.add_argument("--extra", default="", metavar="TEXT", help="further arguments, split as a shell would do it")
    parser.add_argument("command", nargs="*", help="a command and its arguments, after --")


def command(args: argparse.Namespace) -> list[str]:
    """What is run. Raises JobError."""
    extra = shlex.split(args.extra)
    if args.mode == "gate":
        told = ["--target", args.target or "preview", "--fail-on", "breach"]
        told += ["--baseline", args.baseline] if args.baseline else []
        told += ["--revision", args.revision] if args.revision else []
        return [sys.executable, "-m", "dialtone.cli", "gate", *told, "--", "checks", *extra]
    if args.mode == "drill":
        return [sys.executable, "-m", "dialtone.cli", "drill", "--target", args.target or "sandbox", *extra]
    if args.mode:
        return [*_PYTEST, "checks", "-q", "--target", args.target or "production", *extra]
    if not args.command:
        raise JobError("nothing to run: give --mode, or a command after --")
    return [*args.command, *extra]


def handed(environ: Mapping[str, str]) -> dict[str, str]:
    """The lines NAME=value of one secret; no name that steers Python, a loader or GitHub. Raises JobError."""
    found = {}
    for number, line in enumerate(environ.get(ENVIRONMENT, "").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match or match[1].startswith(("GITHUB_", "RUNNER_", "PYTHON", "LD_", "PYTEST_")) or match[1] == "PATH":
            raise JobError(f"{ENVIRONMENT}, line {number}: NAME=value is needed, of a variable of the profile")
        found[match[1]] = match[2]
    return found


def run(args: argparse.Namespace, job: Job) -> int:
    """Run it; its exit code, or the one of a history in trouble in place of 0."""
    for stale in (VERDICTS, GATE, LOG):
        stale.unlink(missing_ok=True)
    given = handed(os.environ)
    for value in filter(None, given.values()):
        print(f"::add-mask::{text.escaped(value)}")
    if job.from_fork:
        print("::notice title=fork::a pull request from a fork: it has no secrets, so what needs one is not armed")
    remember(exit_code=None)
    sys.stdout.flush()
    environment = {**{k: v for k, v in os.environ.items() if k != ENVIRONMENT}, **given}
    if job.private:
        code = _child(command(args), None, environment)
    else:
        LOG.parent.mkdir(parents=True, exist_ok=True)
        print(f"the repository is public: what is printed goes to {LOG}, a part of the sealed report", flush=True)
        with LOG.open("wb") as log:
            code = _child(command(args), log.fileno(), environment)
        found = document(VERDICTS)
        print(text.headline(public(found) if found else None, code))
    trouble = recall().get("history", {}).get("trouble")
    if code == 0 and trouble:
        print(f"::error title=history::{text.escaped(trouble)}")
        code = EXIT_HISTORY
    remember(exit_code=code)
    return code


def _child(command: Sequence[str], output: int | None, environment: Mapping[str, str]) -> int:
    """Run it; GitHub ends a step by SIGINT, and by SIGTERM 7.5 s later: both end the command first."""
    error = None if output is None else subprocess.STDOUT
    process = subprocess.Popen(command, stdout=output, stderr=error, env=dict(environment))

    def forward(_number: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)

    kept = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code
