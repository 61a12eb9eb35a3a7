"""Whether an interceptor's memory stays flat under load, with faults coming and going, and with many idle connections.

Full length 30 minutes, `--minutes N` shorter, quick 20 seconds. Clients keep a connection for ten requests of ever new
paths, at `--rate` requests a second together; every tenth request breaks off. A number of idle connections
is held beside the load. The slope of resident memory after the first third is fitted through means of twenty stretches
(samples one after the other are not independent, such means nearly are); all of its 95 % interval has to stay below
where 30 minutes add 5 MB.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import math
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import Bench
from bench.interceptor import TOKEN, free_port

FAULTS: list[dict[str, object]] = [
    {"fault": "latency", "seconds": 0.02, "jitter": 0.01},
    {"fault": "reset", "after": 40},
    {"fault": "truncate"},
    {"fault": "status", "status": 503},
    {"fault": "corrupt"},
    {"fault": "stale"},
    {"fault": "mixed-up"},
    {"fault": "in-doubt"},
    {"fault": "slice", "size": 300, "gap": 0.001},
    {"fault": "freeze", "after": 10},
]
CLIENTS = 24
UPSTREAM = """
import asyncio, sys
BODY = b"HTTP/1.1 200 OK\\r\\ncontent-length: 2000\\r\\n\\r\\n" + b"x" * 2000
class Upstream(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(BODY * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", int(sys.argv[1]))
    print("up", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def client(port: int, end: threading.Event, chance: random.Random, pause: float, counts: dict[str, int]) -> None:
    """Requests of ever new paths; failures are what faults are for."""
    for number in itertools.count():
        if end.wait(pause * chance.uniform(0.5, 1.5)):
            return
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
                for _ in range(10):
                    sock.sendall(
                        b"GET /v1/%d?q=%d HTTP/1.1\r\nHost: api.test\r\n\r\n" % (chance.randrange(10**9), number)
                    )
                    if not chance.randrange(10):
                        break
                    data = sock.recv(65536)
                    while data and not data.endswith(b"x") and (piece := sock.recv(65536)):
                        data = piece
                    counts["done"] += 1
                    if not data or end.wait(pause * chance.uniform(0.5, 1.5)):
                        break
        except OSError:
            counts["failed"] += 1


def controller(control: int, end: threading.Event, chance: random.Random, counts: dict[str, int]) -> None:
    """A fault comes, others go by their time-to-live."""
    while not end.wait(0.1):
        fault = {
            **chance.choice(FAULTS),
            "match": {"share": 0.3},
            "ttl": chance.uniform(0.1, 2),
            "id": f"f{chance.random()}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", control, timeout=30)
        try:
            connection.request("POST", "/faults", json.dumps({"faults": [fault]}), {"Authorization": f"Bearer {TOKEN}"})
            counts["faults"] += connection.getresponse().status == 201
        except OSError:
            counts["silent"] += 1
        finally:
            connection.close()


STRETCHES = 20
_T = 2.101
"""Student's t, 97.5 %, 18 degrees of freedom."""


def slope(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares through the means of twenty stretches: the slope and half the width of its 95 % interval."""
    size = len(points) // STRETCHES
    parts = [points[n * size : (n + 1) * size] for n in range(STRETCHES)]
    means = [(statistics.fmean(x for x, _ in part), statistics.fmean(y for _, y in part)) for part in parts]
    mx, my = statistics.fmean(x for x, _ in means), statistics.fmean(y for _, y in means)
    sxx = sum((x - mx) ** 2 for x, _ in means)
    found = sum((x - mx) * (y - my) for x, y in means) / sxx
    rest = sum((y - my - found * (x - mx)) ** 2 for x, y in means) / (STRETCHES - 2)
    return found, _T * math.sqrt(rest / sxx)


def main() -> int:
    """Load, faults, idle connections, and a line through the memory."""
    bench = Bench("interceptor_soak", __doc__)
    bench.parser.add_argument("--minutes", type=float, default=30, help="instead of 30; what it adds is told for 30")
    bench.parser.add_argument("--rate", type=float, default=200, help="requests a second (200)")
    bench.parser.add_argument("--idle", type=int, default=10_000, help="idle connections (10,000)")
    seconds = 20.0 if bench.quick else bench.arguments.minutes * 60
    idle = 200 if bench.quick else bench.arguments.idle
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, idle + 1_000)), hard))
    if idle > (most := resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500):
        print(f"{most} idle connections: this process may open no more files", file=sys.stderr)
        idle = most
    port, control, upstream = free_port(), free_port(), free_port()
    end, counts = threading.Event(), {"done": 0, "failed": 0, "faults": 0, "silent": 0}
    with tempfile.TemporaryDirectory(prefix="dialtone-soak-") as name, contextlib.ExitStack() as stack:
        settings = Path(name) / "settings.json"
        host = {"upstream": f"http://127.0.0.1:{upstream}", "listen": f"127.0.0.1:{port}"}
        journal = str(Path(name) / "journal.jsonl")
        settings.write_text(
            json.dumps({"hosts": {"api.test": host}, "control": f"127.0.0.1:{control}", "journal": journal})
        )
        commands = [
            [sys.executable, "-c", UPSTREAM, str(upstream)],
            [sys.executable, "-m", "dialtone.interceptor", str(settings)],
        ]
        env = {**os.environ, "DIALTONE_INTERCEPTOR_TOKEN": TOKEN}
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=env) for command in commands]
        for process in processes:
            stack.callback(process.wait)
            stack.callback(process.terminate)
        stack.callback(end.set)
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        watched = psutil.Process(processes[1].pid)
        empty = watched.memory_info().rss
        idlers = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(idle)]
        time.sleep(0.5)
        each = (watched.memory_info().rss - empty) / idle
        chance = random.Random(1)  # noqa: S311 - meant to repeat
        threads = [threading.Thread(target=controller, args=(control, end, chance, counts))]
        pause = CLIENTS / bench.arguments.rate
        threads += [
            threading.Thread(target=client, args=(port, end, random.Random(n), pause, counts))  # noqa: S311
            for n in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        points, begin = [], time.monotonic()
        while (at := time.monotonic() - begin) < seconds:
            points.append((at, watched.memory_info().rss / 1e6))
            if sys.stderr.isatty() and len(points) % 20 == 0:
                told = f"\r{at / 60:.1f} min, {points[-1][1]:.1f} MB, {counts['done']} requests "
                print(told, end="", file=sys.stderr)
            time.sleep(seconds / 600)
        end.set()
        for thread in threads:
            thread.join(40)
        hung = sum(thread.is_alive() for thread in threads)
        for sock in idlers:
            sock.close()
        time.sleep(1)
        left = sum(one.status != "LISTEN" for one in watched.net_connections())
    found, half = slope([p for p in points if p[0] > seconds / 3])
    bench.rows(
        ["requests", "failed", "faults", "first, MB", "last, MB", "slope, MB in 30 min", "+/- (95 %)"],
        [[counts["done"], counts["failed"], counts["faults"], points[0][1], points[-1][1], found * 1800, half * 1800]],
    )
    if not bench.quick:  # a minute of warming up is most of a quick run
        bench.bar("most growth that is possible in 30 min", (found + half) * 1800, "MB", most=5)
    bench.bar("memory of an idle connection", each / 1000, "kB", most=20)
    bench.bar("memory gained in the run", points[-1][1] - points[len(points) // 3][1], "MB", most=20)
    bench.bar("faults that the control API was silent about", counts["silent"], "faults", most=0)
    bench.bar("clients that hung", hung, "clients", most=0)
    bench.bar("connections left", left, "connections", most=0)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
