"""What another package brings: installed as an installer would, then used in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dialtone import extension

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/extension"
USE = """
    import json, sys, urllib.request
    from dialtone.incidents.channels import KINDS, build, lacks
    from dialtone.incidents.message import Message
    from dialtone.interceptor.mechanism import mechanisms
    from dialtone.signing import scheme
    from dialtone.target.alerting import Channel

    ports = json.loads(sys.argv[1])
    channel = Channel(kind="acme-pager", secret="ACME_KEY", url=f"http://127.0.0.1:{ports['acme']}")
    pager = build("pager", channel)
    for seq in (1, 1, 2):
        message = Message("I-1", seq, "opened", 1.0, "sandbox", "acme", "P1", "open", 1.0)
        pager.send(message, {}, doubt=False)
    pager.close()
    journal = urllib.request.Request(
        f"http://127.0.0.1:{ports['journal']}/requests?provider=acme", headers={"authorization": "Bearer journal"}
    )
    with urllib.request.urlopen(journal, timeout=30) as answer:
        accepted = [entry["status"] for entry in json.load(answer)["requests"]]
    print(json.dumps({
        "signed": scheme("acme").sign(b"{}", key="k", at=7.9, event_id="e"),
        "fault": mechanisms()["shout"].__module__,
        "people": KINDS["acme-pager"].people,
        "lacks": [lacks(channel), lacks(channel, {})],
        "kinds": sorted(KINDS)[:2],
        "accepted": accepted,
    }))
"""


def install(folder: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """The metadata of an installed distribution, as the entry points specification has them."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n")
    told = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items())
    (info / "entry_points.txt").write_text("\n".join(told))


def environment(folder: Path) -> dict[str, str]:
    """Where a process finds the packages of a folder, the example's code and ours."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (folder, EXAMPLE, ROOT / "src"))),
        "ACME_KEY": "k-acme-1",
    }


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the packages of a folder."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=120, cwd=folder)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed: its entry points are read from its own pyproject.toml."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "dialtone-acme", tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"])
    return folder


@pytest.fixture(scope="module")
def ports(site: Path) -> Iterator[dict[str, int]]:
    """The stand-ins as the sandbox starts them, the example's among them."""
    import socket

    held = {name: socket.create_server(("127.0.0.1", 0)) for name in ("acme", "journal")}
    numbers = {name: listener.getsockname()[1] for name, listener in held.items()}
    for listener in held.values():
        listener.close()
    told = {"ports": numbers, "secrets": {"acme_key": "k-acme-1", "journal_token": "journal"}}
    (site / "standins.json").write_text(json.dumps(told))
    command = [sys.executable, "-m", "dialtone.standins", "--config", str(site / "standins.json"), "--until-eof"]
    with subprocess.Popen(command, env=environment(site), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        yield numbers
        process.stdin.close()


def test_each_group_of_the_example_is_found_and_used(site: Path, ports: dict[str, int]) -> None:
    """Its scheme signs, its channel pages its stand-in over a socket, its fault can be planned."""
    done = run(site, USE, json.dumps(ports))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["signed"]["Acme-Signature"].startswith("7.")
    assert told["fault"] == "dialtone_acme.fault"
    assert told["people"] is True
    assert told["lacks"] == ["", "ACME_KEY is not set"]
    assert told["kinds"] == ["acme-pager", "pagerduty"]
    assert told["accepted"] == [202, 202, 202]


def test_its_probe_is_a_fixture_of_a_run(site: Path, tmp_path: Path) -> None:
    """A package's probes come by pytest's own entry point."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--fixtures", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment(site), capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert "acme_backlog" in done.stdout, done.stderr


APP = """
import http.server, os, urllib.request

class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        headers = {"authorization": "Acme " + os.environ["ACME_KEY"], "idempotency-key": "one"}
        asked = urllib.request.Request(os.environ["ACME_API_BASE"] + "/pages", b"{}", headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            self.send_response(answer.status)
        self.send_header("content-length", "0")
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
"""
CHECK = '''
from dialtone import check, expect

@check(runbook="acme", needs=["values.acme", "credentials.acme_key"])
def test_shop_pages_acme(target, http):
    """The application was let in, and a wrong key is not."""
    expect(http.get("/")).status(202)
    for key, status in ((target.credentials["acme_key"], 202), ("wrong", 401)):
        headers = {"authorization": f"Acme {key}", "idempotency-key": "one"}
        expect(http.post(target.profile.values["acme"] + "/pages", json={}, headers=headers)).status(status)
'''


@pytest.mark.parametrize("there", [True, False], ids=["brought", "nobody-brings-it"])
def test_its_stand_in_starts_with_the_sandbox_of_a_profile(site: Path, tmp_path: Path, there: bool) -> None:
    """By its name in the profile of docs/extend.md: application and checks are told address and key."""
    docs = (ROOT / "docs/extend.md").read_text()
    profile = docs.partition("<!-- profile -->\n```toml\n")[2].partition("```")[0]
    (tmp_path / "dialtone.toml").write_text(profile if there else profile.replace('["acme"]', '["nope"]'))
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/test_acme.py").write_text(CHECK)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "checks", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        env=environment(site), capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    if there:
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((tmp_path / "build/verdicts.json").read_text())["checks"][0]["verdict"] == "ok"
    else:
        assert done.returncode != 0
        assert "no installed package brings 'nope', there are: acme" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            {"signing": {"stripe": "dialtone_acme.signing:SCHEME"}},
            "other 1.0 brings the signing 'stripe', which is ours",
        ),
        ({"signing": {"acme": "dialtone_acme.channel:ABOUT"}}, "two packages bring the signing 'acme': dialtone-acme"),
        ({"signing": {"void": "dialtone_acme.channel:ABOUT"}}, "'void' (dialtone_acme.channel:ABOUT) has no `sign`"),
        ({"signing": {"gone": "no_such_module"}}, "cannot be imported: ModuleNotFoundError"),
    ],
    ids=["ours", "two", "lacks", "gone"],
)
def test_what_cannot_be_used_is_said_with_its_package(
    site: Path, tmp_path: Path, groups: dict[str, dict[str, str]], said: str
) -> None:
    """Package, group and name, instead of a traceback from somewhere."""
    install(tmp_path, "other", {f"dialtone.{group}": points for group, points in groups.items()})
    name = next(iter(groups["signing"]))
    program = f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        from dialtone import extension, signing
        try:
            signing.scheme({name!r})
            extension.brought("signing", signing.SCHEMES)
        except extension.ExtensionError as error:
            print(error)
    """
    assert said in run(tmp_path, program).stdout


def test_nothing_installed_brings_nothing() -> None:
    """The suite's own environment has no package of others."""
    assert {group: dict(extension.brought(group)) for group in extension.GROUPS} == {g: {} for g in extension.GROUPS}


def test_the_page_shows_the_entry_points_of_the_example() -> None:
    """What docs/extend.md prints is a piece of the example's pyproject.toml."""
    page = (ROOT / "docs/extend.md").read_text()
    shown = page.split("```toml\n")[1].split("```")[0]
    assert shown.strip() in (EXAMPLE / "pyproject.toml").read_text()
