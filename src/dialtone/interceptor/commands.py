"""The commands `dialtone faults …`: run an interceptor, put plans, pull the lever, read the journal."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_EPILOG = """\
a plan is JSON: {"seed": 7, "faults": [{"fault": "latency", "seconds": 2, "match": {"host": "api.stripe.com"}}]}
faults last as long as somebody renews them: `run` does until Ctrl-C, and a killed one leaves nothing behind.
exit codes: 0 well, 1 refused or a fault that matched nothing, 2 wrong arguments or plan, 130 Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group to the command line; each action sets `run`."""
    group = subparsers.add_parser(
        "faults",
        help="make external APIs fail: the interceptor and its faults",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    from dialtone.interceptor.through import add_to as add_through

    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, run: Callable[[argparse.Namespace], int], told: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=told, description=told[0].upper() + told[1:] + ".")
        made.set_defaults(run=run)
        return made

    serve = action("serve", _serve, "run an interceptor until Ctrl-C")
    serve.add_argument("settings", type=Path, help="hosts, upstreams and listeners, in TOML or JSON")
    serve.add_argument(
        "--open", action="store_true", help="may be reached from a network; the settings have to say so too"
    )
    check = action("check", _check, "read a plan whole and print it with every default, without an interceptor")
    check.add_argument("plan", type=Path)
    running = action("run", _run, "put a plan and keep it alive until Ctrl-C")
    running.add_argument("plan", type=Path)
    running.add_argument("--for", dest="seconds", type=float, help="seconds, instead of until Ctrl-C")
    action("list", _list, "active and ended faults, and what they matched").add_argument("--json", action="store_true")
    action("end", _end, "end all faults, or those named").add_argument("id", nargs="*")
    lever = action("lever", _lever, "end all faults at once and take none until it is released")
    lever.add_argument("what", choices=["pull", "release"])
    lever.add_argument("--why", default="pulled by hand")
    journal = action("journal", _journal, "what came in and what was done, as JSON lines")
    journal.add_argument("--follow", action="store_true", help="go on as it comes")
    journal.add_argument("--since", type=int, default=0, metavar="N", help="lines after number N")
    answers = action("answers", _answers, "the authentic answers of providers, with their sources")
    answers.add_argument("provider", nargs="?")
    answers.add_argument("--json", action="store_true")
    answers.add_argument("--markdown", action="store_true", help="one provider's page of docs/providers")
    action("mechanisms", _mechanisms, "the mechanisms and their parameters")
    add_through(actions)
    for name in ("run", "list", "end", "lever", "journal", "through"):
        actions.choices[name].add_argument(
            "--at", type=Path, metavar="FOLDER", help="folder of the interceptor (default: $DIALTONE_INTERCEPTOR)"
        )


def _told(run: Callable[[Any], int], args: argparse.Namespace) -> int:
    """Run with a controller; what is refused is told without a traceback."""
    from dialtone.interceptor.client import ControlError, Controller

    try:
        with Controller.attached(args.at) as controller:
            return run(controller)
    except ControlError as error:
        print(error, file=sys.stderr)
        return 1


def _serve(args: argparse.Namespace) -> int:
    from dialtone.interceptor.run import run
    from dialtone.interceptor.settings import BadSettingsError, read

    try:
        run(read(args.settings), allow_open=args.open)
    except BadSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _check(args: argparse.Namespace) -> int:
    from dialtone.interceptor.plan import BadPlanError, parse

    try:
        specs = parse(args.plan.read_bytes())
    except (BadPlanError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"faults": [spec.shown() for spec in specs]}, indent=1))
    return 0


def _run(args: argparse.Namespace) -> int:
    if _check(args):
        return 2

    def run(controller: Any) -> int:
        active = controller.plan(json.loads(args.plan.read_bytes()))
        try:
            _wait(args.seconds)
        finally:
            told = [fault.shown() for fault in active]
            for fault in told:
                print(_line(fault), file=sys.stderr)
        return 0 if all(fault["matched"] or _unseen(fault) for fault in told) else 1

    return _told(run, args)


def _wait(seconds: float | None) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    while end is None or time.monotonic() < end:
        time.sleep(0.2 if end is None else max(0.0, min(0.2, end - time.monotonic())))


def _unseen(fault: Mapping[str, Any]) -> bool:
    """Whether what it matches cannot be counted: a closed port answers below the interceptor."""
    return bool(fault["fault"] == "refuse")


def _line(fault: Mapping[str, Any]) -> str:
    left = f"{fault['left']:.1f} s left" if "left" in fault else f"ended: {fault['ended']}"
    unmet = "  who is refused by the kernel is not seen" if _unseen(fault) else "  MATCHED NOTHING"
    warned = "" if fault["matched"] else unmet
    return f"{fault['id']:<32} matched {fault['matched']:>6}, acted {fault['acted']:>6}, {left}{warned}"


def _list(args: argparse.Namespace) -> int:
    def run(controller: Any) -> int:
        told = controller.faults()
        if args.json:
            print(json.dumps(told, indent=1))
            return 0
        if told["lever"]:
            print(f"the safety lever is pulled: {told['lever']}")
        for fault in [*told["active"], *told["ended"]]:
            print(_line(fault))
        if not told["active"]:
            print("no fault is active")
        return 0

    return _told(run, args)


def _end(args: argparse.Namespace) -> int:
    return _told(lambda controller: controller.end(args.id or None) or 0, args)


def _lever(args: argparse.Namespace) -> int:
    def run(controller: Any) -> int:
        if args.what == "pull":
            print(f"{controller.pull(args.why)} faults ended; no new ones until `dialtone faults lever release`")
        else:
            controller.release()
            print("faults are taken again")
        return 0

    return _told(run, args)


def _journal(args: argparse.Namespace) -> int:
    def run(controller: Any) -> int:
        lines = controller.follow(args.since) if args.follow else controller.journal(args.since)
        for line in lines:
            print(json.dumps(line, separators=(",", ":"), ensure_ascii=False), flush=args.follow)
        return 0

    return _told(run, args)


def _answers(args: argparse.Namespace) -> int:
    from dialtone.interceptor.answers import Answers, UnknownAnswerError, providers

    try:
        chosen = [Answers.of(name) for name in ([args.provider] if args.provider else providers())]
    except UnknownAnswerError as error:
        print(error, file=sys.stderr)
        return 2
    if args.markdown:
        print("\n".join(page(answers) for answers in chosen), end="")
        return 0
    if args.json:
        rows = [
            {"provider": a.provider, **{n: getattr(row, n) for n in row.__slots__}, "headers": dict(row.headers)}
            for a in chosen
            for row in a.rows.values()
        ]
        print(json.dumps(rows, indent=1))
        return 0
    for answers in chosen:
        for row in answers.rows.values():
            print(f"{answers.provider:<10} {row.name:<34} {row.status}  {row.symptom}")
    return 0


def page(answers: Any) -> str:
    """A provider's page: every answer with its symptom and source."""
    lines = [
        f"# {answers.provider}: what it answers when something is wrong",
        "",
        f"Hosts: {', '.join(f'`{host}`' for host in answers.hosts)}. Each answer is put with",
        f"`faults.{answers.provider}.ENDPOINT.ANSWER(share=…, nth=…, seed=…)` or, in a plan, with",
        f'`{{"fault": "answer", "provider": "{answers.provider}", "row": "ENDPOINT.ANSWER"}}`.',
        "This page is written by `dialtone faults answers PROVIDER --markdown`.",
        "",
        "| endpoint | what matches |",
        "|---|---|",
    ]
    for name, match in answers.endpoints.items():
        told = ", ".join(f"{key} `{value}`" for key, value in match.items()) or "every request of the hosts"
        lines.append(f"| `{name}` | {told} |")
    for row in answers.rows.values():
        head = "".join(f"\n{name}: {value}" for name, value in row.headers.items())
        lines += ["", f"## {row.name}", "", f"{row.symptom[0].upper()}{row.symptom[1:]}.", ""]
        lines += ["```http", f"{row.status}{head}", f"content-type: {row.content_type}", "", row.body, "```", ""]
        lines.append(f"Source: {row.source}.")
    return "\n".join(lines) + "\n"


def _mechanisms(_: argparse.Namespace) -> int:
    from dialtone.interceptor.mechanism import mechanisms, parameters

    for name, cls in sorted(mechanisms().items()):
        print(f"{name:<18} {(cls.__doc__ or '').splitlines()[0]}")
        for one in parameters(cls):
            default = "needed" if repr(one.default).startswith("<") else repr(one.default)
            print(f"{'':<18}   {one.name} = {default}")
    return 0
