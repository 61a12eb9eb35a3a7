"""The faults that are active: taken, leased, counted, ended. Everything here works on the clock that it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from dialtone.interceptor.heads import RequestHead
from dialtone.interceptor.match import Index, Matcher, body_matches, drawn
from dialtone.interceptor.mechanism import Act, Waiting, acts
from dialtone.interceptor.plan import MAX_FAULTS, Spec

MAX_ENDED = 1_000
"""Ended faults that are remembered, for the question whether they ever matched."""


class LeverError(RuntimeError):
    """The safety lever is pulled: no fault is taken until it is released."""


class Fault:
    """One planned fault and what became of it. Times are of the board's clock."""

    __slots__ = (
        "acted",
        "asked",
        "begins",
        "connects",
        "elsewhere",
        "ends",
        "id",
        "last",
        "matched",
        "matcher",
        "order",
        "spec",
        "taken",
        "waiting",
        "why",
    )

    def __init__(self, spec: Spec, order: int, now: float) -> None:
        self.spec, self.id, self.order = spec, spec.id, order
        self.taken = now
        self.begins = now + spec.start
        self.last = self.begins + spec.duration if spec.duration is not None else float("inf")
        self.ends = min(now + spec.ttl, self.last)
        self.matched = 0
        """Requests (or connections) that the match means, before nth, share and course."""
        self.acted = 0
        self.elsewhere: dict[int, tuple[int, ...]] = {}
        """The same two in other processes, by theirs."""
        self.waiting = Waiting()
        self.why: str | None = None
        self.matcher = Matcher(self)
        cls = type(spec.mechanism)
        self.asked = acts(cls, "request")
        """Whether it acts before the upstream is asked."""
        self.connects = acts(cls, "connect") or acts(cls, "certificate") or acts(cls, "listener")

    def counts(self) -> dict[str, int]:
        """What it matched and on how many it acted, in all processes."""
        every = [(self.matched, self.acted), *self.elsewhere.values()]
        return {"matched": sum(e[0] for e in every), "acted": sum(e[1] for e in every)}

    def shown(self, now: float) -> dict[str, Any]:
        """For the control API: the plan, what it did, and the seconds that it has left."""
        told = {**self.spec.shown(), **self.counts()}
        return (
            {**told, "left": round(max(0.0, self.ends - now), 3)} if self.why is None else {**told, "ended": self.why}
        )


class Board:
    """All faults of one interceptor."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self.changed = changed
        """Called after faults came or went."""
        self.told: Callable[[Fault, str], None] = lambda _fault, _what: None
        self.faults: dict[str, Fault] = {}
        self.ended: dict[str, Fault] = {}
        self.lever: str | None = None
        """Why the safety lever is pulled; None when it is not."""
        self.index: Index | None = None
        """Faults that act on requests; None when there are none: the way through is short then."""
        self.early: list[Fault] = []
        """Faults that act on connections."""
        self.by_order: dict[int, Fault] = {}
        """The active and the ended, by the number that they have in all processes."""
        self.process, self.processes = 0, 1
        """Which of how many processes this is."""
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, specs: Iterable[Spec], *, order: int | None = None, age: float = 0.0) -> list[Fault]:
        """Take faults, all or none; one with the id of an active one replaces it. Raises LeverError, ValueError.

        `order` and `age` (seconds) are those of a fault that another process has taken already.
        """
        specs = tuple(specs)
        if self.lever is not None:
            raise LeverError(f"the safety lever is pulled: {self.lever}")
        if len(self.faults.keys() | {spec.id for spec in specs}) > MAX_FAULTS:
            raise ValueError(f"{MAX_FAULTS} faults are the most")
        now, made = self.clock(), []
        for spec in specs:
            if spec.id in self.faults:
                self._end(self.faults[spec.id], "replaced")
            self._order = self._order + 1 if order is None else order
            made.append(Fault(spec, self._order, now - age))
            self.faults[spec.id] = self.by_order[self._order] = made[-1]
            self.told(made[-1], "begins")
        self._rebuild()
        return made

    def renew(self, ids: Iterable[str] | None = None) -> list[str]:
        """Give faults their TTL anew (None: all); the ids that are still active."""
        now, alive = self.clock(), []
        self.expire()
        for fault in list(self.faults.values()):
            if ids is None or fault.id in set(ids):
                fault.ends = min(now + fault.spec.ttl, fault.last)
                alive.append(fault.id)
        self._schedule()
        return alive

    def end(self, ids: Iterable[str] | None = None, why: str = "ended by its controller") -> list[Fault]:
        """End faults (None: all) at once."""
        gone = [f for f in list(self.faults.values()) if ids is None or f.id in set(ids)]
        for fault in gone:
            self._end(fault, why)
        if gone:
            self._rebuild()
        return gone

    def pull(self, why: str) -> int:
        """End everything and take nothing more until `release`; how many faults that were."""
        self.lever = why
        return len(self.end(why=f"safety lever: {why}"))

    def release(self) -> None:
        """Take faults again."""
        self.lever = None

    def expire(self) -> None:
        """End the faults whose time is over."""
        now = self.clock()
        over = [f for f in self.faults.values() if f.ends <= now]
        for fault in over:
            self._end(fault, "its duration is over" if fault.ends >= fault.last else "nobody renewed it")
        if over:
            self._rebuild()

    def candidates(self, host: str, head: RequestHead) -> list[Fault]:
        """The faults whose match means this head; the rest of the match is up to `act`."""
        return self.index.candidates(host, head) if self.index is not None else []

    def act(self, fault: Fault, host: str, head: RequestHead | None, parsed: Any = None) -> Act | None:
        """Count a match and decide whether the fault acts on it: time, body, nth, share, course."""
        now, match = self.clock(), fault.spec.match
        if now < fault.begins or now >= fault.ends or fault.waiting.ended:
            return None
        if fault.matcher.body and not body_matches(fault, parsed):
            return None
        fault.matched += 1
        number = fault.matched
        if match.nth is not None and number != match.nth:
            return None
        if number <= match.after or (number - match.after - 1) % match.every:
            return None
        number = (number - 1) * self.processes + self.process + 1
        share = match.share * (fault.spec.course.factor(now - fault.begins) if fault.spec.course else 1.0)
        if share < 1.0 and not drawn(fault.spec.seed, fault.id, number, share):
            return None
        fault.acted += 1
        return Act(fault, number, host, head, self.clock)

    def _end(self, fault: Fault, why: str) -> None:
        self.faults.pop(fault.id, None)
        fault.why = why
        if (older := self.ended.pop(fault.id, None)) is not None:
            self.by_order.pop(older.order, None)
        self.ended[fault.id] = fault
        while len(self.ended) > MAX_ENDED:
            self.by_order.pop(self.ended.pop(next(iter(self.ended))).order, None)
        fault.waiting.end()
        self.told(fault, "ends")

    def _rebuild(self) -> None:
        on_requests = [f for f in self.faults.values() if not f.connects]
        self.index = Index(on_requests) if on_requests else None
        self.early = [f for f in self.faults.values() if f.connects]
        self._schedule()
        self.changed()

    def _schedule(self) -> None:
        """Wake up when the next fault begins or is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.faults:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # without a loop somebody else calls `expire`
            now = self.clock()
            at = min(f.begins if f.begins > now else f.ends for f in self.faults.values())
            self._timer = loop.call_later(max(0.0, at - now) + 0.001, self._woken)

    def _woken(self) -> None:
        self.expire()
        self._schedule()
        self.changed()
