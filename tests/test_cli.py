"""The command line as a whole."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dialtone.cli import parser

ROOT = Path(__file__).parents[1]


def test_a_reader_that_went_away_is_no_traceback() -> None:
    """`dialtone checks | head -1` ends in silence, as other programs do."""
    command = subprocess.Popen(
        [sys.executable, "-m", "dialtone.cli", "checks", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait(60) == 141


def test_what_a_command_starts_hears_ctrl_c() -> None:
    """Also where a script started the command with `&`, which has it ignore that."""
    shown = "import signal, subprocess, sys; from dialtone import cli\n"
    shown += "try: cli.main()\nfinally: subprocess.run([sys.executable, '-c', 'import signal;"
    shown += " print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)'], check=True)"
    script = f"{shlex.quote(sys.executable)} -c {shlex.quote(shown)} --help & wait $!"
    told = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout.endswith("\nTrue\n"), told.stderr


def test_every_command_explains_itself() -> None:
    """The help of each command, and of each below it, says in a sentence what it does."""
    seen = list(_below("dialtone", parser()))
    assert len(seen) > 20
    assert [name for name, command in seen if not (command.description or "").strip()] == []


def test_a_command_alone_is_what_it_is_among_all() -> None:
    """Its own room is enough to make it, with the same help; `runbook` alone speaks of the others."""
    (whole,) = _groups(parser())
    for word, command in whole.choices.items():
        (group,) = _groups(parser(word))
        assert (len(group.choices) < 10) != (word == "runbook")
        assert group.choices[word].format_help() == command.format_help()
    (unknown,) = _groups(parser("no-such-command"))
    assert list(unknown.choices) == list(whole.choices)


def test_a_shell_completes_the_commands(tmp_path: Path) -> None:
    """The bash that is here loads what is printed, and finds a command by its beginning."""
    printed = subprocess.run(
        [sys.executable, "-m", "dialtone.cli", "completion", "bash"], capture_output=True, text=True, timeout=60
    )
    assert printed.returncode == 0, printed.stderr
    script = tmp_path / "completion"
    script.write_text(printed.stdout)
    ask = (
        'source "$1"; COMP_WORDS=(dialtone hist); COMP_CWORD=1; _shtab_dialtone dialtone hist dialtone; echo $COMPREPLY'
    )
    told = subprocess.run(["bash", "-c", ask, "bash", str(script)], capture_output=True, text=True, timeout=30)
    assert told.stdout.split() == ["history"]


def _groups(command: argparse.ArgumentParser) -> list[argparse._SubParsersAction[argparse.ArgumentParser]]:
    return [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]


def _below(name: str, command: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, command
    for action in _groups(command):
        for word, inner in action.choices.items():
            yield from _below(f"{name} {word}", inner)
