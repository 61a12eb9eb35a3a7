"""What all connections of one interceptor process share."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from dialtone.interceptor.board import Board, Fault
from dialtone.interceptor.journal import Journal
from dialtone.interceptor.mechanism import on_tcp
from dialtone.interceptor.settings import Host, Settings
from dialtone.interceptor.tls import Authority, upstream_context

if TYPE_CHECKING:
    from dialtone.interceptor.connection import Connection
    from dialtone.interceptor.mechanism import Act

MAX_CONNECTIONS = 20_000
"""Connections that are held at a time; one more is refused with 503."""
MAX_BESIDE = 10_000
"""Deliveries that faults make by themselves at a time."""
HEAD_TIMEOUT = 30.0
"""Seconds that a client may take for a request's head, or between two pieces of its body."""
PATIENCE = 10.0
"""Seconds that a client which has said everything may wait for an answer that a fault holds back."""
UPSTREAM_PATIENCE = 60.0
"""The same for an answer that the upstream itself does not give."""
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection to an upstream, TLS included."""
_SWEEP = 1.0


class Core:
    """Faults, journal, certificates, hosts, and the connections that are open."""

    def __init__(self, settings: Settings, authority: Authority | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time
        self.settings = settings
        self.hosts: dict[str, Host] = dict(settings.hosts)
        self.journal = Journal(settings.journal)
        self.board = Board(self.clock)
        self.board.told = self._told
        self.authority = authority or Authority()
        self.connections: dict[int, Connection] = {}
        self.open: dict[str, int] = {}
        """Open connections by host."""
        self.arrived: dict[str, int] = {}
        """Requests by host: what a canary call asks."""
        self.counting: Callable[[Fault], None] = lambda _: None
        """Counts what a fault met below connections, once more before it is told."""
        self.head_timeout = HEAD_TIMEOUT
        self.patience = PATIENCE
        self.now = self.clock()
        """The clock to a second: enough for slow clients."""
        self._numbers = 0
        self._beside: set[asyncio.Task[None]] = set()
        self._upstream_context: ssl.SSLContext | None = None
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that no connection waits for; past `MAX_BESIDE` of them it is dropped."""
        if len(self._beside) >= MAX_BESIDE:
            work.close()
            self.journal.event("dropped", by="ours", why=f"{MAX_BESIDE} deliveries are under way")
            return
        task = self.loop.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def number(self) -> int:
        """The number of a new connection, from 1."""
        self._numbers += 1
        return self._numbers

    def host(self, name: str) -> Host | None:
        """A provider host by its name; `*.example.com` in the settings stands for all below it."""
        found = self.hosts.get(name)
        if found is None and "." in name:
            found = self.hosts.get("*." + name.partition(".")[2])
        return found

    def left(self, host: str) -> None:
        """A connection to a host is gone; names that nobody is connected to are forgotten."""
        self.open[host] -= 1
        if not self.open[host]:
            del self.open[host]

    def early(self, host: str) -> list[Act]:
        """What acts on a new connection to a host."""
        found = [f for f in self.board.early if f.matcher.host is None or fnmatchcase(host, f.matcher.host)]
        if (there := self.host(host)) is not None and there.tcp:
            found = [f for f in found if on_tcp(type(f.spec.mechanism))]
        acts = [act for fault in found if (act := self.board.act(fault, host, None)) is not None]
        for act in acts:
            act.open_connections = self.open[host]
        return acts

    def upstream_context(self) -> ssl.SSLContext:
        """How upstreams are verified; made once."""
        if self._upstream_context is None:
            self._upstream_context = upstream_context(self.settings.upstream_ca)
        return self._upstream_context

    def close(self) -> None:
        """End the faults, the connections and the journal."""
        self._sweeper.cancel()
        self.board.end(why="the interceptor ends")
        for task in tuple(self._beside):
            task.cancel()
        for connection in list(self.connections.values()):
            connection.abort()
        self.journal.close()

    def _told(self, fault: Fault, what: str) -> None:
        more: dict[str, Any] = {"fault": fault.id, "did": fault.spec.mechanism.name}
        if what == "ends":
            self.counting(fault)
            more |= {"why": fault.why, **fault.counts()}
        if self.board.process:
            return  # the owner's line is enough
        with contextlib.suppress(RuntimeError):  # at the very end there is no loop to write with
            self.journal.event(f"fault {what}", **more)

    def _sweep(self) -> None:
        """Close connections of clients that are too slow."""
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)
        self.now = self.clock()
        since = self.now - self.head_timeout
        for connection in list(self.connections.values()):
            if connection.last < since and connection.owes():
                connection.refuse(408, "the client did not finish its request in time")
