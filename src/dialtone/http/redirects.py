"""Where a redirect leads, and whether a prober goes there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

import httpx

from dialtone.http.answer import Answer, Failure, FailureKind, Url

_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Step:
    """The request that a redirect asks for. `off_host` ones are not made: their headers may hold credentials."""

    method: str
    url: Url
    off_host: bool

    @property
    def bodiless(self) -> bool:
        """Whether the request has no body to send again."""
        return self.method in ("GET", "HEAD")


def after(answer: Answer) -> Step | Failure | None:
    """The next request after an answer, None when it is no redirect, a failure when it leads nowhere."""
    location = answer.header("location")
    if answer.failure or answer.status not in _STATUSES or not location:
        return None
    try:
        url = Url(urljoin(answer.url[:], location))
        stays = _same_place(httpx.URL(answer.url[:]), httpx.URL(url[:]))
    except (httpx.InvalidURL, ValueError):
        return Failure(FailureKind.PROTOCOL, "the redirect leads to no valid URL")
    return Step(_method(answer), url, not stays)


def loop(reason: str) -> Failure:
    """The failure of redirects that do not end."""
    return Failure(FailureKind.REDIRECT_LOOP, reason)


def _method(answer: Answer) -> str:
    """RFC 9110 section 15.4: 307 and 308 keep the method; of the others POST (and all but HEAD for 303) becomes GET."""
    if answer.status == 303:
        return "HEAD" if answer.method == "HEAD" else "GET"
    return "GET" if answer.method == "POST" and answer.status in (301, 302) else answer.method


def _same_place(here: httpx.URL, there: httpx.URL) -> bool:
    """The same origin, or the same host with TLS instead of without."""
    if here.host != there.host:
        return False
    return (here.scheme, here.port) == (there.scheme, there.port) or (here.scheme, there.scheme) == ("http", "https")
