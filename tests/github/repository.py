"""A checked out repository in which workflows run, and what a run has left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.github.actions import Run, Runner
from tests.github.conftest import TOKEN, Site, environment

from dialtone.github import run as running
from dialtone.history.store import Store
from dialtone.standins.github import Job

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / ".github/workflows"


class Repository:
    """A checked out repository in which workflows run."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder, self.site = folder, site
        self.secrets: dict[str, str] = {}
        self.vars = {"PRODUCTION_URL": site.url, "PREVIEW_URL": ""}
        self.needs: dict[str, Any] = {}
        self.tools: dict[str, str] = {}
        """Programs of the runner's, name -> script."""
        self.ran: list[list[str]] = []
        self.canned: int | None = None
        """The exit code of a session that is not run, where what it does is of no interest: a start costs a second."""

    def run(
        self,
        flow: str,
        job: str,
        name: str,
        payload: Mapping[str, Any],
        *,
        run: int = 41,
        attempt: int = 1,
        **inputs: str,
    ) -> Run:
        """Run one job of a workflow; its token has the permissions of that job."""
        path = FLOWS / f"{flow}.yml"
        told = yaml.safe_load(path.read_text())
        permissions = told["jobs"][job].get("permissions", told["permissions"])
        granted = {k.replace("-", "_"): v for k, v in permissions.items()}
        self.site.github.jobs = {TOKEN: Job(TOKEN, granted)}
        env = environment(self.folder, self.site, name, payload, run)
        github = {"event": payload, "event_name": name, "token": TOKEN, "run_id": str(run), "repository": "acme/shop"}
        github |= {"run_attempt": str(attempt)}
        runner = Runner(self.folder, env)
        for tool, script in self.tools.items():
            runner.tool(tool, script)
        given = {"secrets": self.secrets, "vars": self.vars, "needs": self.needs, "inputs": inputs}
        with pytest.MonkeyPatch.context() as patched:
            if self.canned is not None:
                patched.setattr(running, "_child", self._session)
            return runner.job(path, job, github=github, **given)

    def _session(self, command: list[str], _output: object, env: Mapping[str, str]) -> int:
        """What a session leaves: verdicts, and a history where it is told of one."""
        self.ran.append(command)
        entry = {"id": "health", "verdict": "ok", "kind": None, "severity": "P0", "armed": True, "experiment": False}
        told = {"target": "production", "started": "s", "finished": "f", "exit_code": self.canned}
        (self.folder / "build").mkdir(exist_ok=True)
        entry |= {"reason": "fine", "at": "checks/test_shop.py:5", "runbook": "site-down"}
        (self.folder / "build/verdicts.json").write_text(json.dumps({**told, "checks": [entry]}))
        if env.get("DIALTONE_HISTORY", "off").endswith(".db"):
            Store.open(self.folder / env["DIALTONE_HISTORY"]).close()
        return int(self.canned or 0)

    @property
    def summary(self) -> str:
        """The page of the run."""
        path = self.folder / ".summary.md"
        return path.read_text() if path.exists() else ""


def makefile(shop: Repository) -> None:
    """The Makefile's own lines, with a Python that is only noted, and a site that it has built."""
    shutil.copy(ROOT / "Makefile", shop.folder)
    (shop.folder / ".venv/bin").mkdir(parents=True)
    (shop.folder / ".venv/bin/python").write_text(
        "#!/bin/sh\ncase $2 in sphinx) mkdir -p build/site; echo the documents >build/site/index.html; esac\n"
        'exec python "$@"\n'
    )
    (shop.folder / ".venv/bin/python").chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt", ".venv/.installed"):
        (shop.folder / name).touch()
