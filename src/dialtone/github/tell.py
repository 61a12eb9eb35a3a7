"""Where a run's outcome is told: the page of the run, lines of checks, a check run, one comment, one issue.

A comment and an issue are found again by a mark and written in place. A run never writes over what a later one wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialtone.github import text
from dialtone.github.job import Job

CONCLUSIONS = {0: "success", 19: "timed_out", 130: "cancelled", 143: "cancelled"}
"""Exit code -> conclusion of a check run; any other is a failure. `neutral` is none: GitHub lets it pass."""
LABEL = "dialtone"


def conclusion(code: int | None, status: str, blocked: str) -> str:
    """Of a check run: success is the exit code 0 of a job that ran to its end, and nothing else is."""
    if blocked:
        return "action_required"
    if status == "cancelled":
        return "cancelled"
    return CONCLUSIONS.get(code, "failure") if code is not None else "failure"


def begin(job: Job, name: str, sha: str) -> int:
    """A check run in progress on a commit; its id."""
    body = {"name": name, "head_sha": sha, "status": "in_progress", "details_url": job.run_url}
    made = job.api.ask("POST", "/check-runs", {**body, "external_id": ".".join(map(str, job.order))})
    return int(made["id"])


def complete(job: Job, number: int, how: str, title: str, summary: str, lines: list[dict[str, Any]]) -> None:
    """Conclude it. Annotations beyond the 50 of one request are sent before, so that the conclusion comes last."""
    batches = [lines[i : i + text.MOST] for i in range(0, len(lines), text.MOST)] or [[]]
    for batch in batches[:-1]:
        output = {"title": title[:250], "summary": summary, "annotations": batch}
        job.api.ask("PATCH", f"/check-runs/{number}", {"output": output})
    output = {"title": title[:250], "summary": summary, "annotations": batches[-1]}
    body = {"status": "completed", "conclusion": how, "details_url": job.run_url, "output": output}
    job.api.ask("PATCH", f"/check-runs/{number}", body)


def comment(job: Job, pull: int, key: str, body: str) -> str:
    """The one comment of this key on a pull request; what was done. Two runs at once leave one comment all the same."""
    fresh = text.marked(key, job.order, body)
    found = _comments(job, pull, key)
    if found:
        return _over(job, found, key, fresh)
    made = job.api.ask("POST", f"/issues/{pull}/comments", {"body": fresh})
    found = _comments(job, pull, key)
    if found and found[0]["id"] != made["id"]:  # somebody was faster: theirs is the one that stays
        job.api.ask("DELETE", f"/issues/comments/{made['id']}")
        return _over(job, found, key, fresh)
    return "comment written"


def _over(job: Job, found: list[Mapping[str, Any]], key: str, fresh: str) -> str:
    if (text.mark_of(found[0]["body"], key) or (0, 0)) > job.order:
        return "a later run has written the comment: it is left"
    job.api.ask("PATCH", f"/issues/comments/{found[0]['id']}", {"body": fresh})
    return "comment updated"


def _comments(job: Job, pull: int, key: str) -> list[Mapping[str, Any]]:
    """Ours, the oldest first: by the mark, and written by an app, since anybody may copy a mark."""
    every = job.api.pages(f"/issues/{pull}/comments")
    ours = [c for c in every if text.mark_of(c["body"], key) and c.get("user", {}).get("type") == "Bot"]
    return sorted(ours, key=lambda c: int(c["id"]))


def issue(job: Job, key: str, title: str, body: str) -> str:
    """The one issue of this key; what was done. Boxes that people have ticked stay ticked."""
    fresh = text.marked(key, job.order, body)
    listed = job.api.pages(f"/issues?state=all&labels={LABEL}")
    for old in listed:
        told = str(old.get("body") or "")
        if "pull_request" in old or text.mark_of(told, key) is None:
            continue
        if (text.mark_of(told, key) or (0, 0)) > job.order:
            return f"a later run has written issue {old['number']}: it is left"
        job.api.ask("PATCH", f"/issues/{old['number']}", {"body": text.rechecked(fresh, told)})
        return f"issue {old['number']} updated"
    made = job.api.ask("POST", "/issues", {"title": title, "body": fresh, "labels": [LABEL]})
    return f"issue {made['number']} written"
