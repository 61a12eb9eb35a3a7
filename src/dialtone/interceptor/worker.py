"""`python -m dialtone.interceptor.worker`: a further process of an interceptor; only `workers` starts it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from dialtone.interceptor.plan import parse
from dialtone.interceptor.run import loop_factory, settled
from dialtone.interceptor.server import Interceptor
from dialtone.interceptor.settings import unplain
from dialtone.interceptor.tls import Authority

_REPORT = 0.05
_MOST = 2**24
"""Bytes that wait for the owner; journal lines beyond that are dropped."""


class _Wire:
    """Standard output: journal lines as they are, everything else behind a `!`."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.dropped = 0

    def write(self, lines: bytes) -> None:
        """Lines of the journal."""
        if self._transport.get_write_buffer_size() < _MOST:
            self._transport.write(lines)
        else:
            self.dropped += lines.count(b"\n")

    def say(self, told: dict[str, Any]) -> None:
        """A word to the owner."""
        self._transport.write(b"!" + json.dumps(told).encode() + b"\n")

    def close(self) -> None:
        """The process ends; so does its output."""


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    given = json.loads(await reader.readline())
    interceptor = Interceptor(
        unplain(given["settings"]),
        allow_open=True,
        authority=Authority.of(*given["authority"]),
        process=given["process"],
    )
    await interceptor.start()
    board, journal = interceptor.core.board, interceptor.core.journal
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
    wire = _Wire(transport)
    journal.to(wire)
    last: dict[str, Any] = {}

    def report(**more: int) -> None:
        nonlocal last
        journal.flush()
        if wire.dropped:
            lost, wire.dropped = wire.dropped, 0
            journal.event("dropped", by="ours", why=f"{lost} lines: the owner of the journal does not keep up")
        told = {
            "counts": {fault.order: (fault.matched, fault.acted) for fault in board.by_order.values() if fault.matched},
            "arrived": interceptor.core.arrived.copy(), "connections": len(interceptor.core.connections),
        }  # fmt: skip
        if more or told != last:
            wire.say({**told, **more})
            last = told

    def take(faults: list[dict[str, Any]]) -> None:
        for one in faults:
            board.put(parse({"faults": [one["fault"]]}), order=one["order"], age=one["age"])

    async def reports() -> None:
        while True:
            await asyncio.sleep(_REPORT)
            report()

    take(given["faults"])
    transport.write(b"!ready\n")
    beside = loop.create_task(reports())
    while line := await reader.readline():
        told = json.loads(line)
        take(told.get("put", []))
        if "renew" in told:
            board.renew(told["renew"])
        if "end" in told:
            board.end(told["end"], told["why"])
        await interceptor.turned()
        report(done=told["number"])
    beside.cancel()
    await interceptor.close()


def main() -> None:
    """Until standard input ends."""
    os.umask(0o077)
    settled()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
