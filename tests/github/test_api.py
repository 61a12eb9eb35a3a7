"""The API: patient within a bound, clear about what was refused, and what the stand-in refuses as GitHub does."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from tests.github.conftest import TOKEN, HandClock, Site
from tests.github.payloads import SHA, pull

from dialtone.github.api import Api, GitHubError
from dialtone.standins.github import Artifact, Job


@pytest.fixture
def clock() -> HandClock:
    """Nobody sleeps."""
    return HandClock()


@pytest.fixture
def api(site: Site, clock: HandClock) -> Api:
    """The token of a job that may do everything."""
    return site.kept.enter_context(closing(Api(TOKEN, "acme/shop", site.url, clock=clock, sleep=clock.sleep)))


def refused(api: Api, method: str, path: str, body: dict[str, object] | None = None) -> GitHubError:
    """What is said."""
    with pytest.raises(GitHubError) as caught:
        api.ask(method, path, body)
    return caught.value


def test_a_short_limit_is_waited_for(api: Api, site: Site, clock: HandClock) -> None:
    """As long as GitHub asks for, then it is done."""
    site.github.limited = [{"retry-after": "7"}]
    assert api.ask("GET", "")["private"] is True
    assert clock.slept == 7


def test_a_long_limit_is_not(api: Api, site: Site, clock: HandClock) -> None:
    """A job is billed by the minute; what was not done is said."""
    site.github.exhaust()
    wrong = refused(api, "POST", "/issues", {"title": "x", "body": "y"})
    assert "nothing was changed by POST /issues" in str(wrong)
    assert (clock.slept, site.github.held.issues) == (0, [])


def test_patience_is_for_all_requests_together(api: Api, site: Site, clock: HandClock) -> None:
    """Ninety seconds, however they come."""
    site.github.limited = [{"retry-after": "60"}, {"retry-after": "60"}]
    assert "limited for another 60 s" in str(refused(api, "GET", ""))
    assert clock.slept == 60


@pytest.mark.parametrize(
    ("permissions", "method", "path", "words"),
    [
        ({}, "POST", "/check-runs", "its permissions need `checks: write`"),
        ({"checks": "read"}, "POST", "/check-runs", "its permissions need `checks: write`"),
        ({}, "GET", "/issues/7/comments", "its permissions need `issues: read or pull-requests: read`"),
        ({}, "GET", f"/commits/{SHA}/pulls", "its permissions need `pull-requests: read`"),
        ({}, "GET", "/pages", "its permissions need `pages: read`"),
    ],
)
def test_a_permission_that_is_missing_is_named(
    api: Api, site: Site, permissions: dict[str, str], method: str, path: str, words: str
) -> None:
    """As the workflow would write it."""
    site.github.jobs = {TOKEN: Job(TOKEN, permissions)}
    assert words in str(refused(api, method, path, {}))


def test_other_refusals(api: Api, site: Site) -> None:
    """No token, a wrong one, nothing there, an invalid request."""
    site.github.held.private = True
    with closing(Api("", "acme/shop", site.url)) as nobody, closing(Api("other", "acme/shop", site.url)) as other:
        assert refused(nobody, "GET", "").status == 404
        assert "no valid token" in str(refused(other, "GET", ""))
    assert refused(api, "GET", "/nothing").status == 404
    wrong = refused(api, "POST", "/check-runs", {"name": "x", "head_sha": "f" * 40})
    assert "GitHub calls the request invalid" in str(wrong)
    many = [{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "m"}] * 51
    output = {"title": "t", "summary": "s", "annotations": many}
    wrong = refused(api, "POST", "/check-runs", {"name": "x", "head_sha": SHA, "output": output})
    assert "No more than 50 annotations" in str(wrong)
    assert refused(api, "POST", "/issues/7/comments", {"body": "x" * 70_000}).status == 422
    assert refused(api, "POST", "/check-runs", {"name": "x", "head_sha": SHA, "status": "completed"}).status == 422


def test_an_artifact_is_fetched_without_the_token(api: Api, site: Site) -> None:
    """Its storage refuses whoever shows one; an expired one is gone."""
    site.github.held.artifacts = [Artifact("a", b"content"), Artifact("b", b"", expired=True)]
    assert api.download("/actions/artifacts/0/zip") == b"content"
    with pytest.raises(GitHubError) as caught:
        api.download("/actions/artifacts/1/zip")
    assert caught.value.status == 410


def test_pages_of_a_list(api: Api, site: Site) -> None:
    """All of them, a hundred at a time."""
    site.github.held.comments = [{"id": n, "issue": 7, "body": "x"} for n in range(250)]
    assert len(list(api.pages("/issues/7/comments"))) == 250
    assert len([line for line in site.github.asked if "comments" in line]) == 3


def test_no_answer_is_tried_again_where_that_is_safe(clock: HandClock) -> None:
    """Nobody listens: three tries, then in words."""
    from tests.hostile import closed_port

    api = Api(TOKEN, "acme/shop", f"http://127.0.0.1:{closed_port()}", clock=clock, sleep=clock.sleep)
    assert refused(api, "POST", "/issues", {}).status == 0
    assert clock.slept == 3


def test_the_stand_in_knows_forks(api: Api, site: Site) -> None:
    """A pull request as the API tells it."""
    site.github.held.pulls[SHA] = [pull(fork=True)]
    assert api.ask("GET", f"/commits/{SHA}/pulls")[0]["head"]["repo"]["full_name"] == "mallory/shop"
    assert json.loads(json.dumps(site.github.recorded_body(None))) is None  # type: ignore[arg-type]
