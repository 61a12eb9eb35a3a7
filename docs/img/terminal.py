"""Takes a picture of what a command prints in a terminal: colours as there, at a given width.

The picture of the README, of a sandbox that has three defects:

    .venv/bin/python docs/img/terminal.py --out docs/img/summary.png --prompt "make check" \\
        --defects slow-tail stripe-claims-first env-missing -- .venv/bin/pytest checks -n 2 -q

Needs chromium (or what CHROMIUM names); nothing of the suite depends on this.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

_COLOURS = {
    "31": "#ff6b6b", "32": "#7ee787", "33": "#f2cc60", "34": "#79c0ff", "35": "#d2a8ff", "36": "#76e3ea", "37": "#fff",
}  # fmt: skip
_STYLE = """
body { margin: 0; background: #0d1117; color: #c9d1d9 }
pre { margin: 0; padding: 14px 18px; font: 14px/1.35 "DejaVu Sans Mono", monospace; width: max-content }
"""


def printed(command: list[str], width: int) -> str:
    """What the command writes to a terminal that is so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environ = {**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as child:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65_536):
                parts.append(part)
        except OSError:  # how Linux says that nobody holds the other side any more
            pass
        finally:
            os.close(ours)
        child.wait()
    return b"".join(parts).decode(errors="replace")


@contextlib.contextmanager
def wrong(defects: list[str]) -> Iterator[None]:
    """Hold a sandbox with these defects for commands that run meanwhile."""
    from dialtone.sandbox import ATTACH_VARIABLE, Sandbox
    from dialtone.sandbox.profile import sandbox_options

    with Sandbox.begin(**sandbox_options()).wait() as sandbox:
        sandbox.switch(defects)
        os.environ[ATTACH_VARIABLE] = str(sandbox.state_file)
        yield


def settled(text: str) -> str:
    """The lines as they stand at the end: a carriage return begins a line anew."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r")[2] for line in lines)


def to_html(text: str) -> str:
    """The text with its colours (SGR sequences, ECMA-48 section 8.3.117) as a page."""
    out: list[str] = []
    style: dict[str, str] = {}
    for part in re.split(r"(\x1b\[[\d;]*m)", text):
        if not part.startswith("\x1b["):
            css = ";".join(f"{k}:{v}" for k, v in style.items())
            clean = html.escape(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", part))
            out.append(f'<span style="{css}">{clean}</span>' if css else clean)
            continue
        for code in part[2:-1].split(";"):
            if code in ("", "0"):
                style = {}
            elif code == "1":
                style["font-weight"] = "bold"
            elif code == "2":
                style["opacity"] = ".6"
            elif code in _COLOURS:
                style["color"] = _COLOURS[code]
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><pre>{''.join(out)}</pre>"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=80)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--last", type=int, help="only so many lines at the end")
    parser.add_argument("--prompt", help="what was typed, if the command stands for something else")
    parser.add_argument("--defects", nargs="+", default=[], help="of a sandbox that is held for the command")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    with wrong(args.defects) if args.defects else contextlib.nullcontext():
        text = settled(printed(args.command, args.width)).rstrip("\n")
    lines = text.split("\n")[-args.last :] if args.last else text.split("\n")
    lines = [f"\x1b[1m$ {args.prompt or ' '.join(args.command)}\x1b[0m", *lines]
    chromium = os.environ.get("CHROMIUM", "chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(to_html("\n".join(lines)))
        size = f"{round(args.width * 8.43) + 40},{round(len(lines) * 18.9) + 30}"
        options = (
            "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars"
        )
        options += " --disable-component-update --disable-sync --force-device-scale-factor=1.5"
        shot = [f"--user-data-dir={folder}/profile", f"--window-size={size}", f"--screenshot={args.out.absolute()}"]
        subprocess.run([chromium, *options.split(), *shot, page.as_uri()], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    _main()
