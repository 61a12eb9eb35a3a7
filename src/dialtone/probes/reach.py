"""Is it the target that does not answer, or is it us? Decided by witnesses that do not depend on the target."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from dialtone.http import Answer, Client, FailureKind, Limits
from dialtone.verdict import Offline, Refused, Undecided, Verdict, bad

_DEAD = {FailureKind.DNS, FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT}

BREAKS = {*_DEAD, FailureKind.RESET}
"""Failures that may be the path's as well as the target's: a second attempt tells. A time-out has had its time."""

_OFFLINE = "offline"


def second(again: Answer) -> str:
    """What a second attempt over a new connection says: half a sentence."""
    if again.failure is not None:
        return "a second attempt over a new connection failed as well"
    return (
        f"a second attempt over a new connection was answered ({again.status}): the path breaks, or single connections"
    )


def knock(url: str, timeout: float = 2.0) -> bool:
    """Whether a TCP connection to the URL's host and port can be had within `timeout` seconds."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 443)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout):
            return True
    except OSError:
        return False


def read_clock(url: str, clock: Callable[[], float] = time.time) -> float | None:
    """Seconds by which our clock is ahead of the `Date` that a server answers with; None when it tells none."""
    with Client(url if "://" in url else f"https://{url}", limits=Limits(2, 2, 3, 10_000)) as client:
        before = clock()
        answer = client.send("HEAD", "/")
        told = answer.header("date")
    try:
        return (before + clock()) / 2 - parsedate_to_datetime(told).timestamp() if told else None
    except ValueError:
        return None


class Reach:
    """One process' knowledge of what can be reached; asks each witness once in `memory` seconds at most."""

    def __init__(
        self,
        witnesses: Sequence[str],
        *,
        knock: Callable[[str], bool] = knock,
        read_clock: Callable[[str], float | None] = read_clock,
        clock: Callable[[], float] = time.monotonic,
        memory: float = 30.0,
    ) -> None:
        self._read_clock = read_clock
        self._offset: float | None = None
        self._witnesses, self._knock, self._clock, self._memory = witnesses, knock, clock, memory
        self._asked: tuple[float, bool] | None = None
        self._dead: dict[str, tuple[float, str]] = {}

    def online(self) -> bool:
        """At least one witness answers; without witnesses that is assumed."""
        if self._asked is None or self._clock() - self._asked[0] > self._memory:
            alive = not self._witnesses or any(self._knock(w) for w in self._witnesses)
            self._asked = (self._clock(), alive)
        return self._asked[1]

    def agree_on_time(self, within: float) -> None:
        """Raise Undecided when every witness that tells the time says that our clock is off by more than `within` s.

        One that agrees is enough: then whoever disagrees with us is wrong itself.
        """
        if self._offset is None:
            told = [offset for url in self._witnesses if (offset := self._read_clock(url)) is not None]
            self._offset = min(told, key=abs, default=0.0)
        if abs(self._offset) > within + 1:  # a Date has whole seconds
            way = "ahead of" if self._offset > 0 else "behind"
            raise Undecided(
                f"the prober's clock is {abs(self._offset):,.0f} s {way} that of its witnesses: signatures and ages say"
                " nothing; set it (timedatectl set-ntp true)"
            )

    def known_dead(self, origin: str) -> str | None:
        """The reason why an origin does not answer, if that was found out a moment ago: nobody waits for it twice."""
        found = self._dead.get(origin)
        return found[1] if found and self._clock() - found[0] <= self._memory else None

    def judge(self, answer: Answer, again: Answer | None = None) -> None:
        """Raise what a network failure means: Offline, Refused or critical; returns when there was none.

        `again` is a second attempt, over a new connection. The first counts; an origin that answered the second is not
        remembered as dead.
        """
        if not answer.failure:
            return
        kind, reason = answer.failure.kind, answer.failure.reason
        if kind is FailureKind.NO_ADDRESS_FAMILY:
            raise Refused(f"{answer.origin}: {reason}")
        if kind in _DEAD:
            if not self.online():
                self._dead[answer.origin] = (self._clock(), _OFFLINE)
                raise self.offline()
            if again is None:
                self._dead[answer.origin] = (self._clock(), reason)
                raise bad(Verdict.CRITICAL, f"the target is down: {answer.origin}: {reason}")
            told = f"{reason}; {second(again)}"
            if again.failure is None:
                raise bad(Verdict.CRITICAL, f"the target did not answer: {answer.origin}: {told}", samples=2)
            self._dead[answer.origin] = (self._clock(), told)
            raise bad(Verdict.CRITICAL, f"the target is down: {answer.origin}: {told}", samples=2)

    def dead(self, origin: str) -> None:
        """Raise again what was found about an origin a moment ago."""
        reason = self.known_dead(origin)
        if reason == _OFFLINE:
            raise self.offline()
        if reason:
            raise bad(Verdict.CRITICAL, f"the target is down: {origin}: {reason}")

    def offline(self) -> Offline:
        """What to raise when no witness answers."""
        return Offline(f"no witness answers ({', '.join(self._witnesses)}): the prober is offline")
