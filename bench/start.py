"""The first morning in three foreign repositories: from `dialtone init` to the first green run, no file edited.

Each is made anew from `bench/_foreign.py`, with its dependencies from their registries, and the wheel of this tree in a
Python environment of its own. Then, as the page says: `dialtone init`, `pytest checks --target sandbox`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._foreign import REPOSITORIES, Foreign
from bench._table import Bench
from bench.wheel import built

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build/start"
STEPS = ("install", "init", "checks", "experiment")
MORNING = 300.0
"""Seconds that a start may take, installing included: the first morning's five minutes."""


class Repository:
    """One foreign repository on disk, and what its steps took, in seconds."""

    def __init__(self, foreign: Foreign, wheel: Path) -> None:
        self.foreign, self.wheel = foreign, wheel
        self.folder = WORK / foreign.name.lower().replace(".", "")
        self.taken: dict[str, float] = {}
        self.said = ""
        for path, text in foreign.files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)

    def install(self) -> bool:
        """Its own dependencies, and the suite beside them, as its page says."""
        own = ["-r", "requirements.txt"] if "requirements.txt" in self.foreign.files else []
        uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
        npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        return self._step(
            "install",
            *([npm] if self.foreign.node else []),
            [sys.executable, "-m", "venv", "--without-pip", ".venv"],
            [*uv, "--python", ".venv/bin/python", *own, f"{self.wheel}[sandbox]"],
        )

    def first_run(self) -> bool:
        """`dialtone init`, then the checks; green, with every check judged and no file touched in between."""
        if not self._step("init", [".venv/bin/dialtone", "init"]):
            return False
        written = self.state()
        if not self._step("checks", [".venv/bin/pytest", "checks", "--target", "sandbox"]):
            return False
        judged = re.search(r"\b3 checks: 3 ok\b", self.said) is not None
        if (self.folder / "chaos").exists():
            judged &= self._step("experiment", [".venv/bin/pytest", "chaos"]) and "2 checks: 2 ok" in self.said
        same = self.state() == written and all(
            (self.folder / path).read_text() == text for path, text in self.foreign.files.items()
        )
        return same and judged

    def state(self) -> dict[str, str]:
        """Hashes of what is written for people: the profile, the checks, the workflow."""
        folders = [self.folder / "checks", self.folder / "chaos", self.folder / ".github"]
        files = [self.folder / "dialtone.toml", *(p for each in folders for p in each.rglob("*.[py]*"))]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.suffix != ".pyc"}

    def _step(self, name: str, *commands: Sequence[str]) -> bool:
        begun, good = time.monotonic(), True
        kept = ("HOME", "LANG", "TMPDIR", "PATH", "SSL_CERT_FILE", "UV_", "PIP_", "NPM_", "npm_", "NODE_EXTRA")
        env = {key: value for key, value in os.environ.items() if key.startswith(kept)}
        for command in commands:
            done = subprocess.run(
                command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=600, check=False
            )
            self.said = done.stdout + done.stderr
            good = good and done.returncode == 0
            if not good:
                print(f"{self.foreign.name}: {' '.join(command)}: exit {done.returncode}\n{self.said}", flush=True)
                break
        self.taken[name] = time.monotonic() - begun
        return good


def main() -> int:
    """Make, install, init, run."""
    bench = Bench("start", __doc__)
    bench.parser.add_argument("--only", choices=[each.name for each in REPOSITORIES], help="one of them")
    chosen = [each for each in REPOSITORIES if bench.arguments.only in (None, each.name)]
    shutil.rmtree(WORK, ignore_errors=True)
    wheel = built(WORK)[1]
    rows, green, experiments, longest = [], 0, 0, 0.0
    for foreign in chosen:
        repository = Repository(foreign, wheel)
        green += repository.install() and repository.first_run()
        experiments += "experiment" in repository.taken
        steps = [repository.taken.get(name, 0.0) for name in STEPS]
        longest = max(longest, sum(steps))
        rows.append([foreign.name, *(round(seconds, 1) for seconds in steps), round(sum(steps), 1)])
    bench.rows(["repository", *(f"{name}, s" for name in STEPS), "together, s"], rows)
    bench.bar("green at the first run, no file edited", green, "repositories", least=len(chosen))
    wanted = sum("stripe" in each.files.get("requirements.txt", "") for each in chosen)
    bench.bar("an experiment where a page calls a provider", experiments, "repositories", least=wanted)
    bench.bar("from nothing to green, the longest", longest, "s", most=MORNING)
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
