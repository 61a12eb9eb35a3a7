"""`dialtone import`: monitors of Gatus and Upptime as targets of a profile, as far as they go."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dialtone.start import gatus, upptime
from dialtone.start.imported import ImportRefused, files

_FORMS = {"gatus": gatus.read, "upptime": upptime.read}
_LARGEST = 1_000_000  # bytes


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets `run`, a function from the arguments to an exit code."""
    parser = commands.add_parser(
        "import",
        help="take over monitors of Gatus or Upptime, and say what was left",
        description="Writes dialtone.toml, a target for each origin, and checks/test_imported.py from a configuration"
        " of Gatus (config.yaml) or Upptime (.upptimerc.yml). What a profile has no place for is listed. Sends no"
        " request. Needs the extra `start`. Exit codes: 0 written, 1 nothing was taken over, the file has a form that"
        " is not known here, or a file is there already.",
    )
    parser.add_argument("form", choices=sorted(_FORMS), help="whose configuration it is")
    parser.add_argument("file", type=Path, help="the configuration")
    parser.add_argument("--at", type=Path, default=Path(), metavar="FOLDER", help="where to write (default: here)")
    parser.add_argument("--dry-run", action="store_true", help="print the files, write none")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        return _import(args)
    except ImportRefused as wrong:
        print(f"{args.file}: {wrong}", file=sys.stderr)
        return 1


def _import(args: argparse.Namespace) -> int:
    found = _FORMS[args.form](_yaml(args.file))
    made = files(found, args.file.name)
    there = [path for path in made if (args.at / path).exists()]
    if there and not (args.force or args.dry_run):
        raise ImportRefused(f"there already: {', '.join(map(str, there))}; --force writes over them, --dry-run prints")
    for path, text in made.items() if found.monitors else ():
        if args.dry_run:
            print(f"--- {path}\n{text}")
        else:
            (args.at / path).parent.mkdir(parents=True, exist_ok=True)
            (args.at / path).write_text(text)
            print(f"written: {path}")
    print(f"taken over: {len(found.monitors)}, left: {len(found.left)}")
    for words in found.left:
        print(f"  {words}")
    return 0 if found.monitors else 1


def _yaml(path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise ImportRefused("reading YAML takes the extra `start`: pip install 'pytest-dialtone[start]'") from None
    try:
        if path.stat().st_size > _LARGEST:
            raise ImportRefused(f"larger than {_LARGEST:,} bytes")
        return yaml.safe_load(path.read_text())
    except OSError as wrong:
        raise ImportRefused(wrong.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise ImportRefused("not text in UTF-8") from None
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        raise ImportRefused(f"not YAML{f', line {mark.line + 1}' if mark else ''}") from None
