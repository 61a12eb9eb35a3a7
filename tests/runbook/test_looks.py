"""The suite's own looks that need what the sandbox has not: function logs by trace id."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dialtone.runbook.diagnosis import looked
from dialtone.runbook.looks import declared
from dialtone.runbook.scene import Scene
from dialtone.target import load

if TYPE_CHECKING:
    from tests.conftest import Server

ROOT = Path(__file__).parents[2]
LOOK = {look.name: look for look in declared([ROOT / "checks"])}["platform_logs"]
PROFILE = """
[target.t]
kind = "preview"
base_url = "{url}"
witnesses = ["http://a", "http://b"]
[target.t.tools.logs]
base_url = "{url}"
credential = "logs_read_token"
paths = {paths}
[target.t.credentials]
logs_read_token = "LOGS_TOKEN"
"""
RED: dict[str, Any] = {
    "id": "pages_answer",
    "runbook": "site-down",
    "verdict": "breach",
    "armed": True,
    "severity": "P0",
    "reason": "answered 500",
    "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
}


def seen(server: Server, folder: Path, paths: str, environ: dict[str, str]) -> dict[str, Any]:
    """What the look finds with these paths of the tool."""
    file = folder / "dialtone.toml"
    file.write_text(PROFILE.format(url=server.url, paths=paths))
    now = datetime.now(UTC)
    with closing(Scene(load(file, "t", environ), [RED], None, now, now)) as scene:
        return looked(LOOK, scene)


def test_the_logs_of_the_failing_request(server: Server, tmp_path: Path) -> None:
    """By its trace id; what a log line quotes is masked."""
    line = b"500 GET /pricing: no slot for 'Mary Miller', call +15005550001\n"
    server.pages["/logs/4bf92f3577b34da6a3ce929d0e0e4736"] = (200, {"content-type": "text/plain"}, line)
    found = seen(server, tmp_path, '{ search = "/logs/{{trace}}" }', {"LOGS_TOKEN": "t0ken-of-the-logs"})
    assert found["rows"] == [{"check": "pages_answer", "said": "500 GET /pricing: no slot for '…', call …"}]
    assert found["lacks"] == []


@pytest.mark.parametrize(
    ("paths", "environ", "lack"),
    [
        ('{ search = "/x" }', {}, "LOGS_TOKEN is not set"),
        ("{}", {"LOGS_TOKEN": "t0ken-of-the-logs"}, "the profile has no tools.logs.paths.search"),
    ],
)
def test_without_them_it_says_so(
    server: Server, tmp_path: Path, paths: str, environ: dict[str, str], lack: str
) -> None:
    """What is missing is named."""
    assert seen(server, tmp_path, paths, environ)["lacks"] == [lack]
