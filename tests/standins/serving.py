"""Stand-ins on real sockets within the test's process, for clients that want an address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dialtone.standins.exchange import Exchange
from dialtone.standins.journal import Filter, Journal
from dialtone.standins.server import Application, bind, serve
from dialtone.standins.standin import StandIn


class Served:
    """Stand-ins that listen; `world` has their journal and clock."""

    def __init__(self, ports: Mapping[str, int], journal: Journal) -> None:
        self.ports, self.journal = ports, journal

    def url(self, name: str) -> str:
        """Base address of one."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def paths(self, provider: str) -> list[tuple[str, str, int]]:
        """Method, path and status of everything that one took in."""
        return [(e.method, e.path, e.status) for e in self.journal.find(Filter(provider=provider))]


@contextmanager
def serving(standins: Mapping[str, StandIn], exchange: Exchange, journal: Journal) -> Iterator[Served]:
    """Serve them from a thread until the block ends."""
    sockets = {name: bind(0) for name in standins}
    ports = {name: int(listener.getsockname()[1]) for name, listener in sockets.items()}
    at_port: dict[int, Any] = {port: standins[name] for name, port in ports.items()}
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        task = await serve(Application(at_port, exchange), list(sockets.values()))
        ready.set()
        await stop.wait()
        task.cancel()
        await asyncio.wait((task,), timeout=0.5)

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(30)
    try:
        yield Served(ports, journal)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
