"""`dialtone drill search` and `dialtone drill replay FILE`: look for a schedule that breaks the books, or run one."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dialtone.drill.choice import Known
from dialtone.drill.search import REPLAY, SEARCH
from dialtone.sandbox import Sandbox, SandboxError
from dialtone.sandbox.campaign import CampaignError, resilience_defects, round_steps
from dialtone.sandbox.matrix import Defect
from dialtone.sandbox.profile import app_defects, sandbox_options
from dialtone.target import ProfileError

_UNUSED = ("randomly", "cacheprovider", "hypothesispytest", "allure_pytest", "syrupy", "xdist")
_PAUSE = 0.05
Say = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do instead of a drill, and its options."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="search | replay FILE",
        help="search for a schedule of faults and customers that breaks the books; run one that was found",
    )
    group = parser.add_argument_group("search and replay")
    group.add_argument("--examples", type=int, default=400, metavar="N", help="schedules at most (default: 400)")
    group.add_argument("--seconds", type=int, default=120, metavar="N", help="no longer than this (default: 120)")
    group.add_argument("--under", metavar="DEFECT", help="with a resilience defect switched on: it has to be found")


def wanted(args: argparse.Namespace) -> bool:
    """Whether something else than a drill was asked for. Raises LookupError for what there is not."""
    if args.what and (args.what[0], len(args.what)) not in (("search", 1), ("replay", 2)):
        raise LookupError(f"dialtone drill {' '.join(args.what)}: there are `search` and `replay FILE`")
    return bool(args.what)


def run(args: argparse.Namespace, experiments: Sequence[Known], say: Say) -> int:
    """0 when the books hold, 1 when a schedule broke them, 14 when nothing was proved."""
    searching = [e for e in experiments if e.searches]
    if args.what[0] == "replay":
        file = Path(args.what[1])
        searching = [e for e in searching if e.id == _experiment(file)]
        os.environ[REPLAY] = str(file.absolute())
    else:
        os.environ[SEARCH] = f"{args.examples}:{args.seed}:{args.seconds}"
    if not searching:
        raise LookupError("no experiment searches (asks for the fixture `search`)")
    found = _round(args, [e.nodeid for e in searching])
    told = {e["id"]: e for e in found["checks"]}
    if args.json:
        print(json.dumps([told[e.id] for e in searching if e.id in told], indent=1))
    for one in searching:
        say(f"{one.id}: {told[one.id]['reason'] if one.id in told else 'did not run'}")
    return int(found["exit_code"])


def _experiment(file: Path) -> str:
    try:
        return str(json.loads(file.read_text())["experiment"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LookupError(f"{file} is no story of a search: {error}") from None


def _round(args: argparse.Namespace, nodeids: Sequence[str]) -> dict[str, Any]:
    """One session against a sandbox of its own; its verdicts. Raises CampaignError."""
    folder = args.build / "drill" / "search"
    folder.mkdir(parents=True, exist_ok=True)
    plugins = [word for plugin in _UNUSED for word in ("-p", f"no:{plugin}")]
    try:
        defect = _defect(args)
        with Sandbox.begin(**{**sandbox_options(args.target), "intercepted": True}).wait() as sandbox:
            steps = round_steps(
                sandbox, defect, [*nodeids, "--target", args.target, "-q", "--no-diagnosis", *plugins], folder
            )
            try:
                while True:
                    next(steps)
                    time.sleep(_PAUSE)
            except StopIteration as ended:
                if ended.value.failure:
                    raise CampaignError(ended.value.failure) from None
            finally:
                steps.close()
    except (SandboxError, ProfileError) as error:
        raise CampaignError(str(error)) from None
    verdicts: dict[str, Any] = json.loads((folder / f"{defect.id if defect else 'healthy'}.json").read_text())
    return verdicts


def _defect(args: argparse.Namespace) -> Defect | None:
    if not args.under:
        return None
    known = resilience_defects(app_defects(args.target))
    if args.under not in known:
        raise LookupError(f"no such resilience defect: {args.under}; there are {', '.join(sorted(known))}")
    return known[args.under]
