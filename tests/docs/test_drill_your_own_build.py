"""docs/drill-your-own-build.md: its commands are commands, its variables are told, its ports are the closed ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.docs.conftest import ROOT

from dialtone.cli import parser
from dialtone.drill import app
from dialtone.interceptor.redirect import WAYS, environment
from dialtone.sandbox.environment import Plan
from dialtone.sandbox.fence import CLOSED
from dialtone.target.load import sandbox_options

TEXT = (ROOT / "docs" / "drill-your-own-build.md").read_text()


def test_its_commands_are_taken() -> None:
    """Every `dialtone drill` of the page, up to the command of the application, which is not there."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("dialtone ")]
    assert len(commands) == 2
    for words in commands:
        args = parser().parse_args(words)
        args.app = "sh"
        assert "app" in app.options(args)["DIALTONE_APP"]


def test_its_variables_are_told(tmp_path: Path) -> None:
    """Those of the table, by the sandbox or by the way."""
    (tmp_path / "ca.crt").write_text("")
    state = {"authority": str(tmp_path / "ca.crt"), "listen": {"*": "127.0.0.1:1"}, "hosts": []}
    told = set(Plan.make(tmp_path, {}, intercepted=True).for_application())
    for way in WAYS:
        told |= set(environment(state, tmp_path, way, {}))
    [table] = re.findall(r"\| variables \| for \|\n(.*?)\n\n", TEXT, re.S)
    named = {name for row in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", row)}
    assert len(named) > 10
    assert named <= told


def test_its_ways_ports_and_keys_are_those_of_the_code(tmp_path: Path) -> None:
    """A way is not described that is none, and a port not promised to be closed that is open."""
    [table] = re.findall(r"^\| `--way` \|.*\n((?:\|.*\n)+)", TEXT, re.M)
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(WAYS)
    [ports] = re.findall(r"to the ports ([\d, and]+)", TEXT)
    assert set(map(int, re.findall(r"\d+", ports))) == CLOSED
    profile = tmp_path / "dialtone.toml"
    keys = {"app_way": '"proxy"', "app_hosts": '{ a = "stripe" }', "app_schema": '["a.sql"]'}
    assert all(f"`{key}`" in TEXT for key in keys)
    profile.write_text("[target.sandbox]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    assert {"way", "hosts", "schema"} <= set(sandbox_options(profile, "sandbox"))
