"""`dialtone github …`: the steps of a workflow, one line each."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialtone.github import keep, pages, tell, text
from dialtone.github import run as running
from dialtone.github.api import GitHubError
from dialtone.github.deployment import deployment
from dialtone.github.job import Job, JobError, document, recall, remember
from dialtone.github.run import GATE, VERDICTS
from dialtone.history import StoreError
from dialtone.signing.sealed import SealError

HEARTBEAT = "DIALTONE_HEARTBEAT_URL"
_JUDGED = (0, 1, 10, 12, 15, 16, 17, 18)
"""Exit codes of runs that looked at the target: a heartbeat says that somebody watched, not that all is well."""

Action = Callable[[argparse.Namespace, Job], int]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "github",
        help="the steps of a GitHub workflow",
        description="What the workflows do besides running checks. Each reads the job and its event from the variables"
        " that GitHub sets, and the token from GITHUB_TOKEN. docs/github-actions.md shows them at work.",
    )
    steps = parser.add_subparsers(title="steps", metavar="STEP", required=True)

    def step(name: str, action: Action, help_: str) -> argparse.ArgumentParser:
        made = steps.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".")
        made.set_defaults(run=lambda args: _guarded(action, args))
        return made

    made = step("deployment", _deployment, "which deployment the event is about; outputs run, url, sha, reason")
    made.add_argument(
        "--target", default="preview", metavar="NAME", help="whose gate.environments and gate.hosts bound it (preview)"
    )
    made.add_argument("--check-run", metavar="NAME", help="begin a check run of this name on the commit")
    made = step("restore", _restore, "bring the history of earlier runs back; outputs history, for DIALTONE_HISTORY")
    made.add_argument("--target", default="production", metavar="NAME", help="whose history (production)")
    made.add_argument("--required", action="store_true", help="fail where it is there and cannot be brought back")
    made = step("run", running.run, "run a command; a public repository's log does not show what it prints")
    running.add_arguments(made)
    made = step("fetch", _fetch, "bring parts of the last run's report back into the build folder; outputs found")
    made.add_argument("name", help="of the artifact")
    made.add_argument(
        "--part", required=True, action="append", metavar="NAME[=AS]", help="a file or folder of it; can be repeated"
    )
    made.add_argument("--optional", action="store_true", help="what cannot be had is told, and is no error")
    made = step("tell", _tell, "tell the outcome: summary, lines of checks, check run, comment, issue")
    made.add_argument("--title", default="Checks", help="above the summary")
    made.add_argument("--comment", metavar="KEY", help="one comment on the pull request, updated in place")
    made.add_argument("--issue", metavar="KEY", help="one issue, updated in place")
    made.add_argument("--document", type=Path, metavar="FILE", help="this below the summary, in a private repository")
    made.add_argument("--checklist", type=Path, metavar="FILE", help="what people have to do, into the issue")
    made = step("pack", _pack, "what is to be uploaded: outputs the folders of report and history")
    made.add_argument(
        "--no-history",
        dest="history",
        action="store_false",
        help="the report alone: others keep the history",
    )
    step("heartbeat", lambda *_: _heartbeat(), f"tell the dead-man's switch at {HEARTBEAT} that somebody watched")
    step("pages", lambda _, job: _pages(job), "whether the repository has Pages; outputs on, url")
    made = step("site", _site, "put together what Pages publish: status, report, drill, beside what is there already")
    made.add_argument("--target", default="production", metavar="NAME", help="whose status (production)")
    made.add_argument("--title", default="Status", help="of the customers' page (Status)")
    made.add_argument("--to", type=Path, default=Path("build/site"), metavar="FOLDER", help="build/site")


def _guarded(action: Action, args: argparse.Namespace) -> int:
    job = Job()
    try:
        return action(args, job)
    except (GitHubError, JobError, SealError, StoreError) as wrong:
        print(f"::error::{text.escaped(str(wrong))}")
        return 1
    finally:
        job.close()


def _deployment(args: argparse.Namespace, job: Job) -> int:
    from dialtone.target import ProfileError
    from dialtone.target.load import describe, nearest

    try:
        gate = describe(nearest(), args.target, os.environ).profile.gate
    except ProfileError as wrong:
        raise JobError(str(wrong)) from None
    found = deployment(job, gate.hosts, gate.environments)
    blocked = bool(found.reason) and not found.waiting
    remember(deployment=found.document(), blocked=found.reason if blocked else "")
    job.output(run="" if found.reason else "true", url=found.url, sha=found.sha, reason=found.reason)
    print(
        found.reason or f"{found.environment or 'deployment'} of {found.sha[:12] or 'an unknown commit'}: {found.url}"
    )
    if args.check_run and len(found.sha) == 40 and not found.waiting:
        remember(check_run=tell.begin(job, args.check_run, found.sha))
    return 0


def _restore(args: argparse.Namespace, job: Job) -> int:
    print(keep.restore(job, args.target))
    return int(args.required and bool(recall()["history"].get("trouble")))


def _fetch(args: argparse.Namespace, job: Job) -> int:
    print(keep.fetch(job, args.name, args.part, optional=args.optional))
    return 0


def _tell(args: argparse.Namespace, job: Job) -> int:
    known, verdicts, full = recall(), document(VERDICTS), job.private
    code, blocked = known.get("exit_code"), str(known.get("blocked") or "")
    made = known.get("deployment") or {}
    if made.get("waiting"):
        job.summary(text.page(args.title, [f"Skipped: {text.plain(made['reason'])}."]))
        return 0
    how = tell.conclusion(code, os.environ.get("JOB_STATUS", ""), blocked)
    head = blocked or ("cancelled" if how == "cancelled" else text.headline(verdicts, code))
    lines = [f"**{text.plain(head)}**", _proved(full), text.table(verdicts, full=full), f"[The run]({job.run_url})"]
    if full and args.document and args.document.is_file():
        lines.append(args.document.read_text())
    body = text.page(args.title, lines)
    job.summary(body)
    worst = text.worst(verdicts)
    job.output(exit_code="" if code is None else str(code), verdict=worst)
    marks = text.at_lines(verdicts, full=full)
    for line in text.commands(marks):
        print(line)
    failures = []
    for what in _elsewhere(args, job, known, how, head, body, marks):
        try:
            print(what())
        except GitHubError as wrong:  # one that fails hinders no other
            failures.append(str(wrong))
            print(f"::error::{text.escaped(str(wrong))}")
    return 1 if failures else 0


def _elsewhere(
    args: argparse.Namespace,
    job: Job,
    known: Mapping[str, Any],
    how: str,
    head: str,
    body: str,
    marks: list[dict[str, Any]],
) -> list[Callable[[], str]]:
    """What is told beyond the page of the run."""
    made: list[Callable[[], str]] = []
    number, deployed = known.get("check_run"), known.get("deployment")
    if isinstance(number, int):

        def concluded() -> str:
            tell.complete(job, number, how, head, body, marks)
            return f"check run {number}: {how}"

        made.append(concluded)
    pull = deployed.get("pull") if isinstance(deployed, dict) else 0
    if args.comment and pull:
        made.append(lambda: tell.comment(job, int(pull), args.comment, body))
    if args.issue:
        key = f"{args.issue}:{_quarter(time.gmtime())}"
        checklist = args.checklist.read_text() if args.checklist and args.checklist.is_file() else ""
        told = f"{body}\n\n{checklist}" if checklist else body
        made.append(lambda: tell.issue(job, key, f"{args.title} {_quarter(time.gmtime())}", told))
    return made


def _quarter(at: time.struct_time) -> str:
    return f"{at.tm_year}-Q{(at.tm_mon - 1) // 3 + 1}"


def _proved(full: bool) -> str:
    """Which revision it was, where that was proved."""
    before = (document(GATE) or {}).get("before") or {}
    after = (document(GATE) or {}).get("after") or {}
    if not before.get("wanted"):
        return ""
    if not before.get("proved"):
        return f"`{before['wanted'][:12]}` was not served" + (f": {text.plain(before['served'])}" if full else "")
    to_the_end = "before and after" if after.get("proved") else "before, and not to the end"
    return f"Revision `{before['wanted'][:12]}`, proved {to_the_end}."


def _pack(args: argparse.Namespace, job: Job) -> int:
    for line in keep.pack(job, history=args.history):
        print(line)
    return 0


def _heartbeat() -> int:
    from dialtone.http import Client, Limits

    url, code = os.environ.get(HEARTBEAT, ""), recall().get("exit_code")
    if not url:
        print(f"::notice title=heartbeat::{HEARTBEAT} is not set: nobody will notice when this workflow stops to run")
        return 0
    if code not in _JUDGED or document(VERDICTS) is None:
        print(f"no heartbeat: the run looked at nothing (exit code {code})")
        return 0
    with Client("", limits=Limits(connect=3, read=5, total=8, max_body=10_000)) as client:
        answers = (client.get(url, fresh=True) for _ in range(3))
        answer = next((a for a in answers if a.ok), None)
    if answer is None:
        raise JobError("the dead-man's switch did not take the heartbeat in three tries")
    print("heartbeat: taken")
    return 0


def _pages(job: Job) -> int:
    where = pages.ask(job)
    if not where:
        print(f"::notice title=pages::{pages.OFF}")
        job.summary(pages.OFF)
    job.output(on="true" if where else "", url=where)
    return 0


def _site(args: argparse.Namespace, job: Job) -> int:
    told = pages.site(args.target, args.to, title=args.title)
    print("\n".join(told))
    job.summary(text.page("Pages", [f"- {line}" for line in told]))
    return 0
