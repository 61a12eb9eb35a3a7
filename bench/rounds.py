"""Whether rounds begin at their moments: 25 simulated minutes, then real ones on busy cores.

Simulated: the clock is injected; checks are quick, slow, slower than the interval, or hang until they are ended. Every
round has to begin exactly at its moment, and every moment to be told once, run or missed.

Real: `pytest --every 5s --for 5m` with a dozen checks against a small server on loopback, while other processes keep
the cores busy; how late each round began, by its own record.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import Bench

from dialtone.watch import Round, rounds

SEEDS = (20261, 20262, 20263)
LIMIT = 300.0
PROFILE = """
[target.preview]
kind = "preview"
base_url = "http://127.0.0.1:{port}"
witnesses = ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}"]
"""
CHECKS = """
import pytest
from dialtone import check, expect

@pytest.mark.parametrize("n", range(12))
@check(runbook="x")
def test_page(http, n):
    expect(http.get(f"/{n}")).status(200)
"""


def simulated(seed: int) -> list[Round]:
    """25 minutes of one round a minute: of ten rounds six are quick, two slow, one overlong, one hangs."""
    chance = random.Random(seed)  # noqa: S311 - rounds that can be repeated
    now = [chance.uniform(0, 1e6)]

    def run(_: Round) -> int:
        kind = chance.random()
        quick, slow, overlong = chance.uniform(5, 20), chance.uniform(40, 59), chance.uniform(61, 200)
        now[0] += quick if kind < 0.6 else slow if kind < 0.8 else overlong if kind < 0.9 else LIMIT
        return 0

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return list(rounds(60.0, 1500.0, run, clock=lambda: now[0], sleep=sleep))


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Every page is there."""
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""


def real(every: str, total: str, burners: int) -> tuple[list[dict[str, object]], str]:
    """Real rounds; what their record says, and the load at the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(burners)]
    try:
        with tempfile.TemporaryDirectory(prefix="dialtone-rounds-") as name:
            folder = Path(name)
            (folder / "dialtone.toml").write_text(PROFILE.format(port=server.server_address[1]))
            (folder / "test_pages.py").write_text(CHECKS)
            plain = {k: v for k, v in os.environ.items() if not k.startswith("DIALTONE_")}
            command = [sys.executable, "-m", "pytest", "-q", "--target", "preview", "--every", every, "--for", total]
            done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=False)
            if done.returncode not in (0, 17):
                raise SystemExit(f"rounds ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            document = json.loads((folder / "build/rounds.json").read_text())
            judged = len(json.loads((folder / "build/verdicts.json").read_text())["checks"])
            if judged != 12:
                raise SystemExit(f"{judged} checks instead of 12")
    finally:
        for process in burning:
            process.kill()
            process.wait()
        server.shutdown()
        server.server_close()
    return document["rounds"], ", ".join(f"{load:.1f}" for load in os.getloadavg())


def main() -> int:
    """Both parts."""
    bench = Bench("rounds", __doc__)
    bench.parser.add_argument("--burn", type=int, default=os.cpu_count() or 2, help="processes that keep cores busy")
    rows, drift, untold = [], 0.0, 0
    for seed in SEEDS:
        done = simulated(seed)
        ran = [of for of in done if of.started is not None]
        off = max(abs(of.late) for of in ran)
        drift = max(drift, off)
        untold += abs(len(done) - 25) + sum(of.number != n for n, of in enumerate(done))
        rows.append([seed, len(ran), len(done) - len(ran), f"{off * 1e9:.3f}"])
    print("25 simulated minutes, one round a minute")
    bench.rows(["seed", "run", "missed", "largest deviation, ns"], rows)
    bench.bar("moments that were not told, or twice", untold, "rounds", most=0)
    bench.bar("largest deviation from a moment, simulated", round(drift * 1e6, 3), "simulated us", most=0.001)
    told, load = real("5s", "20s" if bench.quick else "5m", bench.arguments.burn)
    late = [1000 * (float(str(of["started"])) - float(str(of["due"]))) for of in told if of["started"] is not None]
    print(f"\nrounds of 12 checks every 5 s, {bench.arguments.burn} processes burn; load {load}")
    lines = [
        [of["number"], of["due"], "missed" if of["started"] is None else f"{late_of(of):.1f}", took(of)] for of in told
    ]
    bench.rows(["round", "due, s", "late, ms", "took, s"], lines)
    bench.bar("rounds that are told", len(told), "rounds", least=4 if bench.quick else 60)
    bench.bar("median lateness", statistics.median(late), "ms", most=50)
    bench.bar("largest lateness", max(late), "ms", most=1000)
    half = len(late) // 2
    drifted = statistics.median(late[half:]) - statistics.median(late[:half])
    bench.bar("drift: median of the second half less that of the first", drifted, "ms", most=20)
    return bench.finish()


def late_of(of: dict[str, object]) -> float:
    """Milliseconds after its moment."""
    return 1000 * (float(str(of["started"])) - float(str(of["due"])))


def took(of: dict[str, object]) -> str:
    """Seconds that a round took."""
    return "" if of["ended"] is None else f"{float(str(of['ended'])) - float(str(of['started'])):.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
