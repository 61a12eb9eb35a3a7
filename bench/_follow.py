"""Follows a page: writes its files, replaces what it replaces, runs its commands, and compares what they said."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

MARKED = re.compile(r"<!-- (file|replace in|run|said)(?:: ([^ ]+))? -->\n```\w+\n(.*?)```", re.S)


def follow(page: Path, folder: Path, environ: Mapping[str, str], *, timeout: float = 180) -> Iterator[str]:
    """Do what the page says in `folder`; yields each command's output once what it was to say was found in it.

    Raises AssertionError for an exit code or an output that the page does not announce.
    """
    output = ""
    for kind, told, text in MARKED.findall(page.read_text()):
        if kind == "file":
            (folder / told).parent.mkdir(parents=True, exist_ok=True)
            (folder / told).write_text(text)
        elif kind == "replace in":
            _replace(folder / told, text)
        elif kind == "said":
            assert text.strip() in output, f"{text.strip()!r} was not said:\n{output}"
        else:
            output = _run(text, int(told), folder, environ, timeout)
            yield output


def _replace(file: Path, text: str) -> None:
    """The new lines stand in the place of the line that begins as their first one does."""
    first = text.splitlines()[0]
    begin = re.match(r"\s*\S+\s", first)
    assert begin
    lines = file.read_text().splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if line.startswith(begin[0])]
    assert len(found) == 1, f"{file.name}: {begin[0]!r} stands in {len(found)} lines"
    lines[found[0]] = text
    file.write_text("".join(lines))


def _run(text: str, wanted: int, folder: Path, environ: Mapping[str, str], timeout: float) -> str:
    output = ""
    for line in filter(None, text.splitlines()):
        done = subprocess.run(
            shlex.split(line),
            check=False,
            cwd=folder,
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        output += done.stdout + done.stderr
        assert done.returncode == wanted, f"{line}: exit {done.returncode}, not {wanted}\n{output}"
    return output
