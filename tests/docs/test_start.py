"""docs/start.md: what it shows is what the commands write and print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT
from tests.start.test_init import Shop, shop

from dialtone import cli

__all__ = ["shop"]

TEXT = (ROOT / "docs" / "start.md").read_text()
COMMANDS = [
    line.removeprefix("dialtone ")
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if line.startswith("dialtone ")
]


def block(mark: str) -> str:
    """The block of code under a mark."""
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", TEXT, re.S)
    assert found, mark
    return found[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    """As they stand."""
    assert cli.parser().parse_args(shlex.split(command)).run


def test_what_init_writes(tmp_path: Path, shop: tuple[type[Shop], str]) -> None:
    """For the application of the page; its address and the time it took apart."""
    assert cli.main(["init", "--at", str(tmp_path), "--url", shop[1]]) == 0
    written = (tmp_path / "dialtone.toml").read_text().replace(shop[1], "https://app.example.com")
    assert re.sub(r"took [\d,]+ ms", "took 3 ms", written) == block("written")


def test_what_doctor_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the profile and the checks of the page."""
    (tmp_path / "dialtone.toml").write_text(block("profile"))
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_shop.py").write_text(block("checks"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_STRIPE_KEY", "sk_live_canary")
    monkeypatch.delenv("SHOP_DATABASE_URL", raising=False)
    monkeypatch.delenv("DIALTONE_CONFIG", raising=False)
    assert cli.main(["doctor", "--target", "production"]) == 1
    assert capsys.readouterr().out == block("doctor")


def test_what_import_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the configuration of the page, and what it says of the rest."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(block("gatus"))
    assert cli.main(["import", "gatus", "config.yaml"]) == 0
    assert Path("dialtone.toml").read_text() == block("imported")
    assert capsys.readouterr().out == block("left")
