"""A release: `check` whether this tree may be released under a tag, `build` what is published, in dist/.

    make dist                                     # sdist, wheel and SBOM
    python deploy/release.py check v0.2.0         # 1 and the reasons, where it may not

docs/release.md says how a release goes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = ("xdist", "allure", "sandbox", "history", "start", "browser", "search", "completion")
"""Extras with what a run of checks or experiments may load: these the SBOM lists, and no tool of a developer."""
_DATED = r"^## {version} \((\d{{4}}-\d{{2}}-\d{{2}})\)$"
_OWN = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)


def refusals(tag: str, root: Path = ROOT) -> list[str]:
    """Why this tree is not what the tag says, in words; none where it is."""
    version = _project(root)["version"]
    own = _OWN.search((root / "src/dialtone/__init__.py").read_text())
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, pyproject.toml says {version}: tag v{version}, or write the version there")
    if own is None or own[1] != version:
        found.append(f"src/dialtone/__init__.py says {own[1] if own else 'nothing'}, pyproject.toml {version}")
    if not re.search(_DATED.format(version=re.escape(version)), (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        found.append(f"CHANGELOG.md has no line `## {version} (YYYY-MM-DD)`: date the section, or write one")
    return found


def build(root: Path = ROOT) -> list[Path]:
    """The sdist, the wheel that is built from it, and the SBOM of that wheel with its extras; dist/ is made anew."""
    into, place = root / "dist", root / "build/release"
    for folder in (into, place):
        shutil.rmtree(folder, ignore_errors=True)
    # As the commit's date, where git knows it: the same tree makes the same bytes.
    env = {**os.environ, **({"SOURCE_DATE_EPOCH": epoch} if (epoch := _committed(root)) else {})}
    _run([sys.executable, "-m", "build", "-q", "--installer", "uv", "--outdir", str(into), str(root)], env)
    wheel = next(into.glob("*.whl"))
    venv.create(place)
    python, pinned = str(place / "bin/python"), str(root / "constraints.txt")
    what = f"{wheel}[{','.join(RUNS)}]"
    _run([sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, "-c", pinned, what], env)
    bill = into / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--mc-type", "library"]
    _run([*command, "--pyproject", str(root / "pyproject.toml"), "--output-file", str(bill), python], env)
    return sorted(into.iterdir())


def _project(root: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project


def _committed(root: Path) -> str:
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: Sequence[str], env: dict[str, str]) -> None:
    subprocess.run(command, check=True, timeout=600, env=env)


def main(given: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("check", help="may this tree be released under the tag").add_argument("tag")
    actions.add_parser("build", help="sdist, wheel and SBOM, in dist/")
    args = parser.parse_args(given)
    if args.action == "check":
        found = refusals(args.tag, root)
        print("\n".join(found) or f"{args.tag}: tag, version and changelog agree", file=sys.stderr if found else None)
        return 1 if found else 0
    for path in build(root):
        print(f"{path.relative_to(root)}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
