"""The commands `dialtone sandbox …` and `dialtone defects`."""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialtone.sandbox import folder as folders
from dialtone.sandbox.controller import ATTACH_VARIABLE, Sandbox, SandboxError, stop_resident
from dialtone.sandbox.profile import app_defects, named_target, sandbox_options

JOBS = min(6, (os.cpu_count() or 1) * 2)
"""Rounds of the defect matrix at a time, each with a sandbox: half of a round is waiting."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands to the command line; each sets `run`, a function from the arguments to an exit code."""
    sandbox = subparsers.add_parser(
        "sandbox", help="a complete local deployment, apart from a run of checks", description=__doc__
    )
    actions = sandbox.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, summary in (
        ("up", _up, "start one and hold it until Ctrl-C"),
        ("run", _run, "run a command with the environment of a sandbox, started for it unless one is attached"),
        ("status", _status, "list the sandboxes that run"),
        ("down", _down, "take the resident ones down"),
        ("sweep", _sweep, "remove what killed runs left"),
    ):
        action = actions.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        action.set_defaults(run=run)
        if name == "up":
            action.add_argument("app", nargs="*", help="command of the application (default: the one in the package)")
        if name == "run":
            action.add_argument("command", nargs=argparse.REMAINDER, help="the command, after --")
    _add_defects(subparsers)


def _add_defects(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    defects = subparsers.add_parser(
        "defects",
        help="switch every known defect on in turn and see that the checks find it",
        description="Runs all checks under every known defect; each has to be found, by the checks that claim it.",
    )
    defects.add_argument("--only", nargs="+", metavar="ID", default=[], help="only these defects")
    defects.add_argument("--sample", type=int, metavar="N", help="only N defects, chosen by --seed")
    defects.add_argument("--seed", type=int, default=0, help="seed of --sample (default: 0)")
    defects.add_argument(
        "--diagnosis", action="store_true", help="have each round diagnosed, and compare with what the defect is"
    )
    defects.add_argument("--fresh", action="store_true", help="forget results kept from unchanged sources")
    defects.add_argument("--json", action="store_true", help="print the result as JSON")
    defects.add_argument("--build", type=Path, default=Path("build"), help="where results go (default: build)")
    defects.add_argument("--jobs", type=int, default=JOBS, help=f"rounds at a time, a sandbox each (default: {JOBS})")
    defects.add_argument("pytest", nargs="*", help="arguments of pytest for a round, after --")
    defects.set_defaults(run=_defects)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _up(args: argparse.Namespace) -> int:
    """Hold a resident sandbox until Ctrl-C, SIGTERM, or `dialtone sandbox down`."""
    from dialtone.target import ProfileError

    try:
        options = {**sandbox_options(), **({"app": args.app} if args.app else {})}
        sandbox = Sandbox.begin(**options, resident=True).wait(_tell)
    except (SandboxError, ProfileError) as error:
        _tell(str(error))
        return 1
    with sandbox:
        print(_addresses(json.loads(sandbox.state_file.read_text())))
        print(f"\nuse it:    export {ATTACH_VARIABLE}={sandbox.state_file}\nend it:    Ctrl-C", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        said = None
        try:
            while (problem := sandbox.problem()) != "the sandbox is gone":
                if problem != said:
                    _tell(str(problem))
                    said = problem
                _pause()
        except KeyboardInterrupt:
            _tell("taking the sandbox down")
    return 0


def _pause() -> None:
    time.sleep(0.5)


def _addresses(state: Mapping[str, Any]) -> str:
    """The addresses, without anything secret."""
    environment = state["environment"]
    names = [name for name in environment if name.endswith("_URL") and "@" not in environment[name]]
    width = max(map(len, names))
    lines = [f"{name:<{width}}  {environment[name]}" for name in sorted(names)]
    return "\n".join([*lines, f"{'database':<{width}}  127.0.0.1:{state['ports']['postgres']}"])


def _run(args: argparse.Namespace) -> int:
    """Run a command with SANDBOX_* and DIALTONE_SANDBOX in its environment; answers its exit code."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        _tell("which command? dialtone sandbox run -- COMMAND ...")
        return 2
    from dialtone.target import ProfileError

    try:
        attached = os.environ.get(ATTACH_VARIABLE)
        sandbox = Sandbox.attach(attached) if attached else Sandbox.begin(**sandbox_options()).wait(_tell)
    except (SandboxError, ProfileError) as error:
        _tell(str(error))
        return 1
    with sandbox:
        environment = {**os.environ, **sandbox.env, ATTACH_VARIABLE: str(sandbox.state_file)}
        try:
            return subprocess.run(command, env=environment, check=False).returncode
        except OSError as error:
            _tell(f"cannot run {command[0]}: {error}")
            return 127


def _status(_: argparse.Namespace) -> int:
    """One paragraph for each sandbox that runs."""
    live = folders.live_runs()
    for path in live:
        try:
            state = json.loads((path / "state.json").read_text())
        except (OSError, ValueError):
            print(f"{path.name}: starting")
            continue
        kind = "resident" if state["resident"] else "of a run"
        age = time.time() - state["started"]
        print(f"{path.name}: {kind}, up for {age:.0f} s, {path / 'state.json'}\n{_addresses(state)}")
    if not live:
        print("no sandbox runs")
    return 0


def _down(_: argparse.Namespace) -> int:
    """Take down every resident sandbox; those of runs belong to their runs. 1 when one does not end."""
    ended = {path.name: stopped for path in folders.live_runs() if (stopped := stop_resident(path)) is not None}
    if not ended:
        print("no resident sandbox runs")
    if down := [name for name, stopped in ended.items() if stopped]:
        print(f"took down {', '.join(down)}")
    if left := [name for name, stopped in ended.items() if not stopped]:
        print(f"told to end and still there: {', '.join(left)}; `dialtone sandbox sweep` removes it once it is dead")
    return int(bool(left))


def _sweep(_: argparse.Namespace) -> int:
    """Remove what dead runs left."""
    from dialtone.sandbox.leftovers import sweep

    swept = sweep()
    print(f"removed what {', '.join(swept)} left" if swept else "nothing was left")
    return 0


def _defects(args: argparse.Namespace) -> int:
    """Run the matrix; 0 when every claim holds."""
    from dialtone.sandbox.campaign import CHECKS, CampaignError, known_claims, known_defects
    from dialtone.sandbox.matrix import compared
    from dialtone.sandbox.rounds import Campaign
    from dialtone.target import ProfileError

    folder = args.build / "defects"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        arguments = [*(args.pytest or CHECKS), *(() if args.diagnosis else ("--no-diagnosis",))]
        claims = known_claims(arguments, folder)
        defects = known_defects(app_defects(named_target(arguments)), {name for c in claims for name in c.catches})
        unknown = sorted(set(args.only) - set(defects))
        if unknown:
            _tell(f"no such defect: {', '.join(unknown)}; there are {', '.join(sorted(defects))}")
            return 2
        chosen = [name for name in defects if not args.only or name in args.only]
        if args.sample is not None:
            chooser = random.Random(args.seed)  # noqa: S311 - a choice that can be repeated
            chosen = sorted(chooser.sample(chosen, min(args.sample, len(chosen))))
        options = sandbox_options(named_target(arguments))
        begin = functools.partial(Sandbox.begin, **options)
        campaign = Campaign(
            defects, claims, arguments, args.build, jobs=args.jobs, fresh=args.fresh, tell=_tell, begin=begin
        )
        outcome = campaign.run(chosen)
    except (CampaignError, SandboxError, ProfileError) as error:
        _tell(str(error))
        return 1
    if args.diagnosis:
        outcome.document["diagnosis"] = compared(outcome.document["defects"])
    folders.write_private(args.build / "defects.json", json.dumps(outcome.document, indent=1) + "\n").chmod(0o644)
    if args.json:
        print(json.dumps({**outcome.document, "complaints": outcome.complaints}, indent=1))
    caught = sum(entry["caught"] for entry in outcome.document["defects"])
    total, wrong = len(outcome.document["defects"]), len(outcome.complaints)
    _tell(f"{caught} of {total} defects caught, {wrong} complaint{'' if wrong == 1 else 's'}")
    for complaint in outcome.complaints:
        _tell(f"  {complaint}")
    return 1 if outcome.complaints or (args.diagnosis and not _told_of(outcome.document["diagnosis"])) else 0


def _told_of(found: Mapping[str, Any]) -> bool:
    """Print how many causes were named and which were not; whether they are enough."""
    _tell(
        f"{found['named']} of {found['of']} causes named ({found['share']:.0f} %, {found['bound']} % are needed);"
        f" {found['by_checks']} by what is red alone"
    )
    for miss in found["missed"]:
        _tell(f"  {miss['id']}: is {miss['cause'] or 'without a name'}, diagnosed as {miss['said'] or 'nothing known'}")
    return bool(found["share"] >= found["bound"])
