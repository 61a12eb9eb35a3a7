"""The course of one request: how long each part may take, how long it took, and what to call it when it breaks off.

Every wait on the network asks its exchange how long it may be: the limit of its own part or what is left of the total,
whichever is less. So the total holds in every phase, and a peer that sends a byte now and then gains nothing by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dialtone.http.answer import Failure, FailureKind, Phases


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request: seconds for making the connection (name, TCP and TLS each), for a silence while reading,
    and for everything; bytes of a body; redirects that `follow` follows."""

    connect: float = 3.0
    read: float = 10.0
    total: float = 15.0
    max_body: int = 2_000_000
    max_redirects: int = 5


class Interrupted(Exception):
    """The exchange broke off."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.failure = Failure(kind, reason)


class Exchange:
    """Times and counts of one request. `fresh` asks for a connection of its own."""

    __slots__ = ("_asked", "_clock", "_last", "body", "connect", "dns", "end", "ended", "expected", "first", "fresh",
                 "limits", "received", "reused", "started", "tls")  # fmt: skip

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic, *, fresh: bool = False) -> None:
        self.limits, self._clock, self.fresh = limits, clock, fresh
        self.started = self._asked = self._last = clock()
        self.end = self.started + limits.total
        self.dns: float | None = None
        self.connect: float | None = None
        self.tls: float | None = None
        self.first: float | None = None
        self.received = 0  # bytes of the answer, its head included
        self.ended = False  # the peer closed its side
        self.body: int | None = None  # bytes of the body; None until its head is there
        self.expected: int | None = None  # bytes of the body, if the head said how many
        self.reused = False

    def now(self) -> float:
        """The time of the exchange's clock, seconds."""
        return self._clock()

    def patience(self, limit: float) -> float:
        """How many seconds a wait may take; 0 when there is no time left."""
        return max(0.0, min(limit, self.end - self._clock()))

    def asked(self) -> None:
        """A part of the request was written; the last one counts."""
        self._asked = self._clock()

    def took(self, count: int) -> None:
        """So many bytes of the answer came."""
        self._last = self._clock()
        if self.first is None:
            self.first = self._last - self._asked
        self.received += count

    def restart(self) -> None:
        """The request is written once more, on another connection."""
        self.first, self.received, self.ended = None, 0, False

    def phases(self) -> Phases:
        """Where the time went."""
        return Phases(self.dns, self.connect, self.tls, self.first, self._clock() - self.started)

    def silence(self) -> float:
        """Seconds since something was sent or came."""
        return self._clock() - max(self._last, self._asked)

    def silent(self) -> Interrupted:
        """Time is over while waiting for the answer."""
        now = self._clock()
        if not self.received:
            return Interrupted(FailureKind.TIMEOUT, f"no answer within {now - self._asked:.1f} s")
        if now >= self.end and now - self._last < min(self.limits.read, self.limits.total) / 2:
            spent = f"{self.received:,} bytes in {now - self.started:.1f} s"
            return Interrupted(FailureKind.NEVER_ENDS, f"the answer never ended: {spent}")
        silence = f"nothing more for {now - self._last:.1f} s"
        return Interrupted(FailureKind.TIMEOUT, f"the answer stopped after {self.received:,} bytes: {silence}")

    def cut(self, how: str) -> Interrupted:
        """The connection ended (`how` says in which way) before the answer was whole."""
        if self.body is not None:
            of = f" of {self.expected:,}" if self.expected is not None else ""
            where = f"after {self.body:,}{of} bytes of the body"
        else:
            where = f"after {self.received:,} bytes of the answer" if self.received else "before any answer"
        return Interrupted(FailureKind.RESET, f"connection {how} {where}")
