"""GitHub's REST API, with the token of a workflow's job: bounded, patient with rate limits, clear about permissions.

https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: after a 403 or 429 with `retry-after` so
many seconds are waited, with `x-ratelimit-remaining: 0` until `x-ratelimit-reset`; a request that was refused so was
not carried out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dialtone.http import Answer, Client, FailureKind, Limits

PATIENCE = 90.0
"""Seconds that one command waits for rate limits at most: a job is billed by the minute."""
MOST = 100_000_000
"""Bytes of an artifact that is taken."""

_TRIES = 3
_NEVER_ARRIVED = {FailureKind.DNS, FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT, FailureKind.TLS}
_LIMITS = Limits(connect=5, read=20, total=30, max_body=5_000_000)


class GitHubError(Exception):
    """GitHub did not do what was asked. `status` is its answer's, 0 without one; the message names the remedy."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """One repository's part of the API. `repository` is `owner/name`."""

    def __init__(
        self,
        token: str,
        repository: str,
        base: str = "https://api.github.com",
        *,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.repository = repository
        headers = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        self._client = Client(base, limits=_LIMITS, headers=headers)
        self._left, self._sleep, self._clock = patience, sleep, clock

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send to a path below the repository's own; the JSON of the answer, None for an empty one.

        Raises GitHubError. Only what may be sent twice is sent again after an answer that never came.
        """
        answer = self._answer(method, path, body)
        if not answer.ok:
            raise refused(method, path, answer)
        return answer.json() if answer.body else None

    def pages(self, path: str, most: int = 10) -> Iterator[Any]:
        """The entries of a list, page by page, `most` pages of 100 at most."""
        for page in range(1, most + 1):
            found = self.ask("GET", f"{path}{'&' if '?' in path else '?'}per_page=100&page={page}")
            yield from found
            if len(found) < 100:
                return

    def download(self, path: str) -> bytes:
        """What a redirect leads to: a storage that is not GitHub's own, and gets no token. Raises GitHubError."""
        answer = self._answer("GET", path, None)
        where = answer.header("location") or ""
        if answer.status not in (302, 307) or not where:
            raise refused("GET", path, answer)
        with Client("", limits=Limits(connect=5, read=20, total=60, max_body=MOST)) as storage:
            found = storage.get(where)
        if not found.ok or found.failure:
            raise GitHubError(f"the storage of {path} did not hand it out: {found.failure or found.status}")
        return found.body

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        for attempt in range(1, _TRIES + 1):
            answer = self._client.send(method, f"/repos/{self.repository}{path}", json=body)
            wait = self._wait(answer, method, attempt)
            if wait is None:
                return answer
            if wait > self._left:
                raise GitHubError(
                    f"GitHub's API is limited for another {wait:,.0f} s: nothing was changed by {method} {path}."
                    " Run the job again later, or ask less often",
                    answer.status,
                )
            self._left -= wait
            self._sleep(wait)
        return answer

    def _wait(self, answer: Answer, method: str, attempt: int) -> float | None:
        """Seconds until it is worth another try; None where it is not."""
        if answer.status in (403, 429):
            after, left = answer.header("retry-after") or "", answer.header("x-ratelimit-remaining")
            if after.isdigit():
                return float(after)
            if left == "0":
                reset = answer.header("x-ratelimit-reset") or ""
                return max(float(reset) - self._clock(), 1.0) if reset.isdigit() else 60.0
            return 60.0 if answer.status == 429 else None
        if attempt == _TRIES:
            return None
        twice = method != "POST" or (answer.failure and answer.failure.kind in _NEVER_ARRIVED)
        return 1.0 * attempt if twice and (answer.failure or answer.status >= 500) else None


def refused(method: str, path: str, answer: Answer) -> GitHubError:
    """What an answer means, and what helps."""
    what = f"{method} {path}"
    if answer.failure:
        return GitHubError(f"{what}: {answer.failure}")
    if answer.status == 401:
        return GitHubError(f"{what}: no valid token: give the step GITHUB_TOKEN: ${{{{ github.token }}}}", 401)
    wanted = answer.header("x-accepted-github-permissions")
    if answer.status == 403 and wanted:
        needs = " or ".join(part.strip().replace("_", "-").replace("=", ": ") for part in wanted.split(";"))
        return GitHubError(f"{what}: the job's token may not: its permissions need `{needs}`", 403)
    if answer.status == 403:
        return GitHubError(f"{what}: the token may not: see the permissions of the job", 403)
    if answer.status == 404:
        return GitHubError(f"{what}: not there, or the token may not see it", 404)
    if answer.status == 422:
        return GitHubError(f"{what}: GitHub calls the request invalid{_why(answer)}", 422)
    return GitHubError(f"{what}: GitHub answered {answer.status}", answer.status)


def _why(answer: Answer) -> str:
    try:
        told = answer.json()
        said = [str(e.get("message") or e.get("code")) for e in told.get("errors", [])] or [str(told["message"])]
    except Exception:  # noqa: BLE001 - an answer that is no JSON has no reason
        return ""
    return f": {'; '.join(said)[:300]}"
