"""One application process: uvicorn on a socket that it was born with."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import ssl
import sys

import uvicorn
import uvloop

from dialtone_receptionist import app
from dialtone_receptionist.settings import Settings

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # linux/prctl.h


class _Server(uvicorn.Server):
    """Says so when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: int) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as ever, then write one byte."""
        await super().startup(sockets=sockets)
        if self.started:
            os.write(self._ready, b".")
            os.close(self._ready)


def serve(
    settings: Settings, context: ssl.SSLContext, sock: socket.socket, *, parent: int, ready: int, lifeline: int
) -> int:
    """Serve until SIGTERM, or until the parent is gone; the exit code."""
    _die_with(parent)
    config = uvicorn.Config(
        app.build(settings, context),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,  # longer than the edge keeps an idle connection: it is never surprised by a closed one
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, ready)

    async def run() -> None:
        asyncio.get_running_loop().add_reader(lifeline, os._exit, 1)
        await server.serve(sockets=[sock])

    uvloop.run(run())
    return 0 if server.started else 1


def _die_with(parent: int) -> None:
    """Be killed with the parent (Linux); the lifeline does the same elsewhere, as soon as the event loop turns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
