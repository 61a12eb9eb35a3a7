"""Which deployment an event is about; what is not asked, and why."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.github import payloads
from tests.github.conftest import TOKEN, Site, environment
from tests.github.payloads import SHA

from dialtone.github.deployment import Deployment, deployment
from dialtone.github.job import Job, JobError


def job(folder: Path, site: Site, name: str, payload: dict[str, Any]) -> Job:
    """A job of this event."""
    made = Job({**environment(folder, site, name, payload), "GITHUB_TOKEN": TOKEN})
    return site.kept.enter_context(closing(made))


def test_events(tmp_path: Path, site: Site) -> None:
    """Vercel's two, and a person's."""
    site.github.held.pulls[SHA] = [payloads.pull()]
    url = "https://shop-1.vercel.app"
    found = deployment(job(tmp_path, site, "deployment_status", payloads.deployment_status(url)))
    assert found == Deployment(url, SHA, "Preview", 7)
    found = deployment(job(tmp_path, site, "repository_dispatch", payloads.repository_dispatch("shop-1.vercel.app")))
    assert found == Deployment(url, SHA, "preview", 7)
    given = payloads.workflow_dispatch(url=f"{url}/deep/link", revision=SHA[:9])
    assert deployment(job(tmp_path, site, "workflow_dispatch", given)) == Deployment(url, SHA[:9], "by hand")


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"repo": {"full_name": "mallory/shop"}}, "fork"),
        ({"repo": None}, "fork"),
        ({"repo": {"full_name": "ACME/Shop"}}, ""),
    ],
)
def test_forks(tmp_path: Path, site: Site, head: dict[str, Any], reason: str) -> None:
    """Another repository's, one that is deleted; names of repositories know no case."""
    site.github.held.pulls[SHA] = [{**payloads.pull(), "head": head}]
    found = deployment(job(tmp_path, site, "deployment_status", payloads.deployment_status("https://x.example")))
    assert reason in found.reason
    assert bool(found.reason) == bool(reason)


def test_a_commit_that_is_in_both_is_ours(tmp_path: Path, site: Site) -> None:
    """A branch of ours that somebody's pull request holds as well."""
    site.github.held.pulls[SHA] = [payloads.pull(number=3, fork=True), payloads.pull(number=4)]
    found = deployment(job(tmp_path, site, "deployment_status", payloads.deployment_status("https://x.example")))
    assert (found.pull, found.reason) == (4, "")


@pytest.mark.parametrize("state", ["pending", "in_progress", "failure", "error", "queued", "waiting"])
def test_what_is_not_yet_or_never_is_waited_for(tmp_path: Path, site: Site, state: str) -> None:
    """Nothing is told of it."""
    payload = payloads.deployment_status("https://x.example", state=state)
    found = deployment(job(tmp_path, site, "deployment_status", payload))
    assert found.waiting
    assert state in found.reason


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://shop.example",
        "https://user@shop.example",
        "https://shop.example/?x=1#f",
        "https://shop .example",
        "ftp://shop.example",
        "https://[::1",
        "javascript:alert(1)",
        "https://shop.example:port",
    ],
)
def test_addresses_that_are_none(tmp_path: Path, site: Site, url: str) -> None:
    """Whatever an event says is somebody's text."""
    payload = payloads.deployment_status(url)
    payload["deployment_status"]["target_url"] = url
    with pytest.raises(JobError, match="names no address of https"):
        deployment(job(tmp_path, site, "deployment_status", payload))


def test_hosts_bound_the_address(tmp_path: Path, site: Site) -> None:
    """By patterns of the profile."""
    told = job(tmp_path, site, "deployment_status", payloads.deployment_status("https://evil.example"))
    with pytest.raises(JobError, match=r"evil.example, which gate.hosts of the profile does not allow"):
        deployment(told, ["shop-*.vercel.app"])
    told = job(tmp_path, site, "deployment_status", payloads.deployment_status("https://shop-7.vercel.app"))
    assert deployment(told, ["shop-*.vercel.app"]).reason == ""


@pytest.mark.parametrize(
    ("name", "patterns", "gated"),
    [
        ("Preview", ["Preview*"], True),
        ("preview", ["Preview*"], True),
        ("Preview – shop", ["Preview*"], True),
        ("staging", ["Preview*"], False),
        ("github-pages", ["Preview*"], False),
        ("", ["Preview*"], False),
        ("pr-12 - shop", ["Preview*", "pr-*"], True),
    ],
)
def test_environments_of_the_profile_are_gated(
    tmp_path: Path, site: Site, name: str, patterns: list[str], gated: bool
) -> None:
    """And no other: nothing is asked of it, not even GitHub, and the reason names the setting."""
    payload = payloads.deployment_status("https://x.example", environment=name)
    found = deployment(job(tmp_path, site, "deployment_status", payload), (), patterns)
    assert (found.reason == "", found.waiting) == (gated, not gated)
    assert gated or ("gate.environments" in found.reason and site.github.asked == [])
    dispatched = payloads.repository_dispatch("x.example")
    dispatched["client_payload"]["environment"] = name
    found = deployment(job(tmp_path, site, "repository_dispatch", dispatched), (), patterns)
    assert (found.reason == "") == (gated or not name)  # a dispatch of one's own need not name any


def test_revisions_and_events_that_are_none(tmp_path: Path, site: Site) -> None:
    """In words."""
    payload = payloads.workflow_dispatch(url="https://x.example", revision="main; rm -rf /")
    with pytest.raises(JobError, match="not a commit's"):
        deployment(job(tmp_path, site, "workflow_dispatch", payload))
    with pytest.raises(JobError, match="names no deployment"):
        deployment(job(tmp_path, site, "push", {}))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(JobError, match="no JSON"):
        Job({"GITHUB_EVENT_PATH": str(tmp_path / "bad.json")}).payload  # noqa: B018
    with pytest.raises(JobError, match="a step of a GitHub workflow"):
        Job({}).repository  # noqa: B018


def test_what_cannot_be_found_out_counts_as_public(tmp_path: Path, site: Site) -> None:
    """The payload says it, else the API, else it is public."""
    payload = payloads.schedule()
    assert job(tmp_path, site, "schedule", payload).private
    del payload["repository"]["private"]
    assert job(tmp_path, site, "schedule", payload).private
    site.github.held.private = False
    assert not job(tmp_path, site, "schedule", payload).private
    site.github.exhaust()
    assert not job(tmp_path, site, "schedule", {}).private


def test_a_pull_request_from_a_fork(tmp_path: Path, site: Site) -> None:
    """It is known as one, and its outputs cannot be forged by a value."""
    made = job(tmp_path, site, "pull_request", payloads.fork_pull_request())
    assert made.from_fork
    path = tmp_path / "out"
    Job({"GITHUB_OUTPUT": str(path)}).output(url="a\nrun<<x\ntrue\nx\n")
    from tests.github.actions import outputs

    assert list(outputs(path.read_text())) == ["url"]
