"""Stand-in for GitHub's REST API, as a workflow's token sees it: check runs, comments, issues, artifacts, Pages.

Paths, members and refusals: https://docs.github.com/rest (checks/runs, issues/comments, issues, actions/artifacts,
pages, commits, using-the-rest-api/rate-limits-for-the-rest-api) and the payloads of github.com/octokit/webhooks. A
token has the permissions of its job and no more: without one the answer is 403, and a header names what was missing.
An artifact's archive is a redirect to a storage that takes no credential of GitHub's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, Refusal, Request, json_answer

REPOSITORY = "acme/shop"
PER_HOUR = 1_000
"""Requests of one repository's GITHUB_TOKEN in an hour."""
MOST_ANNOTATIONS = 50
LONGEST = 65_535
"""Characters of a check run's summary, and about those of a comment."""

_CONCLUSIONS = {"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}
_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(slots=True)
class Artifact:
    """An archive that some run of a workflow left. `fork` is of a run for somebody else's branch."""

    name: str
    content: bytes
    branch: str = "main"
    fork: bool = False
    expired: bool = False


@dataclass(slots=True)
class Job:
    """What a workflow's token may: permission -> `read` or `write`."""

    token: str
    permissions: Mapping[str, str]


@dataclass(slots=True)
class Held:
    """What the repository holds. `pulls` maps a commit to the pull requests that it is in; `pages_public` and
    `pages_build` are told of Pages that are on."""

    private: bool = True
    pages: str | None = None
    pages_public: bool = True
    pages_build: str = "workflow"
    commits: set[str] = field(default_factory=set)
    pulls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    check_runs: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)


class GitHub(StandIn):
    """One repository. `limited` refuses so many requests as GitHub does; `pings` counts what the heartbeat got."""

    name = "github"
    routes = Routes()

    def __init__(self, jobs: list[Job], clock: Clock, *, base: Callable[[], str] = lambda: "") -> None:
        self.jobs, self._clock, self._base = {job.token: job for job in jobs}, clock, base
        self.held = Held()
        self.pings: list[str] = []
        self.asked: list[str] = []
        self.limited: list[dict[str, str]] = []
        self._left, self._reset = PER_HOUR, clock.time() + 3600
        self._made = 100

    def answer(self, request: Request) -> Answer:
        """What GitHub says; each answer carries what is left of the hour."""
        self.asked.append(f"{request.method} {request.path}")
        if request.path.startswith("/storage/"):
            return self._stored(request)
        if request.path.startswith("/ping/"):
            self.pings.append(request.path.removeprefix("/ping/"))
            return Answer(200, b"OK", "text/plain")
        if not request.headers.get("user-agent"):
            return json_answer(403, {"message": "Request forbidden by administrative rules."})
        try:
            answer = self._limited() or self._routed(request)
        except Refusal as refused:
            answer = refused.answer
        told = {"x-ratelimit-limit": str(PER_HOUR), "x-ratelimit-remaining": str(self._left)}
        told["x-ratelimit-reset"] = str(math.ceil(self._reset))
        return Answer(answer.status, answer.body, answer.content_type, {**told, **answer.headers})

    def recorded_body(self, request: Request) -> Any:
        """Nothing: comments may quote anything."""
        return None

    def _routed(self, request: Request) -> Answer:
        job = self.jobs.get(request.bearer or "")
        if request.bearer and job is None:
            return _message(401, "Bad credentials")
        found = self.routes.find(request.method, request.path)
        if found is None or "/".join(request.path.split("/")[2:4]) != REPOSITORY:
            return _message(404, "Not Found")
        handler, names = found
        names.pop("owner", None)
        names.pop("repo", None)
        return handler(self, request, job, **names)

    def _limited(self) -> Answer | None:
        now = self._clock.time()
        if now >= self._reset:
            self._left, self._reset = PER_HOUR, now + 3600
        if self.limited:
            return json_answer(
                403, {"message": "You have exceeded a secondary rate limit."}, headers=self.limited.pop(0)
            )
        if self._left <= 0:
            return _message(403, "API rate limit exceeded for installation.")
        self._left -= 1
        return None

    def exhaust(self) -> None:
        """The hour's requests are used up."""
        self._left = 0

    @routes("GET", "/repos/{owner}/{repo}")
    def repository(self, request: Request, job: Job | None) -> Answer:
        """Whether it is private, for whoever may see it."""
        if job is None and self.held.private:
            return _message(404, "Not Found")
        told = {"id": 1, "full_name": REPOSITORY, "private": self.held.private, "default_branch": "main"}
        return json_answer(200, {**told, "visibility": "private" if self.held.private else "public"})

    @routes("GET", "/repos/{owner}/{repo}/commits/{sha}/pulls")
    def pulls_of(self, request: Request, job: Job | None, sha: str) -> Answer:
        """The pull requests that a commit is in."""
        _may(job, "pull_requests", "read")
        self._commit(sha)
        return json_answer(200, self.held.pulls.get(sha, []))

    @routes("POST", "/repos/{owner}/{repo}/check-runs")
    def create_check_run(self, request: Request, job: Job | None) -> Answer:
        """A check run on a commit; `completed` needs a conclusion."""
        _may(job, "checks", "write")
        body = _object(request)
        if not isinstance(body.get("name"), str) or not _SHA.fullmatch(str(body.get("head_sha", ""))):
            raise _invalid('For "properties/name" and "head_sha": nil is not a string.')
        self._commit(body["head_sha"])
        _check_run(body)
        made = {"id": self._id(), "status": "queued", "conclusion": None, "annotations": [], **body}
        made["annotations"] = list((body.get("output") or {}).get("annotations", []))
        self.held.check_runs.append(made)
        return json_answer(201, made)

    @routes("PATCH", "/repos/{owner}/{repo}/check-runs/{number}")
    def update_check_run(self, request: Request, job: Job | None, number: str) -> Answer:
        """Annotations are added to those that are there."""
        _may(job, "checks", "write")
        found, body = _find(self.held.check_runs, number), _object(request)
        _check_run(body)
        annotations = [*found["annotations"], *(body.get("output") or {}).get("annotations", [])]
        found |= {**body, "annotations": annotations}
        if "conclusion" in body:
            found["status"] = "completed"
        return json_answer(200, found)

    @routes("GET", "/repos/{owner}/{repo}/issues/{number}/comments")
    def comments_of(self, request: Request, job: Job | None, number: str) -> Answer:
        """A page of comments, the oldest first."""
        _may(job, "issues", "read", "pull_requests")
        return self._page(request, [c for c in self.held.comments if c["issue"] == int(number)])

    @routes("POST", "/repos/{owner}/{repo}/issues/{number}/comments")
    def create_comment(self, request: Request, job: Job | None, number: str) -> Answer:
        """A comment of the workflow's own app."""
        _may(job, "issues", "write", "pull_requests")
        made = {"id": self._id(), "issue": int(number), "body": _text(_object(request)), "user": _BOT}
        self.held.comments.append(made)
        return json_answer(201, made)

    @routes("PATCH", "/repos/{owner}/{repo}/issues/comments/{number}")
    def update_comment(self, request: Request, job: Job | None, number: str) -> Answer:
        """Another text."""
        _may(job, "issues", "write", "pull_requests")
        found = _find(self.held.comments, number)
        found["body"] = _text(_object(request))
        return json_answer(200, found)

    @routes("DELETE", "/repos/{owner}/{repo}/issues/comments/{number}")
    def delete_comment(self, request: Request, job: Job | None, number: str) -> Answer:
        """Gone."""
        _may(job, "issues", "write", "pull_requests")
        self.held.comments.remove(_find(self.held.comments, number))
        return Answer(204)

    @routes("GET", "/repos/{owner}/{repo}/issues")
    def list_issues(self, request: Request, job: Job | None) -> Answer:
        """Open issues, unless `state` says otherwise."""
        _may(job, "issues", "read")
        state, labels = request.query.get("state", "open"), request.query.get("labels")
        found = [i for i in reversed(self.held.issues) if state in ("all", i["state"])]
        return self._page(request, [i for i in found if not labels or labels in i["labels"]])

    @routes("POST", "/repos/{owner}/{repo}/issues")
    def create_issue(self, request: Request, job: Job | None) -> Answer:
        """A new one."""
        _may(job, "issues", "write")
        body = _object(request)
        if not body.get("title"):
            raise _invalid("title is missing")
        number = len(self.held.issues) + 1
        made = {"id": number, "number": number, "state": "open", "labels": [], **body, "body": _text(body)}
        self.held.issues.append(made)
        return json_answer(201, made)

    @routes("PATCH", "/repos/{owner}/{repo}/issues/{number}")
    def update_issue(self, request: Request, job: Job | None, number: str) -> Answer:
        """Another text or state."""
        _may(job, "issues", "write")
        found = _find(self.held.issues, number)
        found |= _object(request)
        return json_answer(200, found)

    @routes("GET", "/repos/{owner}/{repo}/actions/artifacts")
    def list_artifacts(self, request: Request, job: Job | None) -> Answer:
        """The newest first; understands `name`."""
        _may(job, "actions", "read")
        name = request.query.get("name")
        found = [self._artifact(n) for n, a in enumerate(self.held.artifacts) if name in (None, a.name)]
        return json_answer(200, {"total_count": len(found), "artifacts": list(reversed(found))[:100]})

    @routes("GET", "/repos/{owner}/{repo}/actions/artifacts/{number}/zip")
    def archive(self, request: Request, job: Job | None, number: str) -> Answer:
        """Where its archive is, for a minute."""
        _may(job, "actions", "read")
        if not number.isdigit() or int(number) >= len(self.held.artifacts):
            return _message(404, "Not Found")
        if self.held.artifacts[int(number)].expired:
            return _message(410, "Artifact has expired")
        return Answer(302, headers={"location": f"{self._base()}/storage/{number}?sig=secret"})

    @routes("GET", "/repos/{owner}/{repo}/pages")
    def pages(self, request: Request, job: Job | None) -> Answer:
        """Where Pages are served; 404 where they are off."""
        _may(job, "pages", "read")
        if not self.held.pages:
            return _message(404, "Not Found")
        told = {"html_url": self.held.pages, "public": self.held.pages_public, "build_type": self.held.pages_build}
        return json_answer(200, {**told, "status": "built", "cname": None, "custom_404": False})

    def _artifact(self, number: int) -> dict[str, Any]:
        one = self.held.artifacts[number]
        run = {"id": 7, "repository_id": 1, "head_repository_id": 2 if one.fork else 1, "head_branch": one.branch}
        about = {"id": number, "name": one.name, "size_in_bytes": len(one.content), "expired": one.expired}
        return {**about, "workflow_run": run}

    def _stored(self, request: Request) -> Answer:
        number = request.path.removeprefix("/storage/")
        if "authorization" in request.headers or request.query.get("sig") != "secret":
            return Answer(403, b"<Error>AuthenticationFailed</Error>", "application/xml")
        return Answer(200, self.held.artifacts[int(number)].content, "application/zip")

    def _page(self, request: Request, found: list[dict[str, Any]]) -> Answer:
        size = min(int(request.query.get("per_page", "30")), 100)
        page = int(request.query.get("page", "1"))
        return json_answer(200, found[(page - 1) * size : page * size])

    def _commit(self, sha: str) -> None:
        if sha not in self.held.commits:
            raise Refusal(_message(422, f"No commit found for SHA: {sha}"))

    def _id(self) -> int:
        self._made += 1
        return self._made


_BOT = {"login": "github-actions[bot]", "type": "Bot"}


def _may(job: Job | None, permission: str, level: str, other: str | None = None) -> None:
    """What the token of a job may: 401 without one, 403 with the permission that it lacks."""
    if job is None:
        raise Refusal(_message(401, "Requires authentication"))
    names = [permission, other] if other else [permission]
    if not any(job.permissions.get(name) in ("write", level) for name in names):
        wanted = "; ".join(f"{name}={level}" for name in names)
        told = {"message": "Resource not accessible by integration", "status": "403"}
        raise Refusal(json_answer(403, told, headers={"x-accepted-github-permissions": wanted}))


def _check_run(body: Mapping[str, Any]) -> None:
    output = body.get("output") or {}
    if body.get("status") == "completed" and body.get("conclusion") not in _CONCLUSIONS:
        raise _invalid("conclusion is not one that a completed check run has")
    if output and not (output.get("title") and output.get("summary")):
        raise _invalid("output needs a title and a summary")
    if len(output.get("summary", "")) > LONGEST:
        raise _invalid("summary is too long (maximum is 65535 characters)")
    if len(output.get("annotations", ())) > MOST_ANNOTATIONS:
        raise _invalid("No more than 50 annotations are allowed in one request")
    for one in output.get("annotations", ()):
        if not {"path", "start_line", "end_line", "annotation_level", "message"} <= set(one):
            raise _invalid("an annotation needs path, start_line, end_line, annotation_level and message")


def _find(among: list[dict[str, Any]], number: str) -> dict[str, Any]:
    for one in among:
        if str(one["id"]) == number:
            return one
    raise Refusal(_message(404, "Not Found"))


def _object(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(_message(400, "Problems parsing JSON"))
    return body


def _text(body: Mapping[str, Any]) -> str:
    told = body.get("body")
    if not isinstance(told, str) or not told:
        raise _invalid("body can't be blank")
    if len(told) > LONGEST + 1:
        raise _invalid("Body is too long (maximum is 65536 characters)")
    return told


def _invalid(why: str) -> Refusal:
    return Refusal(json_answer(422, {"message": "Validation Failed", "errors": [{"message": why}]}))


def _message(status: int, message: str) -> Answer:
    return json_answer(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})
