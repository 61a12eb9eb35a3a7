"""Kills sessions of checks at random moments and looks for what they leave.

The controller, a session of pytest, is ended by SIGKILL at moments drawn from each phase: start, creation of the
database, checks, teardown; with and without xdist; in every fifth case the sandbox's supervisor is killed at the same
time and the next command follows. A phase is recognised by what it leaves on disk, so that a busy machine does not
shift the moments; a session that was over before its moment does not count and is repeated. Within 10 s nothing may be
left: no process that the session had, no listener of the sandbox, no folder, nothing in /dev/shm, no System V segment.
"""

from __future__ import annotations

import itertools
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
PHASES = ("start", "database", "checks", "teardown")
ATTEMPTS = 3
LOOK_EVERY = 0.02  # one look reads all of /proc: more often, and the watcher keeps a core of its own busy
SESSION = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that the phases of an undisturbed session take."""

    start: float
    database: float
    checks: float
    teardown: float

    def wait(self, phase: str, chance: random.Random) -> float:
        """A moment of the phase, in seconds after its beginning."""
        return chance.uniform(0.0, float(getattr(self, phase)))


@dataclass
class Session:
    """A running session and what it was seen to have: processes with their start time, ports."""

    checks: list[str]
    workers: int
    runs: Path
    seen: dict[int, float] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)
    supervisors: set[int] = field(default_factory=set)
    parts: list[psutil.Process] = field(default_factory=list)
    reached: dict[str, float] = field(default_factory=dict)

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

    def watch(self, phase: str = "", seconds: float = 0.0) -> bool:
        """Follow it until so long after the beginning of the phase, or to its end; whether it still runs then."""
        while self.process.poll() is None:
            self.look()
            since = self.reached.get(phase)
            if since is not None and time.monotonic() - since >= seconds:
                return True
            time.sleep(LOOK_EVERY)
        return False

    def look(self) -> None:
        """Note its processes, the ports of its sandbox, and which phase it has reached."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for process in family:
            if process.pid not in self.seen:
                self._note(process)
        self._reach("start")
        for folder in self.runs.glob("run-*"):
            self.ports |= _ports(folder / "standins.json")
            if (folder / "postgres").exists():
                self._reach("database")
            if not self.parts and (folder / "state.json").exists():
                self.ports |= _ports(folder / "state.json")
                self.parts = _parts(folder / "processes.json")
                self._reach("checks")
        if self.parts and not all(map(_lives, self.parts)):
            self._reach("teardown")

    def _reach(self, phase: str) -> None:
        self.reached.setdefault(phase, time.monotonic())

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


def _parts(path: Path) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid) for pid, _ in json.loads(path.read_text()).values()]
    except (OSError, ValueError, psutil.NoSuchProcess):
        return []


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


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
    session.watch()
    began = [session.reached.get(phase) for phase in PHASES]
    if None in began:
        raise SystemExit(f"an undisturbed session lacks phases, exit code {session.process.returncode}: {began}")
    instants = [instant for instant in [*began, time.monotonic()] if instant is not None]
    return Times(*(later - earlier for earlier, later in itertools.pairwise(instants)))


def kill(session: Session, *, supervisor: bool) -> str:
    """Kill it now, and its supervisor if it has one and that was asked for; answers who was killed alive."""
    session.look()
    both = False
    session.process.kill()
    for pid in session.supervisors if supervisor else ():
        try:
            os.kill(pid, signal.SIGKILL)
            both = True
        except ProcessLookupError:
            continue
    if session.process.wait() != -signal.SIGKILL:
        return ""
    return "both" if both else "controller"


def cleared(session: Session, before: set[str], *, sweep: bool) -> tuple[float, list[str]]:
    """The seconds until nothing was left, and what was left after the bound."""
    killed = time.monotonic()
    if sweep:
        command = [sys.executable, "-m", "dialtone.sandbox", "sandbox", "sweep"]
        subprocess.run(command, env=session.environment, check=True, stdout=subprocess.DEVNULL, timeout=BOUND)
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
    planned = [(PHASES[n % 4], (0, 2)[n // 4 % 2], n % 5 == 1) for n in range(4 if bench.quick else 20)]
    try:
        needed = sorted({workers for _, workers, _ in planned})
        times = {workers: undisturbed(bench.arguments.checks, workers, place) for workers in needed}
        for workers, t in times.items():
            phases = ", ".join(f"{phase} {getattr(t, phase):.2f} s" for phase in PHASES)
            print(f"undisturbed, {workers or 'no'} workers: {phases}", flush=True)
        for number, (phase, workers, supervisor) in enumerate(planned, 1):
            for attempt in range(ATTEMPTS):
                before, wait = _shared_memory(), times[workers].wait(phase, chance)
                session = Session(bench.arguments.checks, workers, place / f"runs-{number}-{attempt}")
                session.watch(phase, wait)
                if victims := kill(session, supervisor=supervisor):
                    seconds, left = cleared(session, before, sweep=supervisor)
                    rows.append([number, phase, workers, wait, victims, seconds, ", ".join(left) or "nothing"])
                    break
    finally:
        shutil.rmtree(place, ignore_errors=True)
    bench.rows(["#", "phase", "-n", "s into it", "killed", "clean after, s", f"left after {BOUND:.0f} s"], rows)
    bench.bar("sessions killed alive", len(rows), "kills", least=len(planned))
    bench.bar("kills that left something", sum(row[-1] != "nothing" for row in rows), "kills", most=0)
    bench.bar("slowest end", max(float(str(row[5])) for row in rows), "s", most=BOUND)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(_main())
