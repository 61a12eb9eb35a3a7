"""The command `dialtone drill`: run experiments, tell of each as it ends, leave drill.json."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialtone.drill import child
from dialtone.drill.choice import Known, known, named, smoke
from dialtone.drill.record import FIGURES, trend
from dialtone.drill.sweep import PAIRS
from dialtone.sandbox.campaign import CampaignError

JOBS = max(1, min(4, os.cpu_count() or 1))
"""Experiments at a time, each with a sandbox of its own: most of an experiment is waiting."""
INCONCLUSIVE, NOTHING = 14, 13
_COLOURS = {"pass": "32", "fail": "31", "inconclusive": "33"}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "drill",
        help="prove that the fallbacks hold: experiments against a local deployment",
        description="Runs the experiments in chaos/ against a sandbox with an interceptor in it, several at a time, and"
        " leaves drill.json. Exit codes: 0 all pass, 1 one failed, 13 none could run, 14 one was inconclusive, 130"
        " Ctrl-C (everything is taken down first).",
        epilog="dialtone drill --scope smoke; dialtone drill --only stripe booking_survives_a_revoked_grant; dialtone"
        " drill --defects --sample 4; dialtone drill --app 'npm start' --in ../shop --way preload",
    )
    parser.add_argument(
        "--scope", choices=["smoke", "full"], default="full", help="the short drill, or all (default: full)"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="these experiments or dependencies")
    parser.add_argument("--target", default="sandbox", metavar="NAME", help="where (default: sandbox)")
    parser.add_argument("--jobs", type=int, help=f"experiments at a time (default: {JOBS})")
    parser.add_argument("--pairs", metavar="N[:SEED]", help="in single-fault mode also so many pairs of faults at once")
    parser.add_argument("--list", action="store_true", help="list them, and run nothing")
    parser.add_argument("--json", action="store_true", help="print drill.json when it is over")
    parser.add_argument("--build", type=Path, default=Path("build"), help="where results go (default: build)")
    parser.add_argument("--chaos", nargs="+", default=["chaos"], metavar="PATH", help="experiments (default: chaos)")
    from dialtone.drill import app, defects, production, search_command
    from dialtone.drill.recovery import dump_command

    app.add_arguments(parser)
    search_command.add_arguments(parser)
    dump_command.add_arguments(parser)
    production.add_arguments(parser)
    defects.add_arguments(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from dialtone.drill import app, defects, production, search_command
    from dialtone.drill.recovery import dump_command
    from dialtone.target import ProfileError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.dump:
        return dump_command.run(args, say)
    folder = args.build / "drill"
    try:
        os.environ.update(app.options(args))
        guard = production.guard(args)
        experiments = known(args.chaos, args.target, folder)
        if search_command.wanted(args):
            return search_command.run(args, experiments, say)
        chosen = smoke(experiments) if args.scope == "smoke" else experiments
        chosen = named(experiments, args.only) if args.only else chosen
        if args.defects or args.defect or args.complete:
            return defects.run(args, chosen if args.only or args.scope == "smoke" else experiments, say)
    except (CampaignError, LookupError, ProfileError, production.RefusedError) as error:
        say(str(error.args[0] if error.args else error))
        return 2
    if args.list:
        return _listed(chosen, as_json=args.json)
    if not chosen:
        say("no experiment to run")
        return NOTHING
    return _drilled(args, chosen, guard)


def _drilled(args: argparse.Namespace, chosen: Sequence[Known], guard: Any) -> int:
    from dialtone.drill.app import Closed

    counted = 0
    began = time.monotonic()
    closed = Closed(guard)

    def tell(line: Mapping[str, Any]) -> None:
        nonlocal counted
        counted += 1
        closed.hear(line)
        say(shown(line, counted, len(chosen)))

    jobs = args.jobs or JOBS
    say(f"{len(chosen)} experiments on {args.target}, {min(jobs, len(chosen))} at a time")
    document = args.build / "drill.json"
    for suffix in (".json", ".html", ".md"):  # of an earlier drill: what ends early must not show its report
        document.with_suffix(suffix).unlink(missing_ok=True)
    log = args.build / "drill" / "pytest.log"
    command = child.arguments([e.nodeid for e in chosen], args.target, args.build, jobs)
    try:
        code = child.run(command, log, tell, check=closed.check, env={PAIRS: args.pairs} if args.pairs else None)
    except child.Stopped as stopped:
        say(f"stopped: {stopped}")
        code = INCONCLUSIVE if closed.reason else 1
    except KeyboardInterrupt:
        say("stopped; every sandbox is gone, and with it every fault")
        return 130
    if not document.exists():
        tail = log.read_text(errors="replace").strip().splitlines()[-8:]
        say("\n".join(["no experiment came to an end; the last words of the run:", *tail]))
        return code or NOTHING
    told = json.loads(document.read_text())
    if args.json:
        print(json.dumps(told, indent=1))
    for line in summary(told, trend(args.build)[:-1], time.monotonic() - began):
        say(line)
    say(f"report: {document.with_suffix('.html')}")
    return code


def say(text: str) -> None:
    """One line for a person, on stderr: stdout is for --json."""
    print(text, file=sys.stderr, flush=True)


def shown(line: Mapping[str, Any], number: int, of: int) -> str:
    """One experiment that is over, with its times."""
    if not line["armed"]:
        return f"{number:>3}/{of} not run       {line['id']}: {line['reason']}"
    verdict = line["verdict"]
    word = f"{verdict:<12}"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        word = f"\x1b[{_COLOURS[verdict]}m{word}\x1b[0m"
    said = [f"{n.removeprefix('seconds_to_')} {line[n]:.1f} s" for n in FIGURES[:3] if line[n] is not None]
    said += [f"{line[n]} {n}" for n in ("lost", "doubled") if line[n]]
    told = f"{number:>3}/{of} {word} {line['id']}" + (f" ({', '.join(said)})" if said else "")
    return told if verdict == "pass" else f"{told}\n{'':>21}{line['reason']}"


def summary(told: Mapping[str, Any], before: Sequence[Mapping[str, Any]], seconds: float) -> list[str]:
    """The end of a drill: counts, what newly fails, holes of the matrix, where the rest stands."""
    counts, experiments = told["verdicts"], told["experiments"]
    lines = [", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) + f" in {seconds:.0f} s"]
    last: Mapping[str, Any] = next((b["experiments"] for b in reversed(before) if b["target"] == told["target"]), {})
    newly = [e["id"] for e in experiments if e["verdict"] == "fail" and last.get(e["id"], {}).get("verdict") == "pass"]
    lines += [f"newly failing: {', '.join(newly)}"] if newly else []
    classes = told["matrix"]["classes"]
    holes = [host for host, number in classes.items() if number == 0]
    lines += [f"no fault met {', '.join(holes)}"] if holes else []
    cells = len(told["matrix"]["cells"])
    lines += [f"{cells} cells of {len(classes)} hosts x {len(told['matrix']['faults'])} classes of fault"]
    lines += [f"{e['recovery']['told']}" for e in experiments if e.get("recovery")]
    unarmed: dict[str, int] = {}
    for entry in told["unarmed"]:
        unarmed[entry["reason"]] = unarmed.get(entry["reason"], 0) + 1
    return [*lines, *(f"not run: {number}, {reason}" for reason, number in unarmed.items())]


def _listed(chosen: Sequence[Known], *, as_json: bool) -> int:
    if as_json:
        listed = [{"id": e.id, "dependency": e.dependency, "catches": list(e.catches)} for e in chosen]
        print(json.dumps(listed, indent=1))
    else:
        width = max((len(e.dependency) for e in chosen), default=0)
        for e in chosen:
            print(f"{e.dependency:<{width}}  {e.id}")
    return 0
