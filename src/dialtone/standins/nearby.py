"""Stand-ins in a thread of this process, on real sockets: for tests and benches that look into them as they serve."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dialtone.standins.exchange import Exchange
from dialtone.standins.faults import Faults
from dialtone.standins.journal import Journal
from dialtone.standins.mail import smtp
from dialtone.standins.server import Application, bind, serve
from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock


class Nearby:
    """Serves while its `with` lasts. `mail` adds an SMTP server; `exchange` may be another one, to watch the wire."""

    def __init__(self, standins: Sequence[StandIn], *, mail: bool = False, clock: Clock | None = None) -> None:
        self._standins, self._mail = list(standins), mail
        self.journal = Journal(clock or Clock())
        self.faults = Faults(clock or Clock(), frozenset(s.name for s in standins) | {"mail"})
        self.exchange = Exchange(self.journal, self.faults)
        self.ports: dict[str, int] = {}
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def url(self, name: str) -> str:
        """Where a stand-in serves; `smtp` for the mail server."""
        return f"{'smtp' if name == 'smtp' else 'http'}://127.0.0.1:{self.ports[name]}"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        sockets = {standin.name: bind(0) for standin in self._standins}
        self.ports = {name: listener.getsockname()[1] for name, listener in sockets.items()}
        at_port: dict[int, StandIn] = {self.ports[standin.name]: standin for standin in self._standins}
        serving = await serve(Application(at_port, self.exchange), list(sockets.values()))
        if self._mail:
            listener = bind(0)
            self.ports["smtp"] = listener.getsockname()[1]
            loop = self._loop
            sockets["smtp"] = listener
            await loop.create_server(lambda: smtp(self.exchange, loop), sock=listener)
        self._ready.set()
        await self._stop.wait()
        serving.cancel()
        await asyncio.wait((serving,), timeout=0.5)
        for listener in sockets.values():
            listener.close()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the stand-ins did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
