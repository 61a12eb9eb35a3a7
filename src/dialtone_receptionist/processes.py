"""The processes of the service: this one is the edge, its two children are the application.

Everything is imported before the fork, so that it is paid for once; the database is migrated meanwhile. The children
end with this process, whatever ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dialtone_receptionist.settings import Settings, SettingsError

if TYPE_CHECKING:
    import ssl

    from dialtone_receptionist.edge.server import Edge
    from dialtone_receptionist.scheduler import Scheduler

PROCESSES = 2
"""Application processes: enough to see that something is shared between instances, or is not."""

_START = 15.0  # seconds until every process has to be ready
_STOP = 1.5  # seconds for the children to end by themselves


class _Migration(threading.Thread):
    """Waits for Postgres and migrates, while the main thread imports."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.error: Exception | None = None

    def run(self) -> None:
        from dialtone_receptionist.database import migrate

        try:
            migrate(self._url)
        except Exception as error:  # noqa: BLE001  # told by the main thread, which alone can end the process
            self.error = error


def main() -> int:
    """Run until SIGTERM or SIGINT; prints `ready` when every listener accepts. The exit code: 0, or 1 at start-up."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        return _fail(str(error))
    import psycopg  # noqa: F401  # before the thread needs it: two threads importing one package wait for each other

    migration = _Migration(settings.database_url)
    migration.start()

    import httpx
    import uvloop

    from dialtone_receptionist import app, serving  # noqa: F401  # imported for the children
    from dialtone_receptionist.edge.server import Edge
    from dialtone_receptionist.scheduler import Scheduler

    context = httpx.create_ssl_context()
    try:
        edge = Edge(settings)
    except (OSError, ValueError) as error:
        return _fail(f"a listener cannot be opened: {error}")
    migration.join()
    if migration.error is not None:
        return _fail(f"the database cannot be migrated: {type(migration.error).__name__}")
    upstreams = [socket.create_server(("127.0.0.1", 0), backlog=128) for _ in range(PROCESSES)]
    gc.collect()
    gc.freeze()
    children, ready, lifeline = _fork(settings, context, upstreams, edge)
    try:
        if not _all_ready(ready, children):
            return _fail("an application process did not start")
        edge.use([sock.getsockname() for sock in upstreams])
        for sock in upstreams:
            sock.close()
        uvloop.run(_serve(edge, Scheduler(settings)))
    finally:
        _stop(children)
        os.close(lifeline)
    return 0


def _fail(why: str) -> int:
    print(f"receptionist: {why}", file=sys.stderr)
    return 1


def _fork(
    settings: Settings, context: ssl.SSLContext, upstreams: Sequence[socket.socket], edge: Edge
) -> tuple[list[int], int, int]:
    """Start the children: their ids, a pipe that each writes a byte to when it is ready, and the end of a pipe that
    nobody writes to: the children see it close when this process is gone."""
    ready_out, ready_in = os.pipe()
    life_out, life_in = os.pipe()
    parent, children = os.getpid(), []
    for upstream in upstreams:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                from dialtone_receptionist.serving import serve

                os.close(ready_out)
                os.close(life_in)
                edge.close_sockets()
                for other in upstreams:
                    if other is not upstream:
                        other.close()
                code = serve(settings, context, upstream, parent=parent, ready=ready_in, lifeline=life_out)
            finally:
                os._exit(code)
        children.append(child)
    os.close(ready_in)
    os.close(life_out)
    return children, ready_out, life_in


def _all_ready(ready: int, children: Sequence[int]) -> bool:
    """Wait until each child has written its byte; False when one ends or takes too long."""
    deadline, missing = time.monotonic() + _START, len(children)
    while missing and (left := deadline - time.monotonic()) > 0:
        if select.select([ready], [], [], left)[0]:
            got = len(os.read(ready, missing))
            if got == 0:
                break
            missing -= got
    os.close(ready)
    return missing == 0


async def _serve(edge: Edge, scheduler: Scheduler) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await edge.start()
    scheduler.start()
    print("ready", flush=True)
    await stop.wait()
    await scheduler.stop()
    await edge.stop()


def _stop(children: Sequence[int]) -> None:
    """End the children and wait for them: first politely."""
    remaining = list(children)
    for number, patience in ((signal.SIGTERM, _STOP), (signal.SIGKILL, 5.0)):
        for child in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        deadline = time.monotonic() + patience
        while remaining and time.monotonic() < deadline:
            remaining = [child for child in remaining if not _is_gone(child)]
            if remaining:
                time.sleep(0.01)


def _is_gone(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True
