"""Kills sessions of checks at random moments and looks for what they leave.

The controller, a session of pytest, is ended by SIGKILL at moments drawn from each phase: start (the database is
created in it), checks, teardown; with and without xdist; in every third case the sandbox's supervisor is killed at the
same time and the next command follows. Within 10 s nothing may be left: no process that the session had, no listener
of the sandbox, no folder, nothing in /dev/shm, no System V segment.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

BOUND = 10.0
PHASES = ("start", "checks", "teardown")
TEARDOWN = 0.7  # the last seconds of a session
SESSION = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


@dataclass(frozen=True, slots=True)
class Times:
    """How long an undisturbed session takes: seconds until its sandbox is healthy, seconds until its end."""

    healthy: float
    end: float

    def moment(self, phase: str, chance: random.Random) -> float:
        """A moment of the phase, in seconds after the start."""
        last = max(self.healthy, self.end - TEARDOWN)
        low, high = {"start": (0.05, self.healthy), "checks": (self.healthy, last), "teardown": (last, self.end)}[phase]
        return chance.uniform(low, high)


@dataclass
class Session:
    """A running session and what it was seen to have: processes with their start time, ports."""

    checks: list[str]
    workers: int
    runs: Path
    seen: dict[int, float] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)
    supervisors: set[int] = field(default_factory=set)
    healthy_after: float | None = None

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_"))}
        paths = [str(ROOT / "src"), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
        verdicts = self.runs.parent / "verdicts.json"
        added = {
            "DIALTONE_RUN_DIR": str(self.runs),
            "DIALTONE_VERDICTS": str(verdicts),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        self.environment = {**environment, **added}
        self.process = subprocess.Popen(
            [*SESSION, *self.checks, *(["-n", str(self.workers)] if self.workers else [])],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, seconds: float) -> None:
        """Follow it until so long after its start, or until it ends."""
        while self.process.poll() is None and time.monotonic() - self.began < seconds:
            self.look()
            time.sleep(0.01)

    def look(self) -> None:
        """Note its processes, and the ports of its sandbox."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for process in family:
            if process.pid not in self.seen:
                self._note(process)
        for state in self.runs.glob("run-*/state.json"):
            if self.healthy_after is None:
                self.healthy_after = time.monotonic() - self.began
                self.ports |= _ports(state)
        for config in self.runs.glob("run-*/standins.json"):
            self.ports |= _ports(config)

    def _note(self, process: psutil.Process) -> None:
        try:
            self.seen[process.pid] = process.create_time()
            if "dialtone.sandbox.supervisor" in process.cmdline():
                self.supervisors.add(process.pid)
        except psutil.Error:
            return

    def left(self) -> list[str]:
        """Which of its processes, listeners and folders are still there."""
        processes = [f"process {name}" for pid, created in self.seen.items() if (name := _runs(pid, created))]
        listeners = [f"port {port}" for port in sorted(self.ports) if _listens(port)]
        folders = [path.name for path in self.runs.glob("*") if path.name != ".lock"]
        return [*processes, *(f"process {name}" for name in _of_runs(self.runs)), *listeners, *folders]


def _ports(path: Path) -> set[int]:
    try:
        return set(json.loads(path.read_text())["ports"].values())
    except (OSError, ValueError, KeyError):
        return set()


def _runs(pid: int, created: float) -> str:
    try:
        process = psutil.Process(pid)
        if process.create_time() != created or process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{pid} {' '.join(process.cmdline())[:60]}"
    except psutil.Error:
        return ""


def _of_runs(runs: Path) -> list[str]:
    """Processes that were told of, or work in, this place for run folders, seen before or not."""
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ().get("DIALTONE_RUN_DIR") == str(runs)
            if process.pid != os.getpid() and (told or process.cwd().startswith(str(runs))):
                found.append(f"{process.pid} {process.name()}")
        except (psutil.Error, OSError):
            continue
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _shared_memory() -> set[str]:
    files = {f"/dev/shm/{path.name}" for path in Path("/dev/shm").glob("*")}  # noqa: S108 - looked at, not written
    table = Path("/proc/sysvipc/shm")
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    return files | {f"System V segment {line.split()[1]}" for line in lines}


def undisturbed(checks: list[str], workers: int, place: Path) -> Times:
    """Run a session to its end and see how long its phases are."""
    session = Session(checks, workers, place / "runs")
    session.watch(600)
    end = time.monotonic() - session.began
    if session.healthy_after is None:
        raise SystemExit(f"an undisturbed session started no sandbox, exit code {session.process.returncode}")
    return Times(session.healthy_after, end)


def kill(session: Session, moment: float, *, supervisor: bool) -> tuple[float, list[str]]:
    """Kill it at the moment; answers the seconds until nothing was left, and what was left after the bound."""
    before = _shared_memory()
    session.watch(moment)
    session.look()
    victims = [session.process.pid, *(session.supervisors if supervisor else ())]
    for pid in victims:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    session.process.wait()
    if supervisor:
        sweep = [sys.executable, "-m", "dialtone.sandbox", "sandbox", "sweep"]
        environment = {**session.environment, "DIALTONE_RUN_DIR": str(session.runs)}
        subprocess.run(sweep, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=BOUND)
    while True:
        left = [*session.left(), *sorted(_shared_memory() - before)]
        seconds = time.monotonic() - killed
        if not left or seconds > BOUND:
            return seconds, left
        time.sleep(0.02)


def _main() -> int:
    bench = Bench("kills", __doc__)
    bench.parser.add_argument("--seed", type=int, default=20)
    bench.parser.add_argument("checks", nargs="*", default=["checks", "--target", "sandbox"], help="what to run")
    chance = random.Random(bench.arguments.seed)  # noqa: S311 - moments that can be repeated
    place = Path(tempfile.mkdtemp(prefix="dialtone-kills-"))
    rows: list[list[object]] = []
    dirty, slowest = 0, 0.0
    phases: set[str] = set()
    try:
        times = {workers: undisturbed(bench.arguments.checks, workers, place) for workers in (0, 2)}
        for workers, t in times.items():
            print(
                f"undisturbed with {workers or 'no'} workers: healthy after {t.healthy:.1f} s, over after {t.end:.1f} s"
            )
        for number in range(3 if bench.quick else 20):
            phase, workers, supervisor = PHASES[number % 3], (0, 2)[number % 2], number % 5 == 2
            moment = times[workers].moment(phase, chance)
            session = Session(bench.arguments.checks, workers, place / f"runs-{number}")
            seconds, left = kill(session, moment, supervisor=supervisor)
            victims = "controller, supervisor" if supervisor else "controller"
            rows.append([number + 1, phase, workers, moment, victims, seconds, ", ".join(left) or "nothing"])
            dirty, slowest, phases = dirty + bool(left), max(slowest, seconds), phases | {phase}
    finally:
        shutil.rmtree(place, ignore_errors=True)
    bench.rows(["#", "phase", "-n", "killed at, s", "killed", "clean after, s", f"left after {BOUND:.0f} s"], rows)
    bench.bar("kills that left something", dirty, "kills", most=0)
    bench.bar("phases in which a session was killed", len(phases), "phases", least=3)
    bench.bar("slowest end", slowest, "s", most=BOUND)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
