"""The commands `dialtone sandbox …` and `dialtone defects`: what they print, and that it holds no secret."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.conftest import command, leftovers

from dialtone.sandbox import ATTACH_VARIABLE, Sandbox, SandboxError
from dialtone.sandbox import campaign as campaigns
from dialtone.sandbox import folder as folders
from dialtone.sandbox.commands import add_parser
from dialtone.sandbox.controller import stop_resident
from dialtone.sandbox.matrix import Claims, Defect, Outcome
from dialtone.sandbox.processes import start_time


def run(*arguments: str) -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(prog="dialtone")
    add_parser(parser.add_subparsers(required=True))
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


def _secrets(sandbox: Sandbox) -> list[str]:
    hidden = ("_KEY", "_SECRET", "_TOKEN", "DATABASE_URL")
    return [value for name, value in sandbox.env.items() if name.endswith(hidden)]


@pytest.fixture
def up(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Sandbox], None]], Sandbox]:
    """`dialtone sandbox up` with small parts, which does something while it is up."""
    begin, started = Sandbox.begin, []

    def with_small_parts(**options: Any) -> Sandbox:
        started.append(begin(command(), standins=command(), resident=options["resident"]))
        return started[0]

    def hold(meanwhile: Callable[[Sandbox], None]) -> Sandbox:
        monkeypatch.setattr("dialtone.sandbox.commands._pause", lambda: meanwhile(started[0]))
        assert run("sandbox", "up") == 0
        return started[0]

    monkeypatch.setattr(Sandbox, "begin", with_small_parts)
    monkeypatch.setattr("dialtone.sandbox.commands.signal.signal", lambda *_: None)
    return hold


def test_up_and_what_can_be_done_meanwhile(
    up: Callable[[Callable[[Sandbox], None]], Sandbox],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is listed, lends its environment to commands, and is taken down from outside; no secret is printed."""
    secrets: list[str] = []
    ports: dict[str, int] = {}
    printed: list[str] = []

    def said() -> str:
        out, err = capfd.readouterr()
        printed.append(out + err)
        return out + err

    def meanwhile(sandbox: Sandbox) -> None:
        secrets.extend(_secrets(sandbox))
        ports.update(sandbox.ports)
        base_url = sandbox.env["SANDBOX_BASE_URL"]
        assert f"export {ATTACH_VARIABLE}={sandbox.state_file}" in said()
        assert run("sandbox", "status") == 0
        assert f"{sandbox.run_id}: resident, up for" in said()
        assert base_url in printed[-1]
        with monkeypatch.context() as attached:
            attached.setenv(ATTACH_VARIABLE, str(sandbox.state_file))
            script = "import os, sys; print(os.environ['SANDBOX_BASE_URL']); sys.exit(7)"
            assert run("sandbox", "run", "--", sys.executable, "-c", script) == 7
            assert said().strip() == base_url
            assert run("sandbox", "run", "--", "no-such-command") == 127
            assert run("sandbox", "run") == 2
            assert "which command?" in said()
        assert run("sandbox", "down") == 0
        assert said().strip() == f"took down {sandbox.run_id}"
        assert leftovers(sandbox.run_id, root, ports) == []

    up(meanwhile)
    for action, word in (("status", "no sandbox runs"), ("down", "no resident sandbox runs"), ("sweep", "nothing was")):
        assert run("sandbox", action) == 0
        assert word in said()
    assert len(secrets) > 10
    assert not [secret for secret in secrets if secret in "".join(printed)]


def test_up_ends_with_an_interrupt(
    up: Callable[[Callable[[Sandbox], None]], Sandbox], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C takes the sandbox down."""

    def interrupted(_: Sandbox) -> None:
        raise KeyboardInterrupt

    sandbox = up(interrupted)
    assert "taking the sandbox down" in capsys.readouterr().err
    assert leftovers(sandbox.run_id, root, {}) == []


def test_down_tells_what_does_not_end(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A supervisor that hears nothing: it is there still, and that is said; one of a run is left alone."""
    deaf = subprocess.Popen(["sleep", "600"])
    deaf.send_signal(signal.SIGSTOP)
    os.waitpid(deaf.pid, os.WUNTRACED)  # of two signals that it has not seen yet SIGTERM would come first
    try:
        made = [folders.create(folders.new_run_id()) for _ in range(2)]
        for folder, resident in zip(made, (True, False), strict=True):
            folder.write("state.json", {"supervisor": [deaf.pid, start_time(deaf.pid)], "resident": resident})
        monkeypatch.setattr("dialtone.sandbox.commands.stop_resident", partial(stop_resident, seconds=0.05))
        assert run("sandbox", "down") == 1
        assert capsys.readouterr().out.startswith(f"told to end and still there: {made[0].run_id}; ")
        for folder in made:
            folder.remove()
    finally:
        deaf.kill()
        deaf.wait()


def test_up_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A start that fails is one message and exit code 1."""

    def begin(**_: Any) -> Sandbox:
        raise SandboxError("the sandbox did not start: no room")

    monkeypatch.setattr(Sandbox, "begin", begin)
    assert run("sandbox", "up") == 1
    assert capsys.readouterr().err == "the sandbox did not start: no room\n"


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """`dialtone defects` over three defects whose rounds are made up; answers which were chosen."""
    defects = {name: Defect(name, name) for name in ("a", "b", "c")}
    chosen: list[list[str]] = []

    def made_up(_: object, names: list[str]) -> Outcome:
        chosen.append(names)
        entries = [{"id": name, "caught": name != "c"} for name in names]
        return Outcome({"defects": entries, "never_red": []}, ["c is caught by nobody: c"] if "c" in names else [])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(campaigns, "known_defects", lambda *_: defects)
    monkeypatch.setattr(campaigns, "known_claims", lambda *_: [Claims("t", "t", ("a", "b", "c"))])
    monkeypatch.setattr("dialtone.sandbox.rounds.Campaign.run", made_up)
    return chosen


def test_defects_fails_with_a_sentence(matrix: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, the reason for people, the result for machines."""
    assert run("defects", "--json") == 1
    printed = capsys.readouterr()
    assert "2 of 3 defects caught, 1 complaint\n  c is caught by nobody: c" in printed.err
    written = json.loads(Path("build/defects.json").read_text())
    assert written == {"defects": json.loads(printed.out)["defects"], "never_red": []}


def test_defects_may_be_chosen(matrix: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """By name, or so many by a seed, which always chooses the same."""
    assert run("defects", "--only", "b", "a") == 0
    assert run("defects", "--only", "x") == 2
    assert "no such defect: x; there are a, b, c" in capsys.readouterr().err
    for _ in range(2):
        run("defects", "--sample", "2", "--seed", "5")
    assert matrix[0] == ["a", "b"]
    assert matrix[1] == matrix[2]
    assert len(matrix[1]) == 2
