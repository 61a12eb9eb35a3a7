"""Events as GitHub sends them, cut to what a workflow may read.

github.com/octokit/webhooks, payload-examples/api.github.com: deployment_status, repository_dispatch, pull_request;
`schedule` and `workflow_dispatch`: https://docs.github.com/actions/reference/events-that-trigger-workflows.
"""

from __future__ import annotations

from typing import Any

SHA = "a10867b14bb761a232cd80139fbd4c0d33264240"
REPOSITORY = {
    "id": 1,
    "name": "shop",
    "full_name": "acme/shop",
    "private": True,
    "default_branch": "main",
    "fork": False,
    "owner": {"login": "acme", "type": "Organization"},
}


def deployment_status(url: str, *, state: str = "success", environment: str = "Preview", **more: Any) -> dict[str, Any]:
    """Vercel gives a commit as ref, and the address as `environment_url`."""
    return {
        "action": "created",
        "deployment_status": {
            "id": 2,
            "state": state,
            "environment": environment,
            "target_url": "https://vercel.com/acme/shop/inspect",
            "environment_url": url,
            "creator": {"login": "vercel[bot]", "type": "Bot"},
        },
        "deployment": {"id": 1, "sha": SHA, "ref": SHA, "task": "deploy", "environment": environment, "payload": {}},
        "repository": {**REPOSITORY, **more},
        "sender": {"login": "vercel[bot]", "type": "Bot"},
    }


def repository_dispatch(url: str) -> dict[str, Any]:
    """Vercel's own event."""
    told = {"environment": "preview", "url": url, "state": {"type": "ready"}, "git": {"ref": "topic", "sha": SHA}}
    return {"action": "vercel.deployment.success", "branch": "main", "client_payload": told, "repository": REPOSITORY}


def schedule(**more: Any) -> dict[str, Any]:
    """A cron."""
    return {"schedule": "7,37 * * * *", "repository": {**REPOSITORY, **more}}


def workflow_dispatch(**inputs: str) -> dict[str, Any]:
    """By hand."""
    return {"inputs": inputs, "ref": "refs/heads/main", "repository": REPOSITORY, "sender": {"login": "ada"}}


def tag(name: str) -> dict[str, Any]:
    """A push of a tag."""
    return {"ref": f"refs/tags/{name}", "created": True, "after": SHA, "base_ref": None, "repository": REPOSITORY}


def fork_pull_request() -> dict[str, Any]:
    """Somebody else's branch: a token that reads, and no secret."""
    return {
        "action": "opened",
        "number": 7,
        "pull_request": pull(fork=True),
        "repository": {**REPOSITORY, "private": False},
        "sender": {"login": "mallory"},
    }


def pull(*, number: int = 7, fork: bool = False) -> dict[str, Any]:
    """A pull request, as the API tells it too."""
    return {
        "number": number,
        "state": "open",
        "head": {"ref": "topic", "sha": SHA, "repo": {"full_name": "mallory/shop" if fork else "acme/shop"}},
        "base": {"ref": "main", "repo": {"full_name": "acme/shop"}},
    }
