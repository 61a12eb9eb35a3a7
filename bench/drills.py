"""Drills in a row on busy cores, and drills that are killed.

The short drill is run again and again while every core is kept busy, then the full one: no experiment may change its
verdict, and all have to pass. Then a short drill is ended by SIGKILL, at moments drawn over its whole length: within
the time-to-live of a fault nothing may act any more, and no process, listener or folder of it may be left.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench
from bench.kills import _listens, _of_runs, _ports, _runs

TTL = 10.0
"""Seconds that a fault lives at most without its controller (`interceptor.plan.Spec.ttl`); experiments put 5."""
SHORT, FULL = 120.0, 480.0
HOSTS_WITHOUT = {"sandbox.supabase.co"}
"""Hosts that the receptionist never calls: it speaks to Postgres itself."""


def command(build: Path, scope: str, *more: str) -> list[str]:
    """The command of a drill."""
    return [sys.executable, "-m", "dialtone.cli", "drill", "--scope", scope, "--build", str(build), *more]


def drill(build: Path, scope: str) -> tuple[dict[str, Any], float]:
    """Run one; its document and its seconds."""
    began = time.monotonic()
    done = subprocess.run(command(build, scope), cwd=ROOT, check=False, capture_output=True, text=True)
    path = build / "drill.json"
    if not path.exists():
        raise SystemExit(f"a drill left no document, exit code {done.returncode}: {done.stderr[-800:]}")
    told: dict[str, Any] = json.loads(path.read_text())
    return told, time.monotonic() - began


@contextlib.contextmanager
def busy(cores: int) -> Iterator[None]:
    """Keep cores busy."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def in_a_row(bench: Bench, times: int, *, full: bool) -> None:
    """So many short drills, and a full one."""
    verdicts: dict[str, set[str]] = {}
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory(prefix="dialtone-drills-") as place, busy(os.cpu_count() or 1):
        for number in range(1, times + 1):
            told, seconds = drill(Path(place), "smoke")
            rows.append(_row(f"short {number}", told, seconds, verdicts))
    bench.rows(["drill", "pass", "fail", "inconclusive", "s"], rows)
    bench.bar("experiments of the short drill", len(verdicts), "experiments", least=12)
    bench.bar("slowest short drill", max(row[-1] for row in rows), "s", most=SHORT)
    if full:
        with tempfile.TemporaryDirectory(prefix="dialtone-drills-") as place:
            told, seconds = drill(Path(place), "full")
        bench.rows(["drill", "pass", "fail", "inconclusive", "s"], [_row("full", told, seconds, verdicts)])
        bench.bar("experiments of the full drill", len(told["experiments"]), "experiments", least=40)
        bench.bar("full drill", seconds, "s", most=FULL)
        hosts = {host for e in told["experiments"] for host in e.get("hosts", [])} - HOSTS_WITHOUT
        few = sorted(host for host in hosts if told["matrix"]["classes"].get(host, 0) < 2)
        print(f"hosts with less than two classes of fault: {', '.join(few) or 'none'}")
        bench.bar("hosts with less than two classes of fault", len(few), "hosts", most=0)
    changed = sorted(name for name, seen in verdicts.items() if len(seen) > 1)
    bad = sorted(name for name, seen in verdicts.items() if seen != {"pass"})
    print(f"changed: {', '.join(changed) or 'none'}; not passed: {', '.join(bad) or 'none'}")
    bench.bar("verdicts that changed", len(changed), "experiments", most=0)
    bench.bar("experiments that did not pass", len(bad), "experiments", most=0)


def _row(name: str, told: dict[str, Any], seconds: float, verdicts: dict[str, set[str]]) -> list[Any]:
    for experiment in told["experiments"]:
        verdicts.setdefault(str(experiment["id"]), set()).add(str(experiment["verdict"]))
    counts = told["verdicts"]
    row: list[Any] = [name, counts["pass"], counts["fail"], counts["inconclusive"], round(seconds, 1)]
    return row


class Victim:
    """A drill that will be killed, and what it was seen to have."""

    def __init__(self, place: Path) -> None:
        self.runs = place / "runs"
        self.seen: dict[int, float] = {}
        self.ports: set[int] = set()
        self.faulted = False
        self.process = subprocess.Popen(
            command(place / "build", "smoke"),
            cwd=ROOT,
            env={**os.environ, "DIALTONE_RUN_DIR": str(self.runs)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def live(self, seconds: float) -> bool:
        """Let it go on for so long; whether it is still there then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            self.look()
            time.sleep(0.05)
        return self.process.poll() is None

    def look(self) -> None:
        """Note its processes, ports, and whether a fault was ever put."""
        for process in _family(self.process.pid):
            with contextlib.suppress(psutil.Error):
                self.seen.setdefault(process.pid, process.create_time())
        # Of the sandboxes that are there: a port of one that ended before may be anybody's by now.
        self.ports = set().union(*(_ports(folder / "state.json") for folder in self.runs.glob("run-*")))
        for folder in self.runs.glob("run-*"):
            with contextlib.suppress(OSError):
                self.faulted |= '"kind":"fault begins"' in (folder / "interceptor/journal.jsonl").read_text()

    def kill(self) -> float:
        """SIGKILL; seconds until nothing of it is left, at most twice the time-to-live."""
        self.look()
        os.kill(self.process.pid, signal.SIGKILL)
        killed = time.monotonic()
        self.process.wait()
        while self.left() and time.monotonic() - killed < 2 * TTL:
            time.sleep(0.1)
        return time.monotonic() - killed

    def left(self) -> list[str]:
        """What is still there."""
        processes = [name for pid, created in self.seen.items() if (name := _runs(pid, created))]
        ports = [f"port {port}" for port in sorted(self.ports) if _listens(port)]
        folders = [path.name for path in self.runs.glob("*") if path.name != ".lock"] if self.runs.exists() else []
        return [*processes, *_of_runs(self.runs), *ports, *folders]


def _family(pid: int) -> Any:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def kills(bench: Bench, number: int, at_once: int, chance: random.Random) -> None:
    """Kill so many drills, some at a time; each has folders and processes of its own."""
    with tempfile.TemporaryDirectory(prefix="dialtone-drills-") as place, ThreadPoolExecutor(at_once) as pool:
        began = time.monotonic()
        undisturbed = Victim(Path(place) / "undisturbed")
        try:
            while undisturbed.live(1.0):
                pass
        except BaseException:
            undisturbed.kill()
            raise
        length = time.monotonic() - began
        moments = [chance.uniform(0, length) for _ in range(number)]
        places = [Path(place) / str(one) for one in range(number)]
        gone, left, faulted = zip(*pool.map(_killed, places, moments), strict=True)
    print(f"{number} drills of {length:.0f} s killed, {sum(faulted)} after a fault was put")
    bench.bar("slowest end of everything", round(max(gone), 2), "s", most=TTL)
    bench.bar("killed drills that left something", sum(map(bool, left)), "drills", most=0)
    if not bench.quick:  # a few moments may all be before the first fault
        bench.bar("killed drills that had put a fault", sum(faulted), "drills", least=1)


def _killed(place: Path, moment: float) -> tuple[float, list[str], bool]:
    """Kill one; seconds until all of it was gone, what was left, whether it had put a fault."""
    victim = Victim(place)
    try:
        while not victim.live(moment):  # it was over before: earlier in the next one
            place, moment = place.with_name(f"{place.name}-again"), moment * 0.9
            victim = Victim(place)
    finally:
        seconds, rest = victim.kill(), victim.left()
    if rest:
        print(f"left by {place.name}: {'; '.join(rest[:5])}")
    return seconds, rest, victim.faulted


def main() -> int:
    bench = Bench("drills", __doc__)
    bench.parser.add_argument("--kills", type=int, help="how many drills are killed (100; quick: 3)")
    bench.parser.add_argument("--at-once", type=int, default=3, help="drills that run side by side to be killed (3)")
    bench.parser.add_argument("--rows", type=int, help="how many short drills in a row (10; quick: 2)")
    bench.parser.add_argument("--only", choices=["rows", "kills"], help="one half of it")
    bench.parser.add_argument("--seed", type=int, default=8, help="of the moments (default: 8)")
    quick, args = bench.quick, bench.arguments
    if args.only:
        bench.name += f"-{args.only}"  # beside the bars of the whole, not over them
    if args.only != "kills":
        in_a_row(bench, (2 if quick else 10) if args.rows is None else args.rows, full=not quick)
    if args.only != "rows":
        number = (3 if quick else 100) if args.kills is None else args.kills
        kills(bench, number, args.at_once, random.Random(args.seed))  # noqa: S311 - moments that can be repeated
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
