"""The package as a stranger gets it: sdist and wheel built, installed into an empty environment, the tutorial followed.

What the base installation weighs and how long its import takes stand beside what pytest and httpx alone weigh and take:
that is what a user would install instead. Everything is measured in one run.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._follow import follow
from bench._table import Bench

ROOT = Path(__file__).parent.parent
WORK = ROOT / "build/wheel"
REPEATS = 7


def main() -> int:
    """Build, install, measure, follow."""
    bench = Bench("wheel", __doc__)
    repeats = 3 if bench.quick else REPEATS
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    sdist, wheel = built(WORK)
    bench.bar("stray files in the wheel", len(_strays(wheel)), "count", most=0)
    bench.bar("stray files in the sdist", len(_private(sdist)), "count", most=0)

    rival = _environment("rival", "pytest>=9", "httpx>=0.28,<0.29")
    base = _environment("base", str(wheel))
    sizes = {name: _size(name) for name in ("rival", "base")}
    times = _imports(
        {"rival": (rival, "import pytest, httpx"), "base": (base, "import pytest, dialtone.plugin")}, repeats
    )
    bench.rows(
        ["installed", "MB", "import, ms of CPU"],
        [
            ["pytest and httpx alone", round(sizes["rival"] / 1e6, 1), round(times["rival"] * 1e3)],
            ["with the wheel", round(sizes["base"] / 1e6, 1), round(times["base"] * 1e3)],
        ],
    )
    bench.bar("base installation, of pytest and httpx", sizes["base"] / sizes["rival"], "ratio", most=2.5)
    bench.bar("import of the plugin, of pytest and httpx", times["base"] / times["rival"], "ratio", most=1.0)

    sandbox = _environment("sandbox", f"{wheel}[sandbox]")
    bench.bar("steps of the tutorial that went as it says", _tutorial(sandbox), "count", least=4)
    return bench.finish()


def built(work: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it, in `work`."""
    subprocess.run(
        [sys.executable, "-m", "build", "-q", "--installer", "uv", "--outdir", str(work / "dist"), str(ROOT)],
        check=True,
        timeout=300,
    )
    return next((work / "dist").glob("*.tar.gz")), next((work / "dist").glob("*.whl"))


def _strays(wheel: Path) -> list[str]:
    """What has no business in a wheel."""
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    return [n for n in names if not n.startswith(("dialtone/", "dialtone_receptionist/", "pytest_dialtone-"))]


def _private(sdist: Path) -> list[str]:
    """What has no business in a source distribution."""
    with tarfile.open(sdist) as files:
        names = files.getnames()
    return [
        n for n in names if any(part in ("build", ".venv", "__pycache__", ".git", ".env") for part in Path(n).parts)
    ]


def _environment(name: str, *what: str) -> Path:
    """The Python of an empty environment with these packages, resolved as for anybody."""
    place = WORK / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=120)
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*command, "--python", str(place / "bin/python"), *what], check=True, timeout=600)
    return place / "bin/python"


def _size(name: str) -> int:
    """Bytes of what is installed, without compiled files."""
    files = (f for f in next((WORK / name / "lib").glob("python*/site-packages")).rglob("*") if f.is_file())
    return sum(f.stat().st_size for f in files if f.suffix != ".pyc")


def _imports(what: dict[str, tuple[Path, str]], repeats: int) -> dict[str, float]:
    """CPU seconds of a process that imports, less those of one that does not; median, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in what}
    for _ in range(repeats + 1):
        for name, (python, program) in what.items():
            taken[name].append(_cpu(python, program) - _cpu(python, "pass"))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def _cpu(python: Path, program: str) -> float:
    before = os.times()
    subprocess.run([str(python), "-c", program], check=True, timeout=60)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _tutorial(python: Path) -> int:
    """How many commands of the tutorial ended as the page says, in an empty folder."""
    folder = WORK / "tutorial"
    folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR")}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    return len(list(follow(ROOT / "docs/tutorial.md", folder, {**kept, "PATH": path})))


if __name__ == "__main__":
    sys.exit(main())
