"""Further processes on the same ports, told by the one that has the control API.

The owner and its workers listen at the same addresses (SO_REUSEPORT); the kernel deals connections out among them. Only
the owner is asked for anything. What it takes, renews and ends it tells every worker, one JSON line for each on the
worker's standard input, and it answers when all have done so. A worker writes back what matched and arrived, and its
journal, line by line. Its input ends with the owner, and it with that: no worker outlives an owner that was killed. A
worker that dies is started anew, with the faults that are active.

Each process counts the requests that it sees itself. A share is drawn anew for each, with numbers that no other process
has; what needs one count of all requests is refused (`undivided`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dialtone.interceptor.mechanism import remembers
from dialtone.interceptor.plan import Spec
from dialtone.interceptor.settings import BadSettingsError, plain

if TYPE_CHECKING:
    from dialtone.interceptor.board import Fault
    from dialtone.interceptor.server import Interceptor

PATIENCE = 1.0
"""Seconds that a worker may take for a word; one that takes longer is ended."""
AT_ONCE = 0.1
"""The same when the safety lever is pulled."""
_START = 60.0
_AGAIN = 0.2


def undivided(specs: Iterable[Spec]) -> list[str]:
    """What of a plan needs all requests in one process, with the remedy; empty when nothing does."""
    found = []
    for number, spec in enumerate(specs, 1):
        parts = [f"match.{name}" for name, said in (("nth", spec.match.nth), ("after", spec.match.after)) if said]
        parts += [spec.mechanism.name] if remembers(type(spec.mechanism)) else []
        if parts:
            found.append(
                f"fault {number} ({spec.id}): {', '.join(parts)}: counts or keeps what all requests did, and each "
                "process sees a part of them: run the interceptor with processes = 1"
            )
    return found


class Worker:
    """One of them, as the owner sees it."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self.process = number, process
        self.arrived: dict[str, int] = {}
        self.connections = 0
        self.waiting: dict[int, asyncio.Future[None]] = {}

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def say(self, told: dict[str, Any]) -> None:
        """One line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told).encode() + b"\n")


class Workers:
    """All workers of an interceptor; without any every method is done at once."""

    def __init__(self, interceptor: Interceptor) -> None:
        self._interceptor = interceptor
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._over = False
        self.workers: dict[int, Worker] = {}
        self._gone: dict[str, int] = {}  # requests that arrived at workers that are no more

    async def start(self, count: int) -> None:
        """Start so many. Raises BadSettingsError."""
        await asyncio.gather(*(self._start(number) for number in range(1, count + 1)))

    async def _start(self, number: int) -> None:
        own = self._interceptor
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "dialtone.interceptor.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**22, start_new_session=True,
        )  # fmt: skip
        worker = Worker(number, process)
        worker.say(
            {
                "settings": plain(own.settings, {n: (li.address, li.port) for n, li in own.listeners.items()}),
                "authority": own.core.authority.shared(), "process": number, "faults": self._faults(),
            }
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START):
                first = await process.stdout.readline()
        except TimeoutError:
            first = b""
        if first.strip() != b"!ready":
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise BadSettingsError(
                f"process {number} did not start: {first.decode(errors='replace').strip() or 'no word'}"
            )
        self.workers[number] = worker
        self._spawn(self._listen(worker))

    def _faults(self) -> list[dict[str, Any]]:
        board = self._interceptor.core.board
        now = board.clock()
        return [_told(fault, now) for fault in board.faults.values()]

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, worker: Worker) -> None:
        stdout, core = worker.process.stdout, self._interceptor.core
        assert stdout is not None
        while line := await stdout.readline():
            if line[:1] == b"!":
                self._heard(worker, json.loads(line[1:]))
            else:
                core.journal.foreign(worker.number, line)
        self.workers.pop(worker.number, None)
        for host, count in worker.arrived.items():
            self._gone[host] = self._gone.get(host, 0) + count
        for future in worker.waiting.values():
            if not future.done():
                future.set_result(None)
        with contextlib.suppress(ProcessLookupError):
            worker.process.kill()
        await worker.process.wait()
        while not self._over:
            core.journal.event("process", process=worker.number, by="ours", why="it ended; another is started")
            await asyncio.sleep(_AGAIN)
            with contextlib.suppress(BadSettingsError, OSError):
                await self._start(worker.number)
                return

    def _heard(self, worker: Worker, told: dict[str, Any]) -> None:
        board = self._interceptor.core.board
        worker.arrived, worker.connections = told["arrived"], told["connections"]
        for order, counts in told["counts"].items():
            if (fault := board.by_order.get(int(order))) is not None:
                fault.elsewhere[worker.pid] = tuple(counts)
        future = worker.waiting.pop(told.get("done", 0), None)
        if future is not None and not future.done():
            future.set_result(None)

    async def tell(self, patience: float = PATIENCE, **told: Any) -> None:
        """Tell all of them, and wait until they have done it; who does not answer in time is ended."""
        if not self.workers:
            return
        self._numbers += 1
        waiting = {}
        for worker in list(self.workers.values()):
            worker.waiting[self._numbers] = waiting[worker] = asyncio.get_running_loop().create_future()
            try:
                worker.say({**told, "number": self._numbers})
            except (OSError, RuntimeError):  # it has died, and its pipe is closed: the next one is told when it starts
                worker.waiting.pop(self._numbers).set_result(None)
        _, late = await asyncio.wait(waiting.values(), timeout=patience)
        for worker, future in waiting.items():
            if future in late:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()

    async def put(self, faults: Iterable[Fault]) -> None:
        """Tell them faults that were taken."""
        if self.workers:
            now = self._interceptor.core.clock()
            await self.tell(put=[_told(fault, now) for fault in faults])

    async def sync(self) -> None:
        """Have what they counted and noted here."""
        await self.tell()

    def arrived(self) -> dict[str, int]:
        """Requests by host, of all processes."""
        total = dict(self._interceptor.core.arrived)
        for part in (self._gone, *(worker.arrived for worker in self.workers.values())):
            for host, count in part.items():
                total[host] = total.get(host, 0) + count
        return total

    async def close(self) -> None:
        """End them."""
        self._over = True
        for worker in list(self.workers.values()):
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=PATIENCE)
            for task in late:
                task.cancel()
        for worker in list(self.workers.values()):
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()


def _told(fault: Fault, now: float) -> dict[str, Any]:
    """A fault as another process takes it: its place among the others, and how old it is."""
    return {"order": fault.order, "age": now - fault.taken, "fault": fault.spec.shown()}
