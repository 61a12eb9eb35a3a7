"""The process: reads its settings, runs until it is told to end, and says where it listens."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
from collections.abc import Callable

from dialtone.interceptor.server import TOKEN_VARIABLE, Interceptor
from dialtone.interceptor.settings import Settings


def run(settings: Settings, *, allow_open: bool = False, until_eof: bool = False) -> None:
    """Run until SIGTERM or SIGINT, and with `until_eof` until standard input ends. Raises BadSettingsError."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, allow_open, until_eof))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(settings: Settings, allow_open: bool, until_eof: bool) -> None:
    interceptor = Interceptor(settings, token=os.environ.get(TOKEN_VARIABLE), allow_open=allow_open)
    await interceptor.start()
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if until_eof:
        loop.add_reader(0, _read_rest, loop, end)
    settled()
    print(json.dumps(interceptor.state()), flush=True)
    await end.wait()
    await interceptor.close()


def settled() -> None:
    """What is here by now stays; the journal's lines are no cycles, so looking for those among them can wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _read_rest(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        if os.read(0, 65536):
            return
    loop.remove_reader(0)
    end.set()
