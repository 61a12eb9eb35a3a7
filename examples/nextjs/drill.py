"""Builds the application, drills the build, and then builds and drills each of its defects, which has to be found.

    make drill-nextjs

Everything happens in a copy below build/nextjs: a defect is a patch that is applied to it before `next build`. The
application knows nothing of it, and is told nothing but what its host would tell it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ("app", "lib", "supabase", "chaos", "checks")
FILES = ("package.json", "next.config.mjs", "dialtone.toml", "conftest.py")


def say(text: str) -> None:
    """To people, as it happens."""
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str], where: Path, log: Path) -> int:
    """A command whose words go to a log; its exit code."""
    with log.open("ab") as file:
        env = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1", "CI": "1"}
        return subprocess.run(
            command, cwd=where, stdout=file, stderr=file, env=env, check=False, timeout=1200
        ).returncode


def fail(what: str, log: Path) -> None:
    """End, with the last words."""
    tail = "\n".join(log.read_text(errors="replace").strip().splitlines()[-15:])
    raise SystemExit(f"{what} failed; the last words in {log}:\n{tail}")


def copied(to: Path) -> None:
    """The sources as they are, without a defect; what was installed and built stays."""
    to.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        shutil.rmtree(to / part, ignore_errors=True)
        shutil.copytree(HERE / part, to / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(HERE / name, to / name)


def installed(app: Path, log: Path) -> None:
    """The packages of package.json, once."""
    mark = app / "node_modules" / ".installed"
    wanted = (HERE / "package.json").read_text()
    if mark.is_file() and mark.read_text() == wanted:
        return
    began = time.monotonic()
    if run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], app, log):
        fail("npm install", log)
    mark.write_text(wanted)
    say(f"installed in {time.monotonic() - began:.0f} s")


def built(app: Path, log: Path) -> float:
    """`next build`; how many seconds it took."""
    began = time.monotonic()
    if run(["npm", "run", "build"], app, log):
        fail("next build", log)
    return time.monotonic() - began


def dialtone(*words: str) -> list[str]:
    """The command of the suite that runs this."""
    return [sys.executable, "-m", "dialtone.cli", *words]


def drilled(app: Path, build: Path, only: Sequence[str] = (), jobs: str = "2") -> dict[str, str]:
    """Experiment -> verdict; everything that the drill tells goes by, indented."""
    words = dialtone("drill", "--app", "npm start --silent", "--way", "preload", "--jobs", jobs, "--build", str(build))
    process = subprocess.Popen(
        [*words, *(("--only", *only) if only else ())],
        cwd=app,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            say(f"    {line.rstrip()}")
    except BaseException:
        process.terminate()  # which takes its sandboxes down
        process.wait()
        raise
    process.wait()
    document = build / "drill.json"
    if not document.is_file():
        return {}
    return {e["id"]: e["verdict"] for e in json.loads(document.read_text())["experiments"]}


def listed(app: Path, build: Path) -> list[dict[str, object]]:
    """The experiments with what they claim to catch."""
    words = dialtone("drill", "--list", "--json", "--build", str(build))
    done = subprocess.run(words, cwd=app, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def main() -> int:
    """0 when the build passes and every defect is found, by what claims it and by nothing else."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument(
        "--build", type=Path, default=Path("build/nextjs"), help="where it is built (default: %(default)s)"
    )
    told.add_argument("--only", nargs="*", metavar="DEFECT", help="these defects; none: the healthy build alone")
    told.add_argument("--complete", action="store_true", help="hold each defect against all experiments")
    told.add_argument("--jobs", default="2", help="experiments at a time (default: 2)")
    args = told.parse_args()
    for tool in ("npm", "patch"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed: install it, or leave this drill out")
    patches = {p.stem: p for p in sorted((HERE / "defects").glob("*.patch"))}
    if unknown := set(args.only or ()) - set(patches):
        raise SystemExit(f"no defect is called {', '.join(sorted(unknown))}; there are {', '.join(patches)}")
    chosen = list(patches) if args.only is None else [name for name in patches if name in args.only]
    build = args.build.resolve()
    app, log = build / "app", build / "build.log"
    copied(app)
    log.unlink(missing_ok=True)
    installed(app, log)

    began = time.monotonic()
    say(f"built in {built(app, log):.0f} s")
    healthy = drilled(app, build / "healthy", jobs=args.jobs)
    bad = sorted(name for name, verdict in healthy.items() if verdict != "pass")
    if bad or not healthy:
        say(f"the build as it is does not pass: {', '.join(bad) or 'nothing ran'}")
        return 1
    known = listed(app, build / "healthy")
    rows, complaints = [], []
    for name in chosen:
        what = patches[name].read_text().partition("\n")[0]
        claiming = [str(e["id"]) for e in known if name in e["catches"]]  # type: ignore[operator]
        near = sorted({str(e["dependency"]) for e in known if e["id"] in claiming})
        copied(app)
        if run(["patch", "-p1", "--forward", "-i", str(patches[name])], app, log):
            fail(f"the patch {name}", log)
        say(f"{name}: {what} Built in {built(app, log):.0f} s")
        verdicts = drilled(app, build / name, () if args.complete else near, args.jobs)
        red = [i for i, verdict in verdicts.items() if verdict == "fail"]
        found = set(claiming) & set(red)
        others = sorted(set(red) - set(claiming))
        broken = sorted(i for i, verdict in verdicts.items() if verdict == "inconclusive")
        complaints += [f"{name} is not found by {i}" for i in claiming if i not in red]
        complaints += [f"{name} fails {i}, which does not claim it" for i in others]
        complaints += [f"{name} leaves {i} inconclusive" for i in broken]
        complaints += [] if claiming else [f"{name} is claimed by no experiment"]
        rows.append((name, "found" if found else "NOT FOUND", f"{len(red)} of {len(verdicts)}", ", ".join(sorted(red))))
    copied(app)

    heads = ("defect", "", "failed", "by")
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(3)]
    print(f"{len(healthy)} experiments pass on the build as it is")
    for row in [heads, *rows] if rows else []:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    for complaint in complaints:
        print(complaint)
    print(f"{sum(row[1] == 'found' for row in rows)} of {len(rows)} defects found in {time.monotonic() - began:.0f} s")
    defects = [dict(zip(("id", "outcome", "failed", "by"), row, strict=True)) for row in rows]
    document = {"experiments": healthy, "defects": defects, "complaints": complaints}
    (build / "found.json").write_text(json.dumps(document, indent=1) + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("stopped; no sandbox is left")
        sys.exit(130)
