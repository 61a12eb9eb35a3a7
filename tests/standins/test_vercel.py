"""Vercel: deployments, what is live, and the variables."""

from __future__ import annotations

import json

import pytest

from dialtone.standins.vercel import BUILD, PROJECT

LATEST, FIRST, FAILED = "dpl_sandbox_latest", "dpl_sandbox_first", "dpl_sandbox_failed"


def live(world):
    """The id of the deployment that is live."""
    return world.send("vercel", "GET", f"/v9/projects/{PROJECT}").json()["targets"]["production"]["id"]


def point(world, kind, deployment):
    """Point the domains to a deployment; the status."""
    version = {"promote": "v10", "rollback": "v1"}[kind]
    return world.send("vercel", "POST", f"/{version}/projects/{PROJECT}/{kind}/{deployment}").status


def test_a_wrong_token_is_refused(world):
    """403 with the mark of a token that is not known; the journal calls it a stranger's."""
    answer = world.send("vercel", "GET", "/v2/user", key="wrong-token")
    assert (answer.status, answer.json()["error"]["invalidToken"]) == (403, True)
    assert world.send("vercel", "GET", "/v2/user").json()["user"]["username"] == "sandbox"
    assert [e["credential"]["owner"] for e in world.entries(provider="vercel")] == ["unknown", "prober"]
    assert "vercel-token" not in json.dumps(world.entries())


def test_deployments_are_listed_newest_first(world):
    """Filters: state, target, project, and what can be rolled back to."""
    for query, expected in (
        ("", [LATEST, FAILED, FIRST]),
        ("?state=READY", [LATEST, FIRST]),
        ("?state=error,building", [FAILED]),
        ("?limit=1", [LATEST]),
        ("?target=preview", []),
        ("?projectId=prj_other", []),
        ("?rollbackCandidate=true", [FIRST]),
    ):
        listed = world.send("vercel", "GET", f"/v7/deployments{query}").json()
        assert [d["uid"] for d in listed["deployments"]] == expected, query
        assert listed["pagination"]["count"] == len(expected)


@pytest.mark.parametrize("kind", ["promote", "rollback"])
def test_domains_follow(world, kind):
    """To what is READY and not live; the project remembers the last request."""
    assert point(world, kind, FIRST) == 201
    assert live(world) == FIRST
    project = world.send("vercel", "GET", f"/v9/projects/{PROJECT}").json()
    last = project["lastAliasRequest"]
    assert (last["fromDeploymentId"], last["toDeploymentId"], last["type"]) == (LATEST, FIRST, kind)
    assert (project["lastRollbackTarget"] is not None) == (kind == "rollback")
    aliases = world.send("vercel", "GET", f"/v1/projects/{PROJECT}/promote/aliases").json()["aliases"]
    assert [alias["status"] for alias in aliases] == ["completed"]
    assert point(world, kind, FIRST) == 409
    assert point(world, kind, FAILED) == 400
    assert point(world, kind, "dpl_nowhere") == 404
    assert world.send("vercel", "POST", f"/v10/projects/prj_other/promote/{LATEST}").status == 404


def redeploy(world, **more):
    """Build the latest deployment once more."""
    body = {"name": "sandbox", "deploymentId": LATEST, "target": "production", **more}
    return world.send("vercel", "POST", "/v13/deployments", body=body)


def test_a_new_deployment_is_built_and_goes_live(world):
    """QUEUED first, live when it is READY."""
    made = redeploy(world).json()
    assert (made["readyState"], made["meta"]["originalDeploymentId"]) == ("QUEUED", LATEST)
    assert live(world) == LATEST
    world.time.advance(BUILD)
    assert live(world) == made["id"]
    assert world.send("vercel", "GET", f"/v13/deployments/{made['id']}").json()["readyState"] == "READY"


def test_after_a_rollback_nothing_goes_live_by_itself(world):
    """Until it is undone."""
    point(world, "rollback", FIRST)
    made = redeploy(world).json()["id"]
    world.time.advance(BUILD)
    assert live(world) == FIRST
    assert point(world, "promote", made) == 201
    assert live(world) == made


def test_what_cannot_be_deployed(world):
    """Without a name, a source, or of one that there is not."""
    assert redeploy(world, name="").status == 400
    assert redeploy(world, deploymentId="").status == 400
    assert redeploy(world, deploymentId="dpl_nowhere").status == 404
    assert world.send("vercel", "POST", "/v13/deployments", raw=b"{").status == 400
    assert world.send("vercel", "GET", "/v99/deployments").status == 404


def test_a_changed_variable_is_newer_than_what_runs(world):
    """Its value stays out of the list."""
    path = f"/v10/projects/{PROJECT}/env"
    before = world.send("vercel", "GET", path).json()["envs"][0]
    changed = world.send(
        "vercel", "PATCH", f"/v9/projects/{PROJECT}/env/{before['id']}", body={"value": "hidden-value"}
    )
    assert changed.json()["updatedAt"] > before["updatedAt"]
    assert "hidden-value" not in changed.text + world.send("vercel", "GET", path).text
    assert world.send("vercel", "PATCH", f"/v9/projects/{PROJECT}/env/env_other", body={"value": "x"}).status == 404


def test_defects_go_and_come_with_the_deployment_that_brought_them(world):
    """Those of the application; those of other stand-ins stay."""
    world.defect("page-500", "stripe-undelivered")

    def active():
        return sorted(json.loads(world.defects_file.read_text()))

    point(world, "rollback", FIRST)
    assert active() == ["stripe-undelivered"]
    world.defect("health-503")
    point(world, "promote", LATEST)
    assert active() == ["page-500"]
    point(world, "promote", FIRST)
    assert active() == ["health-503"]
