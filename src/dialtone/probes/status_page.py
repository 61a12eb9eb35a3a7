"""What a provider says of itself: its status page, asked once a minute at most.

A status page explains a failure; it never proves health and never excuses anything, because pages lag behind what they
tell of. One that cannot be read or understood is `unknown`, with the reason, and never fails a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dialtone.http import Answer, Client, Limits, shared_context
from dialtone.probes.caller import AGENT
from dialtone.probes.status_forms import Level, Status, read
from dialtone.target import Target

PATIENCE = Limits(connect=2, read=3, total=5, max_body=10_000_000, max_redirects=3)
"""A page is asked while somebody waits for a verdict. Google's list holds years of incidents, some megabytes."""
MEMORY = 60.0


class StatusPages:
    """The status pages of a target's providers; each is asked once in `memory` seconds at most."""

    def __init__(
        self,
        target: Target,
        *,
        fetch: Callable[[str, str | None], Answer] | None = None,
        clock: Callable[[], float] = time.monotonic,
        memory: float = MEMORY,
    ) -> None:
        self._target, self._fetch, self._clock, self._memory = target, fetch or _fetch, clock, memory
        self._seen: dict[str, tuple[float, Status]] = {}

    def named(self) -> list[str]:
        """The providers whose profile names a page."""
        return [name for name, provider in self._target.profile.providers.items() if provider.status_page]

    def of(self, name: str) -> Status:
        """What the page of a provider says. Never raises for what the network or the page does."""
        kept = self._seen.get(name)
        if kept and self._clock() - kept[0] <= self._memory:
            return kept[1]
        provider = self._target.profile.providers.get(name)
        if provider is None or not provider.status_page:
            return Status(None, reason=f"the profile has no providers.{name}.status_page")
        answer = self._fetch(provider.status_page, self._target.profile.ca_file)
        status = read(answer, provider.status_components)
        self._seen[name] = (self._clock(), status)
        return status

    def explanation(self, name: str) -> str | None:
        """Half a sentence for the reason of a red check; None when the page tells of nothing."""
        status = self.of(name)
        return status.words(name) if status.level not in (None, Level.OK) else None


def _fetch(url: str, ca_file: str | None) -> Answer:
    with Client(url, limits=PATIENCE, headers={"user-agent": AGENT}, verify=shared_context(ca_file)) as client:
        return client.get(url, follow=PATIENCE.max_redirects)
