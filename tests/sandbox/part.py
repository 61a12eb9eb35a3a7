"""A stand-in for the sandbox's own parts in these tests: listens where it is told to, says `ready`, can misbehave.

python part.py [MISBEHAVIOUR] [--config FILE]
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn


def _ports() -> list[int]:
    if "--config" in sys.argv:
        return list(json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())["ports"].values())
    return [int(os.environ[name]) for name in ("PORT", "TLS_PORT", "PLAIN_PORT")]


def _main() -> NoReturn:
    misbehaviour = sys.argv[1] if len(sys.argv) > 1 else ""
    if misbehaviour == "dies":
        sys.exit(f"cannot reach {os.environ['DATABASE_URL']} with {os.environ['STRIPE_SECRET_KEY']}")
    if misbehaviour == "finds-its-port-taken-once":
        marker = Path.cwd() / "tried"
        if not marker.exists():
            marker.touch()
            sys.exit("OSError: [Errno 98] Address already in use")
    stubborn = misbehaviour == "has-a-stubborn-child"
    signal.signal(signal.SIGTERM, (lambda *_: None) if stubborn else (lambda *_: sys.exit(0)))
    if stubborn and os.fork() == 0:
        while True:
            signal.pause()
    listeners = [socket.create_server(("127.0.0.1", port)) for port in _ports()]
    os.write(1, b"ready\n")
    while True:
        signal.pause()
        assert listeners


if __name__ == "__main__":
    _main()
