"""What the running application answers: the evidence that a first profile is made of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dialtone.http.answer import Answer

USUAL = ("/health", "/healthz", "/api/health", "/health/", "/up", "/livez", "/status", "/api/healthz")
UNKNOWN = "/dialtone-no-such-page"
_TITLE = re.compile(r"<title[^>]*>[^<]{1,120}</title>", re.IGNORECASE)
_HEADING = re.compile(r"<h1[^>]*>[^<]{1,120}</h1>", re.IGNORECASE)
_KEYS = ("status", "state", "health", "healthy", "ok", "result")
_WELL = {"ok", "up", "healthy", "pass", "passing", "green", "alive", "true", "ready", "running"}
_MOST = 12
_ROUNDS = 5


class Asks(Protocol):
    """A client that follows redirects."""

    def send(self, method: str, where: str, *, follow: int = 0) -> Answer:
        """The answer at the end."""


@dataclass(slots=True)
class Seen:
    """A page that answered and a text of it, the health route and its field, whether an unknown page is a 404.

    `slowest` is the slowest of a few answers of the page, in milliseconds; `told` what was asked and answered.
    """

    page: tuple[str, str] | None = None
    health: str | None = None
    status_field: tuple[str, Any] | None = None
    unknown_is_404: bool = False
    slowest: float = 0.0
    told: list[str] = field(default_factory=list)


def look(
    client: Asks,
    pages: Iterable[str],
    health: Iterable[str],
    clock: Callable[[], float] = time.monotonic,
) -> Seen:
    """Ask for the candidates, each once or twice, with GET alone."""
    seen = Seen()
    unknown = client.send("GET", UNKNOWN)
    seen.unknown_is_404 = unknown.status == 404
    seen.told.append(f"GET {UNKNOWN}: {_words(unknown)}")
    for path in list(dict.fromkeys([*health, *USUAL]))[:_MOST]:
        answer = client.send("GET", path)
        if answer.status == 200 and _is_health(answer, unknown):
            seen.health, seen.status_field = path, status_field(answer)
            seen.told.append(f"GET {path}: {_words(answer)}" + _said(seen.status_field))
            break
    for path in list(dict.fromkeys(pages))[:_MOST]:
        first, second = client.send("GET", path, follow=5), client.send("GET", path, follow=5)
        marks = [mark(answer) for answer in (first, second) if answer.status == 200]
        seen.told.append(f"GET {path}: {_words(first)}")
        if len(marks) == 2 and marks[0] and marks[0] == marks[1]:
            seen.page = (first.path, marks[0])
            break
    if seen.page:
        for _ in range(_ROUNDS):
            began = clock()
            client.send("GET", seen.page[0])
            seen.slowest = max(seen.slowest, (clock() - began) * 1000)
    return seen


def mark(answer: Answer) -> str | None:
    """A text that the right page holds: its title, a heading, or the first key of a JSON object."""
    if answer.is_html:
        body = _body(answer)
        found = _TITLE.search(body) or _HEADING.search(body)
        text = found[0] if found else "<html"
        # `${` would be a variable for the profile.
        return text if text in body and "${" not in text else None
    keys = _object(answer)
    return f'"{next(iter(keys))}"' if keys else None


def status_field(answer: Answer) -> tuple[str, Any] | None:
    """The field of a JSON answer that says that all is well, and how; None where no field does."""
    for key, value in _object(answer).items():
        if key.lower() in _KEYS and (value is True or str(value).lower() in _WELL):
            return key, value
    return None


def _is_health(answer: Answer, unknown: Answer) -> bool:
    """An application of one page answers everything with it: that is no health endpoint."""
    if answer.is_html:
        return False
    return unknown.status != 200 or answer.body != unknown.body


def _body(answer: Answer) -> str:
    try:
        return answer.text()
    except ValueError:  # BadBody
        return ""


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:  # BadBody
        return {}
    return found if isinstance(found, dict) else {}


def _words(answer: Answer) -> str:
    return str(answer.failure) if answer.failure else str(answer.status)


def _said(found: tuple[str, Any] | None) -> str:
    return f", {found[0]} is {found[1]}" if found else ", no field that says that all is well"
