"""Is it the target that does not answer, or is it us? Decided by witnesses that do not depend on the target."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from dialtone.http import Answer, FailureKind
from dialtone.verdict import Offline, Refused, Verdict, bad

_DEAD = {FailureKind.DNS, FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT}

_OFFLINE = "offline"


def knock(url: str, timeout: float = 2.0) -> bool:
    """Whether a TCP connection to the URL's host and port can be had within `timeout` seconds."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 443)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout):
            return True
    except OSError:
        return False


class Reach:
    """One process' knowledge of what can be reached; asks each witness once in `memory` seconds at most."""

    def __init__(
        self,
        witnesses: Sequence[str],
        *,
        knock: Callable[[str], bool] = knock,
        clock: Callable[[], float] = time.monotonic,
        memory: float = 30.0,
    ) -> None:
        self._witnesses, self._knock, self._clock, self._memory = witnesses, knock, clock, memory
        self._asked: tuple[float, bool] | None = None
        self._dead: dict[str, tuple[float, str]] = {}

    def online(self) -> bool:
        """At least one witness answers; without witnesses that is assumed."""
        if self._asked is None or self._clock() - self._asked[0] > self._memory:
            alive = not self._witnesses or any(self._knock(w) for w in self._witnesses)
            self._asked = (self._clock(), alive)
        return self._asked[1]

    def known_dead(self, origin: str) -> str | None:
        """The reason why an origin does not answer, if that was found out a moment ago: nobody waits for it twice."""
        found = self._dead.get(origin)
        return found[1] if found and self._clock() - found[0] <= self._memory else None

    def judge(self, answer: Answer) -> None:
        """Raise what a network failure means: Offline, Refused or critical; returns when there was none."""
        if not answer.failure:
            return
        kind, reason = answer.failure.kind, answer.failure.reason
        if kind is FailureKind.NO_ADDRESS_FAMILY:
            raise Refused(f"{answer.origin}: {reason}")
        if kind in _DEAD:
            if not self.online():
                self._dead[answer.origin] = (self._clock(), _OFFLINE)
                raise self._offline()
            self._dead[answer.origin] = (self._clock(), reason)
            raise bad(Verdict.CRITICAL, f"the target is down: {answer.origin}: {reason}")

    def dead(self, origin: str) -> None:
        """Raise again what was found about an origin a moment ago."""
        reason = self.known_dead(origin)
        if reason == _OFFLINE:
            raise self._offline()
        if reason:
            raise bad(Verdict.CRITICAL, f"the target is down: {origin}: {reason}")

    def _offline(self) -> Offline:
        return Offline(f"no witness answers ({', '.join(self._witnesses)}): the prober is offline")
