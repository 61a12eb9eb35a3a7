"""Does a run hold checks? Told from source text, before anything is imported."""

from __future__ import annotations

import gc
import sys
import traceback
from pathlib import Path

import pytest

from dialtone import scan
from dialtone.scan import holds_checks

CHECK = "from dialtone import check\n\n@check(runbook='x')\ndef test_it(): ...\n"


@pytest.mark.parametrize(
    "source",
    [
        CHECK,
        "from dialtone import check as holds\n\n@holds(runbook='x')\ndef test_it(): ...\n",
        "import dialtone\n\n@dialtone.check(runbook='x')\ndef test_it(): ...\n",
        "from dialtone import experiment\n\n@experiment(runbook='x')\ndef test_it(): ...\n",
        "import pytest\nfrom dialtone import check\n@pytest.mark.slow\n@check(runbook='x')\nasync def test_it(): ...\n",
        "from dialtone import check\nclass TestIt:\n    @check(runbook='x')\n    def test_it(self): ...\n",
    ],
)
def test_checks_are_seen(tmp_path: Path, source: str) -> None:
    """With or without the module's name, in a class, below another decorator."""
    (tmp_path / "test_it.py").write_text(source)
    assert holds_checks([tmp_path])
    assert holds_checks([tmp_path / "test_it.py"])


@pytest.mark.parametrize(
    "source",
    [
        "def test_it(): ...\n",
        "TEXT = '''\nfrom dialtone import check\n@check(runbook='x')\n'''\n",
        "import pandera as pa\n\n@pa.check('column')\ndef test_it(): ...\n",
        "from dialtone import check\n@check(\n",
        "# dialtone: @check(runbook='x')\n",
    ],
)
def test_other_tests_are_no_checks(tmp_path: Path, source: str) -> None:
    """Text, other people's `check` and files that are not Python start nothing."""
    (tmp_path / "test_it.py").write_text(source)
    assert not holds_checks([tmp_path])


@pytest.mark.parametrize("folder", [".venv/lib", "venv/lib", "node_modules/x", "__pycache__", ".git"])
def test_folders_that_hold_no_tests_are_not_read(tmp_path: Path, folder: str) -> None:
    """An environment beside the tests has thousands of files."""
    inside = tmp_path / folder
    inside.mkdir(parents=True)
    (inside / "test_it.py").write_text(CHECK)
    if folder.startswith("venv"):
        (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert not holds_checks([tmp_path])


def test_what_is_not_there_holds_nothing(tmp_path: Path) -> None:
    """A missing path and a file that is not Python are left to pytest."""
    (tmp_path / "notes.txt").write_text(CHECK)
    assert not holds_checks([tmp_path / "missing.py", tmp_path / "notes.txt"])


def test_any_encoding_is_read(tmp_path: Path) -> None:
    """A file in another encoding is not ours to complain about."""
    (tmp_path / "test_it.py").write_bytes(b"# \xff\xfe\n" + CHECK.encode())
    assert holds_checks([tmp_path])


class Failing:
    """Garbage whose end fails."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        assert self.itself is None, "it fails"


def test_garbage_does_not_disturb_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer that fails while a source is read, and whose traceback is told: CPython gets that wrong."""
    told: list[list[str]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda e: told.append(traceback.format_exception(e.exc_value)))
    text = Path(scan.__file__).read_text()
    before = gc.get_threshold()
    try:
        gc.set_threshold(200, 1, 1)
        for _ in range(20):
            for _ in range(20):
                Failing()
            assert scan.syntax(text).body
    finally:
        gc.set_threshold(*before)
    gc.collect()  # whatever was not collected between two readings
    assert told
