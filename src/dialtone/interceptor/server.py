"""One interceptor: its listeners, its control API, its state file, and its further processes if it has any."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import secrets
from pathlib import Path
from typing import Any

from dialtone.interceptor.board import Fault
from dialtone.interceptor.core import Core
from dialtone.interceptor.inbound import Inbound
from dialtone.interceptor.listeners import Listener, told
from dialtone.interceptor.settings import BadSettingsError, Settings
from dialtone.interceptor.tcp import TcpInbound
from dialtone.interceptor.tls import Authority
from dialtone.interceptor.workers import Workers

_SKEW = 0.02
"""Seconds between the clocks of two processes."""
UNRESOLVED = "unresolved"
"""File of the folder: a name a line."""
TOKEN_VARIABLE = "DIALTONE_INTERCEPTOR_TOKEN"  # noqa: S105 - the variable's name


class Interceptor:
    """Listens until `close`. `allow_open` is the second time that somebody says it may be open to a network."""

    def __init__(
        self,
        settings: Settings,
        *,
        token: str | None = None,
        allow_open: bool = False,
        authority: Authority | None = None,
        process: int = 0,
    ) -> None:
        if (exposed := settings.exposed()) and not (settings.open and allow_open):
            raise BadSettingsError(
                f"{', '.join(exposed)} can be reached from a network, and whoever reaches it can use your providers: "
                "listen on 127.0.0.1, or say it twice: open = true in the settings and --open on the command line"
            )
        self.settings = settings
        self.token = token or secrets.token_urlsafe(24)
        self._authority = authority
        self.listeners: dict[str, Listener] = {}
        """By host; the shared ones as `*`, `*1`, …"""
        self.control_url = ""
        self.process = process
        """0 is the owner; others have neither control API nor files (`workers`)."""
        self.workers = Workers(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._unresolved: list[str] | None = None

    async def start(self) -> None:
        """Open everything. Raises BadSettingsError when an address cannot be had; nothing stays open then."""
        self.core = Core(self.settings, self._authority)
        board, shared = self.core.board, None if self.settings.processes == 1 else not self.process
        board.changed, board.process, board.processes = self._changed, self.process, self.settings.processes
        self.core.counting = self.count
        for number, (address, port) in enumerate(self.settings.listen):
            factory = functools.partial(Inbound, self.core)
            self.listeners[f"*{number or ''}"] = Listener(address, port, factory, shared)
        for host in self.settings.hosts.values():
            if host.listen is not None:
                made = functools.partial(TcpInbound if host.tcp else Inbound, self.core, host.name)
                self.listeners[host.name] = Listener(*host.listen, made, shared)
        try:
            for listener in self.listeners.values():
                try:
                    await listener.open()
                except OSError as error:
                    raise BadSettingsError(told(error, listener.address, listener.port)) from None
            if not self.process:
                await self._control()
                await self.workers.start(self.settings.processes - 1)
        except BadSettingsError:
            await self.close()
            raise
        if self.settings.folder is not None:
            self._write(self.settings.folder)
            self._write_unresolved(0)

    async def _control(self) -> None:
        from dialtone.interceptor.control import Control

        address, port = self.settings.control
        self._api = Control(self)
        try:
            self.control_url = f"http://{address}:{await self._api.start(address, port)}"
        except OSError as error:
            raise BadSettingsError(told(error, address, port)) from None

    async def close(self) -> None:
        """Close listeners and connections; faults end."""
        await self.workers.close()
        for listener in self.listeners.values():
            listener.close()
        if hasattr(self, "_api"):
            await self._api.stop()
        self.core.close()

    def state(self) -> dict[str, Any]:
        """What a controller needs to know; the token is not in it."""
        return {
            "pid": os.getpid(),
            "processes": [os.getpid(), *(worker.pid for worker in self.workers.workers.values())],
            "control": self.control_url,
            "listen": {name: listener.shown() for name, listener in self.listeners.items()},
            "hosts": {name: str(host.upstream) for name, host in self.core.hosts.items()},
            "tcp": sorted(name for name, host in self.core.hosts.items() if host.tcp),
            "authority": str(self.core.authority.file) if self.core.authority.file else None,
            "unresolved": str(self.settings.folder.resolve() / UNRESOLVED) if self.settings.folder else None,
        }

    def _write(self, folder: Path) -> None:
        self.core.authority.write(folder)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(self.token)
        fresh = folder / "state.json.new"
        fresh.write_text(json.dumps(self.state(), indent=1) + "\n")
        fresh.replace(folder / "state.json")

    def _write_unresolved(self, now: float) -> None:
        """Names that do not resolve at the moment, for the preload, which looks before each connection."""
        names = sorted(
            fault.spec.match.host.lower()
            for fault in self.core.board.early
            if fault.spec.mechanism.unresolved() and fault.spec.match.host and fault.begins <= now < fault.ends
        )
        if self.settings.folder is None or names == self._unresolved:
            return
        self._unresolved = names
        fresh = self.settings.folder / f"{UNRESOLVED}.new"
        fresh.write_text("".join(f"{name}\n" for name in names))
        fresh.replace(self.settings.folder / UNRESOLVED)

    def count(self, fault: Fault) -> None:
        """Add what a listener swallowed to what its fault matched: of those nobody else knows."""
        listener = self.listeners.get((fault.spec.match.host or "").lower())
        if listener is not None and listener.mode == "blackhole" == fault.spec.mechanism.listener():
            fault.elsewhere[0] = (swallowed := listener.swallowed(), swallowed)

    async def turned(self) -> None:
        """Wait until the listeners are as the faults want them."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _changed(self) -> None:
        """Faults came or went: listeners that are meant are closed, or opened again."""
        wanted: dict[str, str] = {}
        meant: dict[str, Fault] = {}
        now = self.core.clock()
        for fault in self.core.board.early:
            mode, host = fault.spec.mechanism.listener(), fault.spec.match.host
            if mode and host and fault.begins <= now < fault.ends:
                wanted[host.lower()], meant[host.lower()] = mode, fault
        self._write_unresolved(now)
        for name, listener in self.listeners.items():
            if listener.mode != wanted.get(name, ""):
                task = asyncio.get_running_loop().create_task(self._turn(listener, wanted.get(name, "")))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                if name in meant:
                    self._cut(name, meant[name])

    async def _turn(self, listener: Listener, mode: str) -> None:
        if mode == "blackhole" and self.workers.workers:
            # What fills the queue must not meet a worker that still listens: it would be taken for a client.
            await self.workers.sync()
            await asyncio.sleep(_SKEW)
        await listener.turn(mode)

    def _cut(self, host: str, fault: Fault) -> None:
        """What stood falls silent or is reset as the machine goes: else a pool of connections would never notice."""
        for connection in list(self.core.connections.values()):
            if connection.host == host:
                fault.matched += 1
                fault.acted += 1
                if fault.spec.mechanism.listener() == "blackhole":
                    connection.silence()
                    fault.waiting.then(connection.abort)
                else:
                    connection.abort()
