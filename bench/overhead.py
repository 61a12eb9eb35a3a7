"""What dialtone adds: CPU to a check, time to a thousand under xdist, nothing to a suite without checks.

Every figure compares two runs of pytest, taken in turn. CPU of a check is the slope between a run of many and a run of
few, so that starting up counts for nothing; it holds the check's own connection, which the plain test shares.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench._table import ROOT, Bench

WORK = ROOT / "build" / "bench" / "overhead"
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "16")
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')
    def log_message(self, *args): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
PROFILE = """
[target.bench]
kind = "preview"
base_url = "http://127.0.0.1:{port}"
witnesses = ["http://127.0.0.1:{port}", "http://localhost:{port}"]
[target.bench.objectives.days]
target = 21
alert = 14
unit = "days"
direction = "above"
"""
MANY = "import os, pytest\nmany = pytest.mark.parametrize('n', range(int(os.environ['MANY'])))\n"
PLAIN = (
    MANY
    + """
import httpx
@pytest.fixture(scope="session")
def client():
    with httpx.Client(base_url="http://127.0.0.1:{port}") as made:
        yield made

@many
def test_it(n, client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
"""
)
CHECKED = (
    MANY
    + """
from dialtone import check, expect
@many
@check(runbook="x", objective="days")
def test_it(n, http{more}):
    expect(http.get("/health")).status(200).json_field("status", "ok")
"""
)
ATTACHED = "    import allure\n    allure.attach('x' * 700, 'evidence', allure.attachment_type.JSON)\n"
TRIVIAL = MANY + "@many\ndef test_it(n):\n    assert n >= 0\n"
TRIVIAL_CHECK = MANY + "from dialtone import check, ok\n@many\n@check(runbook='x')\ndef test_it(n):\n    ok('fine')\n"
FOREIGN = MANY + "@many\ndef test_it(n):\n    assert n != 3\n"


@dataclass(frozen=True)
class Run:
    """One run of pytest: seconds of CPU (children included) and of the clock, exit code, output."""

    cpu: float
    wall: float
    code: int
    output: str


def pytest(
    name: str, source: str, many: int, *options: str, profile: str = "", python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> Run:  # fmt: skip
    """Run the source as a suite in a folder of its own, with only those plugins that are asked for."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "allure", ignore_errors=True)
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    if profile:
        (folder / "dialtone.toml").write_text(profile)
    variables = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE", "PYTHON", "PYTEST"))},
        "MANY": str(many),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONHASHSEED": "0",
        **(environment or {}),
    }
    begin = time.perf_counter()
    process = subprocess.Popen(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = process.communicate(timeout=600)[0]
    wall = time.perf_counter() - begin
    return Run(_children_cpu(), wall, process.returncode, output)


_before = 0.0


def _children_cpu() -> float:
    """CPU seconds of the children that ended since the last question."""
    global _before
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    now = usage.ru_utime + usage.ru_stime
    spent, _before = now - _before, now
    return spent


def in_turn(rounds: int, **runs: Callable[[], float]) -> dict[str, float]:
    """The median of each figure over rounds in which each is taken once."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return {name: statistics.median(values) for name, values in taken.items()}


def slope(few: int, many: int, run: Callable[[int], Run]) -> float:
    """Milliseconds of CPU that one more test costs."""
    runs = [run(few), run(many)]
    assert [r.code for r in runs] == [0, 0], runs[-1].output
    return 1000 * (runs[1].cpu - runs[0].cpu) / (many - few)


def per_check(bench: Bench, port: int) -> None:
    """CPU of a check against a plain test of the same request."""
    few, many, rounds = (10, 110, 3) if bench.quick else (10, 210, 7)
    profile, ours = PROFILE.format(port=port), ("-p", "dialtone.plugin", "--target", "bench")
    plain, good = PLAIN.replace("{port}", str(port)), CHECKED.replace("{more}", "")
    degraded = CHECKED.replace("{more}", ", objective") + "    objective.value(20)\n"

    def allure(name: str) -> tuple[str, ...]:
        return ("-p", "allure_pytest.plugin", f"--alluredir={WORK / name / 'allure'}")

    found = in_turn(
        rounds,
        plain=lambda: slope(few, many, lambda n: pytest("plain", plain, n)),
        ours=lambda: slope(few, many, lambda n: pytest("ours", good, n, *ours, profile=profile)),
        plain_allure=lambda: slope(few, many, lambda n: pytest("pa", plain + ATTACHED, n, *allure("pa"))),
        ours_allure=lambda: slope(
            few, many, lambda n: pytest("oa", degraded, n, *ours, *allure("oa"), profile=profile)
        ),
    )
    bench.rows(
        ["ms of CPU a test", "plain", "dialtone", "more"],
        [
            ["one request", found["plain"], found["ours"], found["ours"] - found["plain"]],
            ["with Allure", found["plain_allure"], found["ours_allure"], found["ours_allure"] - found["plain_allure"]],
        ],
    )
    bench.bar("CPU that a check adds", found["ours"] - found["plain"], "ms", most=1.0)
    bench.bar("CPU that a check adds with Allure", found["ours_allure"] - found["plain_allure"], "ms", most=1.0)


def thousand(bench: Bench, port: int) -> None:
    """1,000 trivial checks in one process and over two, against plain tests."""
    few, many, rounds = 10, 1000, 3 if bench.quick else 7
    xdist, profile = ("-p", "xdist.plugin", "-n", "2"), PROFILE.format(port=port)
    ours = ("-p", "dialtone.plugin", "--target", "bench")
    kinds: dict[str, Callable[[int], Run]] = {
        "plain": lambda n: pytest("t1", TRIVIAL, n),
        "dialtone": lambda n: pytest("t2", TRIVIAL_CHECK, n, *ours, profile=profile),
        "plain -n 2": lambda n: pytest("t1", TRIVIAL, n, *xdist),
        "dialtone -n 2": lambda n: pytest("t2", TRIVIAL_CHECK, n, *ours, *xdist, profile=profile),
    }
    taken: dict[tuple[str, int], list[Run]] = {(name, n): [] for name in kinds for n in (few, many)}
    for _ in range(rounds):
        for (name, n), runs in taken.items():
            runs.append(kinds[name](n))
            assert runs[-1].code == 0, runs[-1].output

    def slope_of_best(figure: str) -> dict[str, float]:
        """ms a test. What disturbs a run only adds to it, so that the least of several is the run itself."""
        best = {key: min(getattr(run, figure) for run in runs) for key, runs in taken.items()}
        return {name: 1000 * (best[name, many] - best[name, few]) / (many - few) for name in kinds}

    wall, cpu = slope_of_best("wall"), slope_of_best("cpu")
    bench.rows(["ms a trivial test", "wall", "CPU"], [[name, wall[name], cpu[name]] for name in kinds])
    for figure, ms in (("wall", wall), ("CPU", cpu)):
        scale = (ms["dialtone -n 2"] / ms["dialtone"]) / (ms["plain -n 2"] / ms["plain"])
        bench.bar(f"{figure} of -n 2 to one process, dialtone to plain", scale, "ratio", most=1.15)


def foreign(bench: Bench) -> None:
    """A suite without checks where the built wheel is installed, and where it is not: alone, and beside a profile."""
    many, rounds = 200, 5 if bench.quick else 15
    pythons = {"without": _environment("without"), "with": _environment("with", _wheel())}
    rows, ratios = [], {}
    with tempfile.TemporaryDirectory() as outside:  # above this checkout there is a profile
        for kind, profile in (("alone", ""), ("beside a profile", PROFILE.format(port=1))):
            folder = str(Path(outside, kind))

            def run(name: str, *more: str, folder: str = folder, profile: str = profile) -> Run:
                autoload = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
                return pytest(folder, FOREIGN, many, *more, profile=profile, python=pythons[name], environment=autoload)

            loaded = "dialtone" in run("with", "--trace-config").output
            taken: dict[str, list[Run]] = {"with": [run("with")], "without": [run("without")]}  # and bytecode is cached
            for number in range(rounds):
                for name in ("with", "without") if number % 2 else ("without", "with"):
                    taken[name].append(run(name))
            told = {(r.code, _steady(r.output)) for runs in taken.values() for r in runs}
            for figure in ("cpu", "wall"):
                values = {name: [getattr(r, figure) for r in runs[1:]] for name, runs in taken.items()}
                pairs = zip(values["with"], values["without"], strict=True)
                ratios[kind, figure] = statistics.median(one / other for one, other in pairs)
                medians = {name: statistics.median(found) for name, found in values.items()}
                rows.append([f"{figure}, {kind}", medians["without"], medians["with"], ratios[kind, figure]])
            bench.bar(f"the wheel's plugin is loaded, {kind}", int(loaded), "count", least=1)
            bench.bar(f"different exit codes and outputs, {kind}", len(told) - 1, "count", most=0)
    bench.rows(["s, a foreign suite", "without", "with", "ratio of pairs"], rows)
    for (kind, figure), ratio in ratios.items():
        bench.bar(f"{figure} with to without the plugin, {kind}", ratio, "ratio", most=NOISE[kind])


NOISE = {"alone": 1.08, "beside a profile": 1.15}
"""Bounds of the ratios: the same suite without the plugin differs by as much from one half of its runs to the other."""


def _steady(output: str) -> str:
    """The output without pytest's line of plugins and its times."""
    return re.sub(r"in [\d.]+s|^plugins:.*\n", "", output, flags=re.MULTILINE)


def _wheel() -> Path:
    """This project's wheel, built anew."""
    built = WORK / "wheel"
    shutil.rmtree(built, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(built), str(ROOT)], check=True)
    return next(built.glob("*.whl"))


def _environment(name: str, *wheels: Path) -> str:
    """The Python of a fresh environment with pytest and the wheels; of their dependencies nothing is needed here."""
    folder = WORK / f"environment {name}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    subprocess.run([*pip, f"pytest=={version('pytest')}"], check=True)
    for wheel in wheels:
        subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    return python


def main() -> int:
    """All three comparisons."""
    bench = Bench("overhead", __doc__)
    WORK.mkdir(parents=True, exist_ok=True)
    _ = bench.arguments
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            per_check(bench, port)
            thousand(bench, port)
        finally:
            server.kill()
    _children_cpu()
    foreign(bench)
    return bench.finish()


if __name__ == "__main__":
    raise SystemExit(main())
