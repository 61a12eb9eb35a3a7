"""Stand-in for Vercel's REST API: the deployments of one project, which of them is live, and its variables.

Paths, bodies and members of answers: https://vercel.com/docs/rest-api (deployments, projects, environment) and the
models of github.com/vercel/sdk; what a rollback leaves in a project is `lastAliasRequest` there. Nothing is built: a
new deployment is QUEUED, and READY a moment later.

What is wrong with the application belongs to the deployment that brought it: the defects that are switched on go and
come with the deployment that is live.
"""

from __future__ import annotations

import json
import os
import secrets
from hmac import compare_digest
from pathlib import Path
from typing import Any

from dialtone.standins.defects import DEFECTS, Switches
from dialtone.standins.standin import Routes, StandIn
from dialtone.standins.state import Clock
from dialtone.standins.wire import STRANGER, Answer, Caller, Refusal, Request, json_answer

PROJECT = "prj_sandbox"
BUILD = 0.4
"""Seconds that a build takes here."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_HOST = "app.sandbox.invalid"
_VARIABLES = ("STRIPE_SECRET_KEY", "TELNYX_API_KEY", "RETELL_API_KEY", "JWT_SECRET")


class Vercel(StandIn):
    """One project. Its first deployment was good, then came one that failed to build, then the one that is live."""

    name = "vercel"
    routes = Routes()

    def __init__(self, token: str, defects_file: Path | None, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._token, self._clock, self._defects = token.encode(), clock, _Defects(defects_file)
        now = clock.time()
        self._deployments = [
            _deployment("dpl_sandbox_first", now - 3 * _DAY, "READY"),
            _deployment("dpl_sandbox_failed", now - 2 * _HOUR, "ERROR"),
            _deployment("dpl_sandbox_latest", now - _HOUR, "READY"),
        ]
        for one in self._deployments[0], self._deployments[2]:
            one["readySubstate"] = "PROMOTED"
        self._live = "dpl_sandbox_latest"
        self._carried: dict[str, list[str]] = {}
        self._last: dict[str, Any] | None = None
        self._variables = [_variable(name, now - 30 * _DAY) for name in _VARIABLES]

    def answer(self, request: Request) -> Answer:
        """403 without the token, as Vercel answers a token that it does not know."""
        if self.caller(request) is STRANGER:
            return _error(403, "forbidden", "Not authorized", invalidToken=True)
        found = self.routes.find(request.method, request.path)
        if found is None:
            return _error(404, "not_found", "The requested resource was not found.")
        self._build()
        handler, names = found
        return handler(self, request, **names)

    def caller(self, request: Request) -> Caller:
        """Whoever knows the token is the prober: the application never deploys itself."""
        is_known = compare_digest((request.bearer or "").encode(), self._token)
        return Caller("unknown", "prober") if is_known else STRANGER

    @routes("GET", "/v2/user")
    def user(self, _request: Request) -> Answer:
        """Who the token belongs to."""
        return json_answer(200, {"user": {"id": "usr_sandbox", "username": "sandbox", "email": "sandbox@example.com"}})

    @routes("GET", "/v7/deployments")
    def list_deployments(self, request: Request) -> Answer:
        """The newest first; understands `projectId`, `target`, `state`, `limit` and `rollbackCandidate`."""
        query = request.query
        if query.get("projectId", PROJECT) != PROJECT:
            return json_answer(200, _page([]))
        states = query.get("state", "").upper().split(",") if query.get("state") else None
        limit = int(query["limit"]) if query.get("limit", "").isdigit() else 20
        found = [
            self._shown(one)
            for one in reversed(self._deployments)
            if (not states or one["readyState"] in states) and query.get("target") in (None, one["target"])
        ]
        if query.get("rollbackCandidate") == "true":
            found = [one for one in found if one["isRollbackCandidate"]]
        return json_answer(200, _page(found[: min(limit, 100)]))

    @routes("GET", "/v13/deployments/{name}")
    def get_deployment(self, _request: Request, name: str) -> Answer:
        """One deployment by its id or address."""
        return json_answer(200, self._shown(self._find(name)))

    @routes("POST", "/v13/deployments")
    def create_deployment(self, request: Request) -> Answer:
        """Build an earlier deployment's source once more, with the variables of now."""
        body = _object(request)
        if not body.get("name"):
            return _error(400, "bad_request", "Invalid request: missing required property `name`.")
        if not body.get("deploymentId"):
            return _error(400, "bad_request", "Invalid request: no files, gitSource or deploymentId.")
        source = self._find(str(body["deploymentId"]))
        made = _deployment(f"dpl_{secrets.token_hex(12)}", self._clock.time(), "QUEUED")
        made |= {"target": body.get("target"), "meta": {"action": "redeploy", "originalDeploymentId": source["uid"]}}
        self._carried[made["uid"]] = list(self._carried.get(source["uid"], []))
        self._deployments.append(made)
        return json_answer(200, self._shown(made))

    @routes("GET", "/v9/projects/{project}")
    def get_project(self, _request: Request, project: str) -> Answer:
        """The project, what is live, and the last request to change that."""
        self._check(project)
        live = self._shown(self._find(self._live))
        return json_answer(
            200,
            {
                "id": PROJECT,
                "name": "sandbox",
                "targets": {"production": live},
                "lastAliasRequest": self._last,
                "lastRollbackTarget": self._last if self._last and self._last["type"] == "rollback" else None,
            },
        )

    @routes("POST", "/v10/projects/{project}/promote/{name}")
    def promote(self, request: Request, project: str, name: str) -> Answer:
        """Point the production domains to a deployment, without building it."""
        return self._point(project, name, "promote")

    @routes("POST", "/v1/projects/{project}/rollback/{name}")
    def roll_back(self, request: Request, project: str, name: str) -> Answer:
        """The same to an earlier deployment; new ones do not go live by themselves until that is undone."""
        return self._point(project, name, "rollback")

    @routes("GET", "/v1/projects/{project}/promote/aliases")
    def promote_aliases(self, _request: Request, project: str) -> Answer:
        """How far the last promotion is with each domain."""
        self._check(project)
        aliases = [{"alias": _HOST, "id": "als_sandbox", "status": "completed"}] if self._last else []
        return json_answer(200, {"aliases": aliases, "pagination": {"count": len(aliases), "next": None, "prev": None}})

    @routes("GET", "/v10/projects/{project}/env")
    def list_variables(self, _request: Request, project: str) -> Answer:
        """Names and times of the variables; values stay encrypted."""
        self._check(project)
        forgotten = "JWT_SECRET" if self._switches.on("preview-drift") else ""
        return json_answer(
            200,
            {"envs": [{**v, "target": ["production"]} if v["key"] == forgotten else v for v in self._variables]},
        )

    @routes("PATCH", "/v9/projects/{project}/env/{name}")
    def edit_variable(self, request: Request, project: str, name: str) -> Answer:
        """Change a variable: what runs keeps the old value until it is deployed again."""
        self._check(project)
        _object(request)
        for variable in self._variables:
            if variable["id"] == name:
                variable["updatedAt"] = _milliseconds(self._clock.time())
                return json_answer(200, variable)
        return _error(404, "not_found", "Environment variable not found.")

    def _point(self, project: str, name: str, kind: str) -> Answer:
        self._check(project)
        deployment = self._find(name)
        if deployment["readyState"] != "READY":
            return _error(400, "bad_request", "The deployment is not ready.")
        if deployment["uid"] == self._live:
            return _error(409, "conflict", "The deployment is current already.")
        self._go_live(deployment, kind)
        return json_answer(201, {})

    def _go_live(self, deployment: dict[str, Any], kind: str) -> None:
        old, self._live = self._live, deployment["uid"]
        deployment["readySubstate"] = "PROMOTED"
        self._carried[old] = self._defects.exchange(self._carried.get(self._live, []))
        self._last = {
            "fromDeploymentId": old,
            "toDeploymentId": self._live,
            "jobStatus": "succeeded",
            "requestedAt": _milliseconds(self._clock.time()),
            "type": kind,
        }

    def _build(self) -> None:
        """Finish what was queued; a production build then goes live, unless an earlier deployment was put there."""
        now = self._clock.time()
        for one in self._deployments:
            if one["readyState"] == "QUEUED" and now - one["createdAt"] / 1000 >= BUILD:
                one |= {"readyState": "READY", "state": "READY", "ready": _milliseconds(now)}
                newest = [d for d in self._deployments if d["readySubstate"] == "PROMOTED"][-1]
                if one["target"] == "production" and self._live == newest["uid"]:
                    one["readySubstate"] = "PROMOTED"
                    self._carried[self._live] = self._carried.get(one["uid"], [])
                    self._live = one["uid"]

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        candidate = one["readySubstate"] == "PROMOTED" and one["uid"] != self._live
        return {**one, "isRollbackCandidate": candidate}

    def _find(self, name: str) -> dict[str, Any]:
        for one in self._deployments:
            if name in (one["uid"], one["url"]):
                return one
        raise Refusal(_error(404, "not_found", "The deployment could not be found."))

    def _check(self, project: str) -> None:
        if project not in (PROJECT, "sandbox"):
            raise Refusal(_error(404, "not_found", "Project not found."))


class _Defects:
    """The file of the active defects: those of the application leave with a deployment and come back with it."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def exchange(self, coming: list[str]) -> list[str]:
        """Switch the application's defects to these; answers those that were on."""
        if self._file is None or not self._file.exists():
            return []
        active = [str(name) for name in json.loads(self._file.read_text())]
        fresh = self._file.with_suffix(".deployed")
        with open(fresh, "w", opener=_private) as file:
            json.dump([*(name for name in active if name in DEFECTS), *coming], file)
        fresh.replace(self._file)
        return [name for name in active if name not in DEFECTS]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _deployment(name: str, at: float, state: str) -> dict[str, Any]:
    return {
        "uid": name,
        "id": name,
        "name": "sandbox",
        "projectId": PROJECT,
        "url": f"sandbox-{name.rpartition('_')[2]}.vercel.app",
        "created": _milliseconds(at),
        "createdAt": _milliseconds(at),
        "ready": _milliseconds(at + _MINUTE) if state == "READY" else None,
        "state": state,
        "readyState": state,
        "readySubstate": None,
        "target": "production",
        "meta": {},
        "creator": {"uid": "usr_sandbox", "username": "sandbox"},
    }


def _variable(name: str, at: float) -> dict[str, Any]:
    about = {"id": f"env_{name.lower()}", "key": name, "type": "encrypted", "target": ["production", "preview"]}
    return {**about, "createdAt": _milliseconds(at), "updatedAt": _milliseconds(at)}


def _milliseconds(at: float) -> int:
    return int(at * 1000)


def _page(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"deployments": found, "pagination": {"count": len(found), "next": None, "prev": None}}


def _object(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(_error(400, "bad_request", "Invalid JSON"))
    return body


def _error(status: int, code: str, message: str, **more: Any) -> Answer:
    return json_answer(status, {"error": {"code": code, "message": message, **more}})
