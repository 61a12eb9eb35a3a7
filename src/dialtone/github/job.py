"""The job that a step belongs to, as GitHub tells it: https://docs.github.com/actions/reference/variables-reference."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dialtone.github.api import Api, GitHubError

STATE = Path("build/github.json")
"""What one step leaves for the next: the deployment, the check run, the exit code."""


class JobError(Exception):
    """This is no job of GitHub Actions, or it lacks something; the message names the remedy."""


@dataclass(frozen=True)
class Job:
    """A job and the event that started it. `order` grows from run to run and from attempt to attempt."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def event(self) -> str:
        """`schedule`, `deployment_status`, `pull_request` …"""
        return self.environ.get("GITHUB_EVENT_NAME", "")

    @property
    def repository(self) -> str:
        """`owner/name`."""
        found = self.environ.get("GITHUB_REPOSITORY", "")
        if not found:
            raise JobError("GITHUB_REPOSITORY is not set: this command is a step of a GitHub workflow")
        return found

    @property
    def order(self) -> tuple[int, int]:
        """Run and attempt."""
        told = (self.environ.get(name, "") for name in ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"))
        run, attempt = (int(text) if text.isdigit() else 0 for text in told)
        return run, attempt

    @property
    def run_url(self) -> str:
        """The page of the run."""
        server = self.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{self.repository}/actions/runs/{self.order[0]}"

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The event. Raises JobError for a file that is none."""
        path = self.environ.get("GITHUB_EVENT_PATH", "")
        if not path:
            return {}
        try:
            found = json.loads(Path(path).read_text())
        except (OSError, ValueError) as wrong:
            raise JobError(f"GITHUB_EVENT_PATH is no JSON document: {wrong}") from None
        return found if isinstance(found, dict) else {}

    @cached_property
    def api(self) -> Api:
        """The repository's API, with the token of the job."""
        base = self.environ.get("GITHUB_API_URL", "https://api.github.com")
        return Api(self.environ.get("GITHUB_TOKEN", ""), self.repository, base)

    def close(self) -> None:
        """Close idle connections, if there are any."""
        if "api" in self.__dict__:
            self.api.close()

    @cached_property
    def private(self) -> bool:
        """Whether nobody outside sees its logs and artifacts. What cannot be found out counts as public."""
        told = (self.payload.get("repository") or {}).get("private")
        if isinstance(told, bool):
            return told
        try:
            return (self.api.ask("GET", "") or {}).get("private") is True
        except (GitHubError, JobError):
            return False

    @property
    def from_fork(self) -> bool:
        """Whether a pull request of somebody else's repository started it: it has no secrets then."""
        pull = self.payload.get("pull_request") or {}
        return bool(pull) and not of_repository(pull, self.repository)

    def output(self, **values: str) -> None:
        """Outputs of the step, in the form that takes any value: a delimiter that nobody can foresee."""
        lines = []
        for name, value in values.items():
            mark = f"end-{secrets.token_hex(8)}"
            lines.append(f"{name.replace('_', '-')}<<{mark}\n{value}\n{mark}\n")
        self._append("GITHUB_OUTPUT", "".join(lines))

    def summary(self, text: str) -> bool:
        """Append to the page of the run; whether there is one."""
        return self._append("GITHUB_STEP_SUMMARY", text + "\n")

    def _append(self, variable: str, text: str) -> bool:
        path = self.environ.get(variable)
        if not path:
            return False
        with Path(path).open("a") as file:
            file.write(text)
        return True


def of_repository(pull: Mapping[str, Any], repository: str) -> bool:
    """Whether a pull request comes from a branch of the repository itself; a deleted fork has none."""
    head = (pull.get("head") or {}).get("repo") or {}
    return str(head.get("full_name", "")).lower() == repository.lower()


def recall(path: Path = STATE) -> dict[str, Any]:
    """What earlier steps left; nothing where there were none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(path: Path = STATE, **more: Any) -> None:
    """Leave something for later steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**recall(path), **more}, indent=1) + "\n")


def document(path: Path) -> dict[str, Any] | None:
    """A JSON document that a run left; None where there is none, or it is damaged."""
    return recall(path) or None
