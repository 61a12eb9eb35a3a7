"""The commands `dialtone sandbox …` and `dialtone defects`: what they print, and that it holds no secret."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.conftest import command, leftovers

from dialtone.sandbox import ATTACH_VARIABLE, Sandbox
from dialtone.sandbox import campaign as campaigns
from dialtone.sandbox.commands import add_parser
from dialtone.sandbox.matrix import Claims, Defect, Outcome


def run(*arguments: str) -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(prog="dialtone")
    add_parser(parser.add_subparsers(required=True))
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


@pytest.fixture
def resident(root: Path) -> Iterator[Sandbox]:
    """A resident sandbox with small parts."""
    with Sandbox.begin(command(), standins=command(), resident=True).wait() as started:
        yield started


def _secrets(sandbox: Sandbox) -> list[str]:
    hidden = ("_KEY", "_SECRET", "_TOKEN", "DATABASE_URL")
    return [value for name, value in sandbox.env.items() if name.endswith(hidden)]


def test_status_run_and_down(
    resident: Sandbox, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One is listed with its addresses, lends its environment to a command, and is taken down from outside."""
    assert run("sandbox", "status") == 0
    printed = capfd.readouterr().out
    assert f"{resident.run_id}: resident, up for" in printed
    assert resident.env["SANDBOX_BASE_URL"] in printed
    assert not [secret for secret in _secrets(resident) if secret in printed]

    monkeypatch.setenv(ATTACH_VARIABLE, str(resident.state_file))
    script = "import os, sys; print(os.environ['SANDBOX_BASE_URL']); sys.exit(7)"
    assert run("sandbox", "run", "--", sys.executable, "-c", script) == 7
    assert capfd.readouterr().out.strip() == resident.env["SANDBOX_BASE_URL"]
    assert run("sandbox", "run", "--", "no-such-command") == 127
    assert run("sandbox", "run") == 2
    assert "which command?" in capfd.readouterr().err
    monkeypatch.delenv(ATTACH_VARIABLE)

    ports = resident.ports
    assert run("sandbox", "down") == 0
    assert capfd.readouterr().out.strip() == f"took down {resident.run_id}"
    assert leftovers(resident.run_id, root, ports) == []
    for action, said in (("status", "no sandbox runs"), ("down", "no resident sandbox runs"), ("sweep", "nothing was")):
        assert run("sandbox", action) == 0
        assert said in capfd.readouterr().out


def test_up_holds_until_it_is_interrupted(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints where everything is and how to use it, no secret; Ctrl-C takes the sandbox down."""
    begin, started = Sandbox.begin, []

    def with_small_parts(**options: Any) -> Sandbox:
        started.append(begin(command(), standins=command(), resident=options["resident"]))
        return started[0]

    def interrupted() -> None:
        secrets.extend(_secrets(started[0]))
        raise KeyboardInterrupt

    secrets: list[str] = []
    monkeypatch.setattr(Sandbox, "begin", with_small_parts)
    monkeypatch.setattr("dialtone.sandbox.commands._pause", interrupted)
    monkeypatch.setattr("dialtone.sandbox.commands.signal.signal", lambda *_: None)
    assert run("sandbox", "up") == 0
    printed = capsys.readouterr()
    assert f"export {ATTACH_VARIABLE}={started[0].state_file}" in printed.out
    assert "taking the sandbox down" in printed.err
    assert len(secrets) > 10
    assert not [secret for secret in secrets if secret in printed.out + printed.err]
    assert leftovers(started[0].run_id, root, {}) == []


def test_up_says_why_it_cannot(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A start that fails is one message and exit code 1."""
    begin = Sandbox.begin
    monkeypatch.setattr(Sandbox, "begin", lambda **options: begin(**{**options, "standins": ["no-such-command"]}))
    assert run("sandbox", "up") == 1
    assert "standins cannot be started" in capsys.readouterr().err


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
    monkeypatch.setattr(campaigns, "known_defects", lambda: defects)
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
