"""Kills controllers and interceptors at random moments and looks for what they leave.

A controller puts a fault and renews it; it is ended by SIGKILL at a random moment, and the interceptor has to answer as
if nothing had been, within the fault's time-to-live. An interceptor under load is ended by SIGKILL; every client's
connection has to end, and the next interceptor on the same ports has to start and to be clean.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import Bench
from bench.interceptor import TOKEN, free_port
from bench.interceptor_soak import UPSTREAM

TTL = 0.5
CONTROLLER = f"""
import sys, time
from dialtone.interceptor.client import Controller
controller = Controller(sys.argv[1], {TOKEN!r}, ttl={TTL})
controller.put("status", status=503)
controller.put("hang", match={{"path": "/hang"}})
print("put", flush=True)
time.sleep(60)
"""


class Life:
    """One interceptor at a time, always on the same ports, and an upstream behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.control = folder, free_port(), free_port()
        upstream = free_port()
        self.upstream = subprocess.Popen([sys.executable, "-c", UPSTREAM, str(upstream)], stdout=subprocess.PIPE)
        assert self.upstream.stdout is not None
        self.upstream.stdout.readline()
        self.settings = folder / "settings.json"
        listen = f"127.0.0.1:{self.port}"
        hosts = {"api.test": {"upstream": f"http://127.0.0.1:{upstream}", "listen": listen}}
        self.settings.write_text(json.dumps({"hosts": hosts, "control": f"127.0.0.1:{self.control}"}))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start an interceptor; seconds until it says where it listens."""
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dialtone.interceptor", str(self.settings)],
            stdout=subprocess.PIPE, env={**os.environ, "DIALTONE_INTERCEPTOR_TOKEN": TOKEN},
        )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("the interceptor did not start again on its ports")
        return time.monotonic() - begin

    def kill(self) -> None:
        """End it without a chance to do anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def status(self, path: str = "/") -> int:
        """One request; 0 when there is no answer."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            client.request("GET", path)
            return client.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            client.close()


def controllers(life: Life, number: int, chance: random.Random) -> tuple[list[float], int]:
    """Kill so many controllers; seconds until each of their faults was gone, and how many clients hung."""
    gone, hung = [], 0
    for _ in range(number):
        process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLER, f"http://127.0.0.1:{life.control}"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        waiting = threading.Thread(target=life.status, args=("/hang",))
        waiting.start()
        time.sleep(chance.uniform(0, 1.2 * TTL))
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait()
        while life.status() != 200 and time.monotonic() - killed < 10:
            time.sleep(0.005)
        gone.append(time.monotonic() - killed)
        waiting.join(5)
        hung += waiting.is_alive()
    return gone, hung


def interceptors(life: Life, number: int, chance: random.Random) -> tuple[list[float], int, int]:
    """Kill so many interceptors under load; seconds of each start, clients that hung, starts that were not clean."""
    starts, hung, unclean = [], 0, 0
    for _ in range(number):
        client = http.client.HTTPConnection("127.0.0.1", life.control, timeout=5)
        plan = {"faults": [{"fault": "latency", "seconds": 30, "ttl": 60, "match": {"path": "/slow"}}]}
        client.request("POST", "/faults", json.dumps(plan), {"Authorization": f"Bearer {TOKEN}"})
        client.getresponse().read()
        client.close()
        threads = [threading.Thread(target=life.status, args=(path,)) for path in ["/slow"] * 5 + ["/"] * 5]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0, 0.2))
        life.kill()
        for thread in threads:
            thread.join(5)
            hung += thread.is_alive()
        starts.append(life.start())
        unclean += life.status("/slow") != 200
    return starts, hung, unclean


def main() -> int:
    """Both kinds of kills."""
    bench = Bench("interceptor_kills", __doc__)
    bench.parser.add_argument("--seed", type=int, default=1)
    first, second = (5, 3) if bench.quick else (100, 50)
    chance = random.Random(bench.arguments.seed)  # noqa: S311 - meant to repeat
    with tempfile.TemporaryDirectory(prefix="dialtone-kills-") as name:
        life = Life(Path(name))
        try:
            life.start()
            gone, hung = controllers(life, first, chance)
            starts, stuck, unclean = interceptors(life, second, chance)
        finally:
            life.kill()
            life.upstream.terminate()
            life.upstream.wait()
    bench.rows(
        ["killed", "number", "slowest, s"], [["controller", first, max(gone)], ["interceptor", second, max(starts)]]
    )
    outlived = sum(seconds > TTL + 0.2 for seconds in gone)
    bench.bar("faults that outlived their time-to-live", outlived, "faults", most=0)
    bench.bar("clients that hung", hung + stuck, "clients", most=0)
    bench.bar("starts that were not clean", unclean, "starts", most=0)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
