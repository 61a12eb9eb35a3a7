"""A small pool of sessions that look at checks: handed one check at a time, ended when they are old, killed when hung.

Which check comes next is decided when a session is free for it, by severity, then by its moment; so a check that hangs
holds one session and delays none. It is told as broken, and from then on looked at in a session of its own until it
ends by itself again.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dialtone import report as reports
from dialtone.watch.processes import Gone, Talk, Warm
from dialtone.watch.schedule import Look

AGE = 5.0
"""Seconds after which a session takes no further check: what is shared within one is as old at most."""
LINGER = 0.3
PATIENCE = 0.05
"""Seconds for which a look waits for a session that is at work before another one is made."""
_MANY = 40
_HELLO, _ENDING, _KILL_AFTER = 30.0, 60.0, 1.0


@dataclass(slots=True)
class Slice:
    """What one session has looked at: looks with their entries, as they came; `at` is wall-clock time."""

    number: int
    started: float
    done: list[tuple[Look, float, dict[str, Any], Any]] = field(default_factory=list)
    diagnosis: dict[str, Any] | None = None


@dataclass(slots=True)
class _Session:
    slice: Slice
    born: float
    warm: Warm
    task: asyncio.Task[None] | None = None
    pid: int | None = None
    look: Look | None = None
    solo: bool = False
    ending: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Pool:
    """Sessions of one watch. `told` gets each slice when its session is over, `looked` each look when it is."""

    def __init__(
        self,
        warm: Warm,
        size: int,
        *,
        told: Callable[[Slice], None],
        looked: Callable[[Look, float, dict[str, Any] | None, float], None],
        wall: Callable[[], float],
    ) -> None:
        self.warm, self.size = warm, size
        self.hung = self.died = self.forks = 0
        self._told, self._looked, self._wall = told, looked, wall
        self._ready: list[Look] = []
        self._sessions: list[_Session] = []
        self._alone: set[str] = set()
        self._later: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """Looks whose moment has come and that no session has begun."""
        return len(self._ready)

    @property
    def running(self) -> list[Look]:
        """Looks that a session is at."""
        return [s.look for s in self._sessions if s.look is not None]

    @property
    def oldest(self) -> float | None:
        """The moment of the look that waits longest."""
        return min((look.due for look in self._ready), default=None)

    def uses(self, warm: Warm) -> bool:
        """Whether a session of it still runs."""
        return any(session.warm is warm for session in self._sessions)

    def add(self, looks: list[Look]) -> None:
        """Looks whose moment has come."""
        for look in looks:
            heapq.heappush(self._ready, look)
        self._assign()

    def _assign(self) -> None:
        """Free sessions first, then new ones: those at work are waited for a moment, which is cheaper than a copy."""
        if not self.warm.child.alive:
            return  # the watch starts another one
        fit = sum(1 for look in self._ready if look.check.id not in self._alone)
        free = [s for s in self._sessions if s.pid and s.look is None and not s.ending]
        for session in free[:fit]:  # the oldest first: those that are too many end for want of work
            session.wake.set()
        working = sum(1 for s in self._sessions if not s.ending)
        starting = sum(1 for s in self._sessions if s.pid is None)
        wanted = len(self._ready) - min(fit, len(free)) - starting
        room = min(wanted, self.size - working, 2 * self.size - len(self._sessions))
        if room <= 0:
            return
        left = (self.oldest or 0.0) + PATIENCE - self._loop.time()
        if working and left > 0:
            if self._later is None or self._later.when() < self._loop.time():
                self._later = self._loop.call_later(left, self._assign)
            return
        for _ in range(room):
            self.forks += 1
            made = _Session(Slice(self.forks, self._wall()), self._loop.time(), self.warm)
            self._sessions.append(made)
            made.task = self._loop.create_task(self._run(made))

    def _next(self, session: _Session) -> Look | None:
        """The next look for a session; one that has hung before gets a session that has done nothing else."""
        fresh, kept, found = not session.slice.done, [], None
        while self._ready and found is None:
            look = heapq.heappop(self._ready)
            if look.check.id in self._alone and not fresh:
                kept.append(look)
            else:
                found = look
        for look in kept:
            heapq.heappush(self._ready, look)
        if found is not None:
            session.solo = found.check.id in self._alone
        return found

    async def _run(self, session: _Session) -> None:
        talk: Talk | None = None
        try:
            talk = await session.warm.copy()
            session.pid = int((await asyncio.wait_for(talk.hear(), _HELLO))["hello"])
            while not self._old(session):
                look = self._next(session) or await self._idle(session)
                if look is None:
                    break
                bad = await self._look(session, talk, look)
                if bad:
                    break
            session.ending = True
            self._assign()
            talk.send({"end": True})
            ended = await asyncio.wait_for(talk.hear(), _ENDING)
            session.slice.diagnosis = ended.get("diagnosis")
        except (Gone, TimeoutError):
            self._lost(session)
            if session.pid is None:
                await asyncio.sleep(0.2)  # no copy came up: not again at once
        finally:
            if talk is not None:
                talk.close()
            self._sessions.remove(session)
            if session.slice.done:
                self._told(session.slice)
            self._assign()

    def _old(self, session: _Session) -> bool:
        many = len(session.slice.done) >= _MANY
        return bool(session.slice.done) and (session.solo or many or self._loop.time() - session.born > AGE)

    async def _idle(self, session: _Session) -> Look | None:
        """Wait for work. That another session was faster is no reason to end: the next one would cost a copy."""
        end = self._loop.time() + LINGER
        while not session.ending and (left := end - self._loop.time()) > 0:
            session.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.wake.wait(), left)
            if (look := self._next(session)) is not None:
                return look
        return None

    async def _look(self, session: _Session, talk: Talk, look: Look) -> bool:
        """Let a session look at one check; whether its session should end now, so that the news get out."""
        session.look, began = look, self._wall()
        talk.send({"look": look.check.id})
        try:
            answer = await asyncio.wait_for(talk.hear(), look.check.limit)
        except TimeoutError:
            self.hung += 1
            self._alone.add(look.check.id)
            self._over(session, began, self._broken(look, f"took longer than {look.check.limit:g} s, and was ended"))
            await self._kill(session)
            raise Gone("hung") from None
        entry = answer.get("entry")
        if entry is None:  # a plugin of the suite's own may keep a test from running
            entry = self._broken(look, "nothing is known of this check: it did not run")
        self._alone.discard(look.check.id)
        self._over(session, began, entry, answer.get("measured"))
        return bool(entry["verdict"] in ("breach", "critical"))

    def _over(self, session: _Session, began: float, entry: dict[str, Any], measured: Any = None) -> None:
        look, session.look = session.look, None
        if look is None:  # the watch is being stopped: the look is given up
            return
        session.slice.done.append((look, self._wall(), entry, measured))
        self._looked(look, began, entry, self._wall())

    def _lost(self, session: _Session) -> None:
        """A session is gone before its end; the check that it was at is broken, the others have their verdicts."""
        if session.look is not None:
            self.died += 1
            self._over(session, self._wall(), self._broken(session.look, "the session died in this check"))

    def _broken(self, look: Look, why: str) -> dict[str, Any]:
        declared: dict[str, Any] = next(
            (c["declared"] for c in self.warm.catalogue["checks"] if c["id"] == look.check.id), {}
        )
        entry = reports.crashed(look.check.nodeid, declared)
        return {**entry, "id": look.check.id, "reason": why}

    async def _kill(self, session: _Session) -> None:
        """SIGINT lets a check clean up; then SIGKILL, for all that it has started as well."""
        for sent, then in ((signal.SIGINT, _KILL_AFTER), (signal.SIGKILL, 0.0)):
            with contextlib.suppress(OSError):
                os.killpg(session.pid or 0, sent)
            await asyncio.sleep(then)

    async def close(self, grace: float) -> list[Look]:
        """Interrupt what runs, and wait for it; the looks that no session had begun or finished."""
        left = [*self._ready, *self.running]
        self._ready.clear()
        if self._later is not None:
            self._later.cancel()
        tasks = [s.task for s in self._sessions if s.task]
        for session in self._sessions:
            session.ending, session.look = True, None
            session.wake.set()
            if session.pid:
                with contextlib.suppress(OSError):
                    os.killpg(session.pid, signal.SIGINT)
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for session in self._sessions:
            if session.pid:
                with contextlib.suppress(OSError):
                    os.killpg(session.pid, signal.SIGKILL)
        for task in tasks:
            task.cancel()
        return left
