"""`python -m dialtone.standins --config FILE`: serve until SIGTERM, or until stdin ends with `--until-eof`."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from dialtone.standins.config import Config, ConfigError, load
from dialtone.standins.control import Control
from dialtone.standins.defects import Switches
from dialtone.standins.exchange import Exchange
from dialtone.standins.faults import Faults
from dialtone.standins.journal import Journal
from dialtone.standins.mail import smtp
from dialtone.standins.providers import stand_ins
from dialtone.standins.rotations import Rotations
from dialtone.standins.server import Application, bind, serve
from dialtone.standins.standin import StandIn
from dialtone.standins.state import Clock

_PR_SET_PDEATHSIG = 1


async def run(config: Config, *, until_eof: bool) -> None:
    """Serve what the configuration names, print `ready` when every port accepts, return when told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = Clock()
    by_name: Mapping[str, StandIn] = stand_ins(config, Switches(config.defects_file), clock)
    journal = Journal(clock, config.hidden())
    faults = Faults(clock, frozenset(by_name) | {"mail"})
    rotations = Rotations()
    exchange = Exchange(journal, faults, rotations)
    control = Control(journal, faults, config.secrets["journal_token"], rotations)
    sockets = {name: bind(port) for name, port in config.ports.items()}
    mail = sockets.pop("smtp", None)
    at_port = {listener.getsockname()[1]: by_name.get(name, control) for name, listener in sockets.items()}
    serving = await serve(Application(at_port, exchange), list(sockets.values()))
    mailing = await loop.create_server(lambda: smtp(exchange, loop), sock=mail) if mail else None
    if until_eof:
        loop.add_reader(sys.stdin, lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    print("ready", flush=True)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((stopped, serving), return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()
    await asyncio.wait((serving,), timeout=0.5)
    if mailing:
        mailing.close()
    for standin in by_name.values():
        standin.close()


def main() -> int:
    """Exit code 0 after a stop that was asked for, 2 for a configuration or a port that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m dialtone.standins", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file: ports, secrets, defects_file, app_url")
    parser.add_argument("--until-eof", action="store_true", help="stop when stdin ends")
    arguments = parser.parse_args()
    if sys.platform == "linux":  # end with the parent, however that ends
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        config = load(arguments.config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run(config, until_eof=arguments.until_eof))
    except (ConfigError, OSError) as error:
        print(f"stand-ins: {error}", file=sys.stderr)
        return 2
    return 0


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed: a request costs about a quarter less CPU than on the standard one."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return factory


if __name__ == "__main__":
    sys.exit(main())
