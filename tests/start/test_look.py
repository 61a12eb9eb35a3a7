"""What is made of the answers of a running application."""

from __future__ import annotations

import httpx
import pytest

from dialtone.http.client import Client
from dialtone.start.look import Seen, look

HTML = {"content-type": "text/html"}


def seen_of(answers: dict[str, httpx.Response], usual: httpx.Response | None = None, page: str = "/") -> Seen:
    """What an application with these answers is taken for; every other path is a 404."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path, usual or httpx.Response(404))
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    with Client("http://app.example", transport=httpx.MockTransport(answer)) as client:
        return look(client, [page], [], clock=iter(range(100)).__next__)


def test_a_page_and_its_health() -> None:
    """The title as it stands in the source, the field that says that all is well."""
    page = httpx.Response(200, headers=HTML, text="<head><title>A &amp; B</title></head>")
    health = httpx.Response(200, json={"version": "1", "State": "UP"})
    seen = seen_of({"/": page, "/healthz": health})
    assert (seen.page, seen.health, seen.status_field) == (
        ("/", "<title>A &amp; B</title>"),
        "/healthz",
        ("State", "UP"),
    )
    assert seen.unknown_is_404
    assert seen.slowest == 1000.0


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        (httpx.Response(200, headers=HTML, text="<h1>Hello</h1>"), "<h1>Hello</h1>"),
        (httpx.Response(200, headers=HTML, text="<html><title>${NAME}</title>"), None),
        (httpx.Response(200, json={"message": "hi"}), '"message"'),
        (httpx.Response(200, json=[1]), None),
        (httpx.Response(500, headers=HTML, text="<title>Oops</title>"), None),
    ],
)
def test_what_a_page_is_known_by(page: httpx.Response, mark: str | None) -> None:
    """A heading where it has no title, the first key where it is JSON; never an error page."""
    seen = seen_of({"/": page})
    assert seen.page == (("/", mark) if mark else None)


def test_an_application_of_one_page_has_no_health() -> None:
    """It answers every path with itself."""
    shell = httpx.Response(200, headers=HTML, text="<title>App</title>")
    seen = seen_of({}, usual=shell)
    assert (seen.health, seen.unknown_is_404) == (None, False)
    assert seen.page == ("/", "<title>App</title>")
    plain = httpx.Response(200, text="hello")
    assert seen_of({}, usual=plain).health is None


def test_a_health_without_a_word_is_known_by_its_status() -> None:
    """`{"status": "starting"}` says nothing that could be expected tomorrow."""
    seen = seen_of({"/up": httpx.Response(200, json={"status": "starting"})})
    assert (seen.health, seen.status_field) == ("/up", None)


def test_a_redirect_is_followed_to_the_page() -> None:
    """The page is the one that the visitor sees."""
    page = httpx.Response(200, headers=HTML, text="<title>Log in</title>")
    seen = seen_of({"/": httpx.Response(307, headers={"location": "/login"}), "/login": page})
    assert seen.page == ("/login", "<title>Log in</title>")
