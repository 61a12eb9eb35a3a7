"""The clerk: the process of the resident watch that keeps the history, moves incidents and sends what is to be told.

It gets what sessions saw, each slice once more after a crash (what was taken in already changes nothing), and lets time
pass for incidents: deadlines, reminders, ends of acknowledgements and silences. Databases and channels may be slow
here; nothing that decides when a check is looked at waits for it. A history in trouble keeps nobody from being told:
results go to files beside it, and incidents are judged in memory until it is back.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dialtone.history import Retention, Run, Store, StoreError, spool, where
from dialtone.history.recorder import result_of
from dialtone.history.rollup import tidy
from dialtone.incidents.handover import RESIDENT, Handover, RoutesError, unheard
from dialtone.incidents.outbox import Outbox
from dialtone.keeping import DEPLOYMENT, PLACE
from dialtone.target import ProfileError, Target, load
from dialtone.watch.wire import pack

CHANNEL = "DIALTONE_CLERK"
TICK = 5.0
"""Seconds between two looks at the timers of incidents."""
TIDY = 60.0
_PATIENCE = 3.0
_RECENT = 900.0  # what was red longer ago is no cause of what is red now


class Clerk:
    """History and incidents of one target. Raises ProfileError, RoutesError or StoreError where they cannot be had."""

    def __init__(
        self,
        config: Path,
        name: str,
        environ: Mapping[str, str],
        *,
        folder: Path = Path(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._environ, self._folder = {**environ, RESIDENT: "1"}, folder
        self._target: Target = load(config, name, environ)
        self._place = where(self._target, environ)
        self._keep = Retention(raw=self._target.profile.history.raw)
        self._handover = Handover.open(config, self._target, self._environ) if self._place else None
        self._store: Store | None = None
        self._memory: Store | None = None
        self._latest: dict[str, tuple[dict[str, Any], float]] = {}
        self._moved = False
        self._ticked = self._tidied = self._beaten = 0.0
        self._looked = False
        self.trouble: str | None = None
        self.undelivered = 0
        self.steps = 0
        self.words: list[str] = []
        if self._place:
            self._open()

    def take(self, told: Mapping[str, Any], now: float) -> None:
        """One slice of looks, as `Run` and entries: into the history, and to the incidents."""
        run = Run(
            told["token"], self._target.name, told["planned"], told["started"], self._environ.get(PLACE, ""),
            told["every"], self._environ.get(DEPLOYMENT), told["finished"], None,
        )  # fmt: skip
        entries = [one["entry"] for one in told["looks"]]
        names = {entry["id"] for entry in entries}
        around = [
            (entry, at)
            for name, (entry, at) in self._latest.items()
            if name not in names and entry["verdict"] in ("breach", "critical") and now - at < _RECENT
        ]
        for entry in entries:
            self._latest[entry["id"]] = entry, now
        found = (result_of(one["entry"], one.get("measured") or {}, one["at"]) for one in told["looks"])
        results = [result for result in found if result is not None]
        self._looked = True
        if self._place is None:
            return

        def absorb(store: Store) -> None:
            if self._handover is not None:
                diagnosis = told.get("diagnosis")
                steps = self._handover.absorb(
                    store, run, entries, now, diagnosis, around=around, suite=int(told.get("suite") or 0)
                )
                self.steps += steps
                self._moved = self._moved or steps > 0

        try:
            store = self._open()
            store.add(run, results, lambda: absorb(store))
        except StoreError as trouble:
            self._in_trouble(str(trouble))
            try:
                spool.keep(spool.folder(self._place), run, results)
            except OSError as error:
                self.words.append(f"{len(results)} results are lost: {error.strerror}")
            with self._in_memory().engine.transaction():
                absorb(self._in_memory())

    def tick(self, now: float) -> None:
        """Let time pass: at once after something moved, else every few seconds."""
        if self._handover is not None and (self._moved or now - self._ticked >= TICK):
            self._moved, self._ticked = False, now
            self._deliver(now)
        if self._place is not None and now - self._tidied >= TIDY:
            self._tidied = now
            self._tidy(now)

    def beat(self, now: float, every: float = 60.0) -> bool:
        """Tell the dead man's switches, once a minute, that the watch is alive: only if it has looked since."""
        if now - self._beaten < every or not self._looked or self.trouble:
            return False
        self._beaten, self._looked = now, False
        if self._handover is not None:
            self._handover.check_in(f"watch {now:.0f}", every)
        return True

    def _deliver(self, now: float) -> None:
        assert self._handover is not None
        try:
            store = self._open() if self._memory is None else self._memory
            self._handover.deliver(
                store, patience=_PATIENCE, clock=self._clock, alive=False, wary=self._memory is not None
            )
            rows = Outbox(store.engine).unheard(now)
            self.undelivered = len(rows)
            with suppress(OSError):
                self.words += unheard(rows, self._folder, {})
        except StoreError as trouble:
            self._in_trouble(str(trouble))
        self.words += self._handover.words()

    def _tidy(self, now: float) -> None:
        assert self._place is not None
        try:
            store = self._open()
            place = spool.folder(self._place)
            if place.is_dir():
                spool.take_in(place, store)
            tidy(store, now, self._keep)
            if self.trouble is not None and self._memory is not None:
                self.words.append("the history is back")
                self._memory.close()
                self._memory = None
            self.trouble = None
        except StoreError as trouble:
            self._in_trouble(str(trouble))

    def _open(self) -> Store:
        assert self._place is not None
        if self._store is None:
            self._store = Store.open(self._place)
            if self._handover is not None:
                self._handover.recall(self._store, self._clock())
        return self._store

    def _in_memory(self) -> Store:
        if self._memory is None:
            self._memory = Store.open(Path(":memory:"))
            if self._handover is not None:
                self._handover.recall(self._memory, self._clock())
        return self._memory

    def _in_trouble(self, words: str) -> None:
        self.trouble = words
        self.words.append(f"the history is in trouble: {words}; incidents are judged and told without it meanwhile")
        if self._store is not None:
            self._store.close()
            self._store = None

    def close(self) -> None:
        """Give everything back."""
        for store in (self._store, self._memory):
            if store is not None:
                store.close()
        if self._handover is not None:
            self._handover.close()


def _ping(url: str) -> str | None:
    """Ask for an address that misses us when we are silent; what is wrong with it, without the address."""
    from dialtone.http import Client, Limits

    client = Client(url, limits=Limits(connect=3, read=5, total=8, max_body=10_000))
    try:
        answer = client.get("")
        return None if answer.ok else f"the heartbeat was not taken: {answer.failure or answer.status}"
    finally:
        client.close()


def main(argv: list[str]) -> int:
    """Serve until the other side hangs up: `clerk CONFIG TARGET`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(os.environ.pop(CHANNEL))) as channel:
        return _serve(argv, channel)


def _serve(argv: list[str], channel: socket.socket) -> int:
    try:
        clerk = Clerk(Path(argv[0]), argv[1], os.environ)
    except (ProfileError, RoutesError, StoreError) as wrong:
        channel.sendall(pack({"refused": str(wrong)}))
        return 4
    channel.sendall(pack({"ready": True}))
    heartbeat = os.environ.get("DIALTONE_HEARTBEAT", "").strip()
    buffer = b""
    with suppress(OSError):
        while True:
            if select.select([channel], [], [], 0.5)[0]:
                received = channel.recv(1 << 20)
                if not received:
                    break
                buffer += received
            *whole, buffer = buffer.split(b"\n")
            for text in whole:
                told = json.loads(text)
                clerk.take(told, time.time())
                channel.sendall(pack({"taken": told["token"]}))
            now = time.time()
            clerk.tick(now)
            if clerk.beat(now):
                trouble = _ping(heartbeat) if heartbeat else None
                clerk.words += [trouble] if trouble else []
                channel.sendall(pack({"beat": now}))
            status = {"trouble": clerk.trouble, "undelivered": clerk.undelivered, "steps": clerk.steps}
            channel.sendall(pack({"status": status, "words": clerk.words}))
            clerk.words = []
    clerk.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
