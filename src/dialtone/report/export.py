"""`dialtone export`: what a run left, for others: what anybody may see, and the whole of it for those who may.

`public/` holds what the list in `public.py` allows, as data, and a page of it that needs nothing else. The rest goes
along as it is where only the team can read it (`--full`), or sealed for the holder of a key.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from dialtone.report.pages.paint import badge, page, stamp, table, word
from dialtone.report.public import public, says
from dialtone.signing import sealed

RECIPIENT, SECRET = "DIALTONE_REPORT_RECIPIENT", "DIALTONE_REPORT_KEY"
PARTS = ("verdicts.json", "gate.json", "rounds.json", "undelivered.json", "log.txt", "allure-results", "diagnosis",
         "allure-report", "allure-history.jsonl", "drill", "drill.json", "drill.html", "drill.md", "report.html",
         "checklist.md", "maintenance")  # fmt: skip
"""What of the build folder is the full report; nothing else is, whatever lies there."""


def parts(build: Path) -> Iterator[Path]:
    """The files of the full report."""
    for name in PARTS:
        path = build / name
        yield from (p for p in sorted(path.rglob("*")) if p.is_file()) if path.is_dir() else [path] * path.is_file()


def bundle(build: Path, to: Path, *, full: bool = False, recipient: str = "") -> list[Path]:
    """Write the export of a build folder; the files. `to` is written anew. Raises SealError for a key that is none."""
    shutil.rmtree(to, ignore_errors=True)
    made = [_written(to / "public" / name, text) for name, text in pages(_document(build)).items()]
    files = list(parts(build))
    if full:
        for path in files:
            copy = to / path.relative_to(build)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            made.append(copy)
    elif recipient and files:
        box = to / "report.sealed"
        box.write_bytes(sealed.seal(sealed.packed(files, build), recipient))
        made.append(box)
    return made


def pages(document: Mapping[str, Any]) -> dict[str, str]:
    """What is published, file -> text: made of `public()` alone."""
    told = public(document)
    return {
        "public.json": json.dumps(told, indent=1, ensure_ascii=False) + "\n",
        "index.html": _page(told),
        "badge.svg": _badge(told),
    }


def _page(told: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{n} {name}" for name, n in told["counts"].items()) or "none"
    title = f"{told['target'] or 'no run'}: {counts}"
    rows = [
        [
            escape(str(c["id"])),
            word(str(c["kind"] or c["verdict"]) if c["armed"] else "unarmed"),
            escape(str(c["severity"])),
        ]
        for c in told["checks"]
    ]
    head = f'<h1>{escape(title)}</h1><p class="dim">{escape(stamp(str(told["finished"] or "never")))}</p>'
    return page(
        title, [head, "<main>", table(["check", "verdict", "severity"], rows, "All checks of the run"), "</main>"]
    )


def _badge(told: Mapping[str, Any]) -> str:
    words = [str(c["kind"] or c["verdict"]) for c in told["checks"] if c["armed"]]
    return badge(says(words), "checks")


def _document(build: Path) -> dict[str, Any]:
    try:
        found = json.loads((build / "verdicts.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "export",
        help="what a run left, for others: public by an allow-list, the full report as it is or sealed",
        description="Writes public/ (states and severities by check, no reason, value or address) from the verdicts of"
        f" a run. --full adds the whole report; with a public key in {RECIPIENT} or --seal the whole report is added"
        " sealed, for the holder of the other half. Exit codes: 0 written, 1 nothing there or a key that is none.",
        epilog=f"dialtone export --to build/report; {SECRET}=… dialtone export --open report.sealed --to opened",
    )
    parser.add_argument("--build", type=Path, default=Path("build"), metavar="FOLDER", help="what a run left (build)")
    parser.add_argument("--to", type=Path, default=Path("build/report"), metavar="FOLDER", help="build/report")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="the whole report, as it is: for readers you trust")
    which.add_argument("--seal", metavar="KEY", default=os.environ.get(RECIPIENT, ""), help="the public half of a key")
    which.add_argument("--new-key", action="store_true", help="print a pair of keys, write nothing")
    which.add_argument("--open", type=Path, metavar="FILE", help=f"open a sealed report with the key in {SECRET}")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        if args.new_key:
            secret, recipient = sealed.new_key()
            print(f"{SECRET}={secret}\n{RECIPIENT}={recipient}")
            return 0
        if args.open:
            made = sealed.unpacked(sealed.unseal(args.open.read_bytes(), os.environ.get(SECRET, "")), args.to)
        elif not (args.build / "verdicts.json").is_file():
            print(f"{args.build}/verdicts.json: no such file; a run of checks leaves it", file=sys.stderr)
            return 1
        else:
            made = bundle(args.build, args.to, full=args.full, recipient=args.seal)
    except ModuleNotFoundError:
        print("sealing needs PyNaCl: pip install 'pytest-dialtone[signing]'", file=sys.stderr)
        return 1
    except (sealed.SealError, OSError) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(f"{args.to}: {len(made)} files")
    return 0
