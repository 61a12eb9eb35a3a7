"""Which deployment an event is about, and whether it is one to run against.

`deployment_status`: github.com/octokit/webhooks, payload-examples/api.github.com/deployment_status.
`repository_dispatch` of Vercel: `client_payload` with `url`, `environment` and `git.sha`
(https://vercel.com/docs/git/vercel-for-github).

Whoever opens a pull request from a fork chooses what such a deployment runs: it would be sent signatures, the bypass of
the previews' protection and the credentials of the prober. So it is not asked anything; a person may, by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Any
from urllib.parse import urlsplit

from dialtone.github.job import Job, JobError, of_repository

_SHA = re.compile(r"[0-9a-f]{7,64}")
_LOCAL = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """`url` and `sha` as the event tells them; `reason` says why it is not run against, empty where it is.

    `pull` is the number of its pull request, 0 without one. `waiting` says that there is nothing to tell yet.
    """

    url: str = ""
    sha: str = ""
    environment: str = ""
    pull: int = 0
    reason: str = ""
    waiting: bool = False

    def document(self) -> dict[str, Any]:
        """As data."""
        return asdict(self)


def deployment(job: Job, hosts: Sequence[str] = (), environments: Sequence[str] = ("*",)) -> Deployment:
    """The deployment of the job's event. Raises JobError, GitHubError.

    `hosts`: patterns of names that it may have; `environments`: of those whose deployments are gated, of events that
    name one.
    """
    event, payload = job.event, job.payload
    if event == "deployment_status":
        status, made = _table(payload, "deployment_status"), _table(payload, "deployment")
        where = str(status.get("environment_url") or status.get("target_url") or "")
        name = str(status.get("environment") or made.get("environment") or "")
        found = Deployment(where, str(made.get("sha") or ""), name)
        if status.get("state") != "success":
            return _no(found, f"the deployment is {status.get('state')}, not yet to be asked", waiting=True)
        if name.lower().startswith("production"):
            return _no(found, f"{name} is live already: a gate is for what is not", waiting=True)
        if other := _other(name, environments):
            return _no(found, other, waiting=True)
    elif event == "repository_dispatch":
        told = _table(payload, "client_payload")
        git = _table(told, "git")
        found = Deployment(
            str(told.get("url") or ""), str(git.get("sha") or told.get("sha") or ""), str(told.get("environment") or "")
        )
        if found.environment.lower() == "production":
            return _no(found, "production is live already: a gate is for what is not", waiting=True)
        if found.environment and (other := _other(found.environment, environments)):
            return _no(found, other, waiting=True)
    elif event == "workflow_dispatch":
        told = _table(payload, "inputs")
        found = Deployment(str(told.get("url") or ""), str(told.get("revision") or ""), "by hand")
    else:
        raise JobError(f"the event {event or '(none)'} names no deployment: deployment_status, repository_dispatch do")
    found = Deployment(_address(found.url, hosts), _revision(found.sha), found.environment)
    return _no_fork(job, found)


def _other(name: str, environments: Sequence[str]) -> str:
    """Why an environment is not gated, empty where it is. Names know no case: Vercel says preview and Preview."""
    if any(fnmatch(name.lower(), pattern.lower()) for pattern in environments):
        return ""
    told = ", ".join(environments)
    return f"the environment {name or '(none)'} is not gated: gate.environments of the profile has {told}"


def _no_fork(job: Job, found: Deployment) -> Deployment:
    if len(found.sha) != 40:  # by hand, where a person has looked; an event has the whole of it
        return found
    pulls = list(job.api.pages(f"/commits/{found.sha}/pulls"))
    own = [pull for pull in pulls if of_repository(pull, job.repository)]
    number = int((own or pulls or [{"number": 0}])[0]["number"])
    whole = Deployment(found.url, found.sha, found.environment, number)
    if pulls and not own and job.event != "workflow_dispatch":
        return _no(whole, "the commit is a fork's: it gets no secret and no credential. Look at it, then run by hand")
    return whole


def _no(found: Deployment, reason: str, *, waiting: bool = False) -> Deployment:
    return Deployment(found.url, found.sha, found.environment, found.pull, reason, waiting)


def _address(told: str, hosts: Sequence[str]) -> str:
    where = told if "://" in told else f"https://{told}" if told else ""
    try:
        parts = urlsplit(where)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    odd = parts.username or parts.query or parts.fragment or re.search(r"\s", where)
    if not host or odd or (parts.scheme != "https" and not (parts.scheme == "http" and host in _LOCAL)):
        raise JobError("the event names no address of https that could be asked")
    if hosts and not any(fnmatch(host, pattern) for pattern in hosts):
        raise JobError(f"the deployment is at {host}, which gate.hosts of the profile does not allow")
    return f"{parts.scheme}://{parts.netloc}"


def _revision(told: str) -> str:
    if told and not _SHA.fullmatch(told.lower()):
        raise JobError("the revision that the event names is not a commit's")
    return told.lower()


def _table(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}
