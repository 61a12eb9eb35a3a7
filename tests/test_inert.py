"""Where there is no check nothing changes: the same exit code, the same output, nothing imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOREIGN = """
import logging, warnings
import pytest

@pytest.fixture
def thing():
    yield "jane"
    print("left")

@pytest.mark.parametrize("n", [1, 2])
def test_good(n, thing, record_property):
    record_property("n", n)

def test_bad(thing):
    print("seen")
    logging.getLogger("x").warning("logged")
    assert thing == "joe"

def test_error(spoilt): ...

@pytest.fixture
def spoilt():
    raise KeyError("jane")

def test_skip():
    pytest.skip("not today")

@pytest.mark.xfail
def test_xfail():
    assert False

def test_warn():
    warnings.warn("odd jane", UserWarning)
"""
HEAVY = ["pydantic", "pydantic_settings", "httpx", "httpcore", "psycopg", "allure_commons"]


def run(folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of a run of pytest in a process of its own, without what differs from run to run."""
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:randomly", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    text = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("plugins:"))
    text = re.sub(r"in \d+\.\d+s|0x[0-9a-f]+|\[gw\d\]", "", text)
    return done.returncode, re.sub(r"=+", "=", text)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A suite that has never heard of dialtone."""
    (tmp_path / "test_foreign.py").write_text(FOREIGN)
    return tmp_path


@pytest.mark.parametrize("profile", ["", "[target.preview]\nkind = 'nonsense'\n"], ids=["no profile", "a profile"])
@pytest.mark.parametrize("options", [(), ("--showlocals", "-vv")], ids=["plain", "loud"])
def test_a_foreign_suite_is_left_alone(foreign: Path, profile: str, options: tuple[str, ...]) -> None:
    """Without a profile, and with one that nobody asks about, wrong as it may be."""
    if profile:
        (foreign / "dialtone.toml").write_text(profile)
    without = run(foreign, "-p", "no:dialtone", *options)
    assert without[0] == 1
    assert "1 failed, 3 passed, 1 skipped, 1 xfailed, 1 warning, 1 error" in without[1]
    assert run(foreign, *options) == without
    assert not (foreign / "build").exists()


def test_a_foreign_suite_is_left_alone_by_every_worker(foreign: Path) -> None:
    """Under xdist as well; the order of its lines is nobody's."""
    pytest.importorskip("xdist")
    (foreign / "dialtone.toml").write_text("")
    found = [run(foreign, "-n2", *options) for options in ((), ("-p", "no:dialtone"))]
    assert found[0][0] == found[1][0] == 1
    lines = [sorted(re.sub(r"^[.sxFE]+(?= )", "PROGRESS", line) for line in text.splitlines()) for _, text in found]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("profile", [False, True], ids=["no profile", "a profile"])
def test_nothing_heavy_is_imported(tmp_path: Path, profile: bool) -> None:
    """Profiles and HTTP cost a third of a second, which only a run of checks pays."""
    if profile:
        (tmp_path / "dialtone.toml").write_text("")
    (tmp_path / "test_it.py").write_text(
        f"import sys\ndef test_it():\n    assert [m for m in {HEAVY} if m in sys.modules] == []\n"
    )
    options = ["-p", "dialtone.plugin", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_plugin_is_one_light_module() -> None:
    """Importing it imports pytest and nothing else of this package."""
    code = "import sys, dialtone.plugin; print(sorted(m for m in sys.modules if m.startswith('dialtone')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['dialtone', 'dialtone.plugin']"


def test_nothing_is_done_for_a_test_where_none_is_a_check(tmp_path: Path) -> None:
    """Beside a profile the plugin watches until everything is collected, and then steps aside."""
    (tmp_path / "dialtone.toml").write_text("")
    (tmp_path / "test_it.py").write_text(
        "def test_it(request):\n"
        "    names = [n for n, _ in request.config.pluginmanager.list_name_plugin() if n.startswith('dialtone-')]\n"
        "    assert names == ['dialtone-hooks']\n"
    )
    assert run(tmp_path)[0] == 0


def test_no_option_where_there_is_no_profile(tmp_path: Path) -> None:
    """Another suite's conftest may have its own --target."""
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--target')\n")
    (tmp_path / "test_it.py").write_text("def test_it(request):\n    assert request.config.option.target == 'x'\n")
    assert run(tmp_path, "--target=x")[0] == 0
