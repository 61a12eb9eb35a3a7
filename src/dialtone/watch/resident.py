"""`dialtone watch`: the process that rules the others. It decides when which check is looked at, and does nothing slow.

    resident --- warm session (pytest, collected once) --- copies of it, one for each slice of looks
             `-- clerk (history, incidents, messages)

A signal stops it (SIGTERM, SIGINT) within two seconds, or makes it read the profile and the checks anew (SIGHUP): a new
warm session and a new clerk have to come up first, and until then, and if they do not, the old ones go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import signal
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialtone.watch import page
from dialtone.watch.metrics import Board, Last
from dialtone.watch.notify import ERROR, INFO, NOTICE, WARNING, Log, Supervisor
from dialtone.watch.pool import Pool, Slice
from dialtone.watch.processes import Child, Gone, Refused, Warm
from dialtone.watch.schedule import Check, Look, Schedule
from dialtone.watch.starting import Settings, fresh

_STOP = 1.2
_BACKLOG = 2000
_RETRY = 5.0
_GAPS = (
    "moments were missed (dialtone_watch_missed_total): a check still waited, or was being looked at, when its next one"
    " came. They are gaps, not made up for: longer intervals, more sessions (--sessions) or more CPU are needed"
)


class Resident:
    """One watch, from its beginning to its end."""

    def __init__(self, settings: Settings, log: Log, environ: Mapping[str, str] = os.environ) -> None:
        self.settings, self.log = settings, log
        self.board = Board(settings.target)
        self._environ = dict(environ)
        self._systemd = Supervisor(environ)
        self._schedule = Schedule()
        self._token = f"watch-{time.time():.0f}-{secrets.token_hex(4)}"
        # Read once: a clock that is set meanwhile moves no planned time.
        self._offset = time.time() - time.monotonic()
        self._slices = 0
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_BACKLOG)
        self._alone: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._again = False
        self._pool: Pool | None = None
        self._clerk: Child | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Until a signal; 0, or 4 where it cannot begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            found = await fresh(self.settings, self._environ, self._stopping)
        except Refused as refused:
            self.log(str(refused), ERROR)
            return 4
        if found is None:
            return 0
        warm, clerk = found
        server = None
        if self.settings.listen is not None:
            pages = {"/metrics": self._metrics, "/health": self._health}
            try:
                server = await page.serve(*self.settings.listen, pages)
            except OSError as error:
                self.log(f"cannot listen on {_told(self.settings.listen)}: {error.strerror}", ERROR)
                await asyncio.gather(warm.child.end(_STOP), clerk.end(_STOP))
                return 4
        self._pool = Pool(warm, self.settings.sessions, told=self._told, looked=self._looked, wall=self._wall)
        self._take_up(warm, clerk)
        self.board.figures["dialtone_watch_start_time_seconds"] = time.time()
        self._systemd.tell(READY=1, STATUS=self._state())
        self.log(self._state())
        tasks = [asyncio.create_task(work()) for work in (self._look_on, self._keep_alive)]
        await self._stopping.wait()
        self._systemd.tell(STOPPING=1)
        if server is not None:
            server.close()
        await self._stop(tasks)
        return 0

    def _take_up(self, warm: Warm, clerk: Child) -> None:
        """From now on with these."""
        assert self._pool is not None
        self._pool.warm, self._clerk = warm, clerk
        told = warm.catalogue
        checks = [Check(c["id"], c["nodeid"], c["severity"], c["every"], c["limit"]) for c in told["checks"]]
        self._schedule.update(checks, time.monotonic())
        known = {check.id for check in checks}
        self.board.checks = {name: last for name, last in self.board.checks.items() if name in known}
        self.board.figures |= {
            "dialtone_watch_checks": len(checks),
            "dialtone_watch_unarmed_checks": len(told["unarmed"]),
        }
        asyncio.get_running_loop().create_task(self._hear(clerk))
        for slice_ in list(self._waiting):
            clerk.talk.send(slice_)
        self._changed.set()

    async def _look_on(self) -> None:
        """Hand looks to sessions at their moments."""
        while not self._stopping.is_set():
            assert self._pool is not None
            missed = self._schedule.missed
            self._pool.add(self._schedule.take(time.monotonic()))
            if self._schedule.missed > missed:
                self.log.once(_GAPS)
            following = self._schedule.next
            left = 60.0 if following is None else following - time.monotonic()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), max(0.001, left))

    async def _keep_alive(self) -> None:
        """What died is started again; systemd hears that this loop goes round."""
        while not self._stopping.is_set():
            pool, clerk = self._pool, self._clerk
            assert pool is not None
            if clerk is not None:
                if self._systemd.every is not None:
                    self._systemd.tell(WATCHDOG=1)
                if not (pool.warm.child.alive and clerk.alive) and self._reloading is None:
                    self.log("a process of the watch died: it is started again", ERROR)
                    await self._renew()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(1.0, self._systemd.every or 1.0))

    async def _renew(self) -> None:
        try:
            await self._change()
        except Refused as refused:
            self.log.once(f"{refused}; tried again every {_RETRY:.0f} s", ERROR)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RETRY)

    def reload(self) -> None:
        """Read profile and checks anew; the old ones go on until that has come out well."""
        if self._pool is None:
            return
        if self._reloading is not None:
            self._again = True
            return
        self._systemd.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        try:
            await self._change()
            self.board.reloads["done"] += 1
            self.log(f"reloaded: {self._state()}", NOTICE)
        except Refused as refused:
            self.board.reloads["refused"] += 1
            self.log(f"not reloaded, the watch goes on as it was: {refused}", ERROR)
        finally:
            self._systemd.tell(READY=1, STATUS=self._state())
            self._reloading = None
            if self._again and not self._stopping.is_set():
                self._again = False
                self.reload()

    async def _change(self) -> None:
        found = await fresh(self.settings, self._environ, self._stopping)
        if found is None or self._pool is None or self._clerk is None:
            return
        warm, clerk = found
        old_warm, old_clerk = self._pool.warm, self._clerk
        self._take_up(warm, clerk)
        await asyncio.gather(self._let_go(old_warm), old_clerk.end(10.0))

    async def _let_go(self, warm: Warm) -> None:
        """Its sessions end by themselves, or by the time limit of their checks."""
        limit = max((float(c["limit"]) for c in warm.catalogue["checks"]), default=0.0) + 10

        async def later() -> None:
            assert self._pool is not None
            end = time.monotonic() + limit
            while self._pool.uses(warm) and time.monotonic() < end and not self._stopping.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            await warm.child.end(1.0)

        self._leaving = asyncio.create_task(later())

    async def _hear(self, clerk: Child) -> None:
        """What a clerk tells, until it is gone."""
        with contextlib.suppress(Gone):
            while True:
                told = await clerk.talk.hear()
                if "taken" in told:
                    kept = [one for one in self._waiting if one["token"] != told["taken"]]
                    self._waiting = deque(kept, maxlen=_BACKLOG)
                elif "beat" in told:
                    self.board.figures["dialtone_watch_heartbeat_timestamp_seconds"] = told["beat"]
                elif "status" in told:
                    self._heard(told["status"], told["words"])

    def _heard(self, status: Mapping[str, Any], words: list[str]) -> None:
        figures, now = self.board.figures, time.monotonic()
        figures["dialtone_watch_history_trouble"] = float(bool(status["trouble"]))
        figures["dialtone_watch_undelivered"] = status["undelivered"]
        figures["dialtone_watch_incident_steps_total"] = status["steps"]
        for line in words:
            if ": seen from " in line or ": cannot be seen from " in line:
                self._alone[line.partition(": ")[0]] = now
            self.log.once(line)

    def _looked(self, look: Look, began: float, entry: dict[str, Any] | None, ended: float) -> None:
        """A look is over."""
        name = look.check.id
        self._schedule.done(name)
        self.board.late.add(max(0.0, began - (look.due + self._offset)))
        looks = self.board.figures
        looks["dialtone_watch_looks_total"] = looks.get("dialtone_watch_looks_total", 0) + 1
        if entry is None:
            return
        verdict = str(entry["verdict"]) if entry["armed"] else "unknown"
        before = self.board.checks.get(name)
        self.board.checks[name] = Last(verdict, str(entry["severity"]), ended, ended - began, look.check.every)
        if (before.verdict if before else "ok") != verdict:
            kind = f" ({entry['kind']})" if entry["kind"] else ""
            was = f", was {before.verdict}" if before else ""
            priority = {"critical": ERROR, "breach": ERROR, "unknown": WARNING}.get(verdict, INFO)
            self.log(f"{name}: {verdict}{kind}{was}: {entry['reason']}", priority)

    def _told(self, slice_: Slice) -> None:
        """A session is over: to the clerk, as a run for each interval and slot."""
        groups: dict[tuple[float, int], list[tuple[Look, float, dict[str, Any], Any]]] = {}
        for one in slice_.done:
            look = one[0]
            groups.setdefault((look.check.every, int((look.slot + self._offset) // look.check.every)), []).append(one)
        for (every, _), looks in groups.items():
            self._slices += 1
            told = {
                "token": f"{self._token}-{self._slices}", "every": every, "diagnosis": slice_.diagnosis,
                "planned": min(look.slot for look, *_ in looks) + self._offset, "started": slice_.started,
                "finished": self._wall(), "suite": max(1, round(self._month * every / 2_592_000)),
                "looks": [{"at": at, "entry": entry, "measured": measured} for _, at, entry, measured in looks],
            }  # fmt: skip
            self._waiting.append(told)
            if self._clerk is not None:
                self._clerk.talk.send(told)

    @property
    def _month(self) -> float:
        """Looks in 30 days, of all checks."""
        return float(self._pool.warm.catalogue["month"]) if self._pool else 1.0

    def _wall(self) -> float:
        return time.monotonic() + self._offset

    def _metrics(self) -> page.Answer:
        figures, pool = self.board.figures, self._pool
        now = time.monotonic()
        self._alone = {name: at for name, at in self._alone.items() if now - at < 3600}
        if pool is not None:
            figures |= {
                "dialtone_watch_missed_total": self._schedule.missed,
                "dialtone_watch_hung_total": pool.hung,
                "dialtone_watch_died_total": pool.died,
                "dialtone_watch_sessions_total": pool.forks,
                "dialtone_watch_waiting": pool.waiting,
                "dialtone_watch_running": len(pool.running),
                "dialtone_watch_backlog": len(self._waiting),
                "dialtone_watch_seen_alone": len(self._alone),
                "dialtone_watch_resident_memory_bytes": _memory(),
            }
        return 200, "text/plain; version=0.0.4; charset=utf-8", self.board.text()

    def _health(self) -> page.Answer:
        pool, clerk = self._pool, self._clerk
        waited = max(0.0, time.monotonic() - pool.oldest) if pool is not None and pool.oldest is not None else 0.0
        troubles = self.board.troubles(
            sessions=pool is not None and pool.warm.child.alive, clerk=clerk is not None and clerk.alive, waited=waited
        )
        told = {
            "status": "trouble" if troubles else "ok",
            "troubles": troubles,
            "target": self.settings.target,
            "checks": len(self._schedule),
            "lateness_p99_seconds": round(self.board.late.quantile(0.99), 4),
            "missed": self._schedule.missed,
        }
        return 503 if troubles else 200, "application/json", json.dumps(told) + "\n"

    def _state(self) -> str:
        assert self._pool is not None
        told = self._pool.warm.catalogue
        every = sorted({float(c["every"]) for c in told["checks"]})
        spans = (
            f"every {every[0]:g} s" if len(every) == 1 else f"every {every[0]:g} to {every[-1]:g} s" if every else ""
        )
        where = f", http://{_told(self.settings.listen)}/metrics" if self.settings.listen else ""
        unarmed = f", {len(told['unarmed'])} are not armed" if told["unarmed"] else ""
        return (
            f"watching {self.settings.target}: {len(told['checks'])} checks {spans}{unarmed},"
            f" {self.settings.sessions} sessions at most{where}"
        )

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        """What runs is interrupted; what is known goes to the history, as far as it takes it in time."""
        for task in [*tasks, *([self._reloading] if self._reloading else [])]:
            task.cancel()
        assert self._pool is not None
        left = await self._pool.close(0.7)
        end = time.monotonic() + 0.5
        while self._waiting and self._clerk and self._clerk.alive and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ends = [self._pool.warm.child.end(0.2)]
        ends += [self._clerk.end(0.3)] if self._clerk else []
        await asyncio.gather(*ends)
        cut = f", {len(left)} looks were cut short" if left else ""
        lost = f", {len(self._waiting)} slices did not reach the history" if self._waiting else ""
        self.log(f"stopped{cut}{lost}", WARNING if lost else INFO)


def _told(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _memory() -> float:
    """Bytes that the ruling process holds now."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return float(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def watch(settings: Settings, log: Log) -> int:
    """Run a watch in this process."""

    async def begun() -> int:
        return await Resident(settings, log).run()

    return asyncio.run(begun())


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what sessions say while they come up."""
    return tempfile.TemporaryDirectory(prefix="dialtone-watch-")
