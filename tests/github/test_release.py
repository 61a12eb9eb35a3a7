"""A release: what stops one, and every `run:` step of its workflow with the event of a tag."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.github import payloads
from tests.github.actions import Run, Runner
from tests.github.conftest import Site, environment

ROOT = Path(__file__).parents[2]
FLOW = ROOT / ".github/workflows/release.yml"
_spec = importlib.util.spec_from_file_location("release", ROOT / "deploy/release.py")
assert _spec
assert _spec.loader
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)
PYTHON = """#!/bin/sh
case "$*" in *release.py*) exec python "$@";; esac
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that may be released as v1.2.0, with an environment whose Python is only noted."""
    (tmp_path / "src/dialtone").mkdir(parents=True)
    (tmp_path / "src/dialtone/__init__.py").write_text('"""It."""\n__version__ = "1.2.0"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "pytest-dialtone"\nversion = "1.2.0"\n')
    (tmp_path / "constraints.txt").write_text("")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 (2027-01-04)\n\n- New.\n\n## 1.1.0 (2026-12-01)\n")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(PYTHON)
    (tmp_path / ".venv/bin/python").chmod(0o755)
    (tmp_path / ".venv/.installed").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "tag", "said"),
    [
        ("pyproject.toml", "", "", "v1.2.1", "the tag is v1.2.1, pyproject.toml says 1.2.0"),
        ("pyproject.toml", "", "", "1.2.0", "tag v1.2.0, or write the version there"),
        ("src/dialtone/__init__.py", "1.2.0", "1.1.0", "v1.2.0", "__init__.py says 1.1.0, pyproject.toml 1.2.0"),
        ("src/dialtone/__init__.py", "__version__", "version", "v1.2.0", "__init__.py says nothing"),
        ("CHANGELOG.md", "2027-01-04", "unreleased", "v1.2.0", "no line `## 1.2.0 (YYYY-MM-DD)`"),
        ("CHANGELOG.md", "## 1.2.0", "## 1x2.0", "v1.2.0", "no line `## 1.2.0 (YYYY-MM-DD)`"),
    ],
)
def test_what_stops_a_release(
    tree: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, tag: str, said: str
) -> None:
    """One thing that does not agree, told with what to write."""
    assert release.main(["check", "v1.2.0"], tree) == 0
    (tree / file).write_text((tree / file).read_text().replace(old, new))
    assert release.main(["check", tag], tree) == 1
    assert said in capsys.readouterr().err


def test_this_tree_says_one_version() -> None:
    """Whatever its changelog says, the version stands in two places alike."""
    assert not [why for why in release.refusals("v0") if "__init__" in why]


def steps(tree: Path, site: Site, job: str, tag: str = "v1.2.0") -> tuple[Run, list[list[str]]]:
    """A job of the workflow; what it would build is there afterwards."""
    ran: list[list[str]] = []

    def started(argv: list[str], _env: Mapping[str, str]) -> int:
        ran.append(argv)
        if argv[:2] != ["python", "deploy/release.py"]:
            assert argv[:2] == ["python", "-m"]
            return 0
        if argv[2] == "check":
            return release.main(argv[2:], tree)
        (tree / "dist").mkdir()
        for name in ("-1.2.0-py3-none-any.whl", "-1.2.0.tar.gz", "-1.2.0.cdx.json"):
            (tree / f"dist/pytest_dialtone{name}").touch()
        return 0

    env = environment(tree, site, "push", payloads.tag(tag))
    return Runner(tree, env, started).job(FLOW, job, github={"ref_name": tag}), ran


def test_a_tag_is_built_and_published(tree: Path, site: Site) -> None:
    """The tag is held against the tree before anything is built; the job that publishes builds nothing."""
    built, ran = steps(tree, site, "build")
    assert built.status == "success"
    assert ran == [["python", "deploy/release.py", "check", "v1.2.0"], ["python", "deploy/release.py", "build"]]
    assert sorted(p.suffix for p in built.uploads["dist"].iterdir()) == [".gz", ".json", ".whl"]
    published, ran = steps(tree, site, "publish")
    assert published.status == "success"
    assert ran[-1][1:6] == ["-m", "uv", "publish", "--trusted-publishing", "always"]
    told = yaml.safe_load(FLOW.read_text())["jobs"]
    assert sum("run" in step for job in told.values() for step in job["steps"]) == 2 + len(ran)
    assert ran[-1][-2:] == ["dist/pytest_dialtone-1.2.0-py3-none-any.whl", "dist/pytest_dialtone-1.2.0.tar.gz"]


@pytest.mark.parametrize("tag", ["v1.2.1", "v1.2.0$(touch owned)", 'v1.2.0";touch owned;"'])
def test_another_tag_builds_nothing(tree: Path, site: Site, tag: str) -> None:
    """Not even one that a shell would take for more than a name."""
    built, ran = steps(tree, site, "build", tag)
    assert built.status == "failure"
    assert ran == [["python", "deploy/release.py", "check", tag]]
    assert not (tree / "owned").exists()
    assert built.uploads == {}


def test_only_what_publishes_may_ask_in_our_name() -> None:
    """The right to an identity is one job's alone, in an environment; it checks nothing out and reads no secret."""
    told = yaml.safe_load(FLOW.read_text())
    holding = [name for name, job in told["jobs"].items() if "id-token" in job["permissions"]]
    assert holding == ["publish"]
    publish = told["jobs"]["publish"]
    assert (publish["permissions"], publish["environment"]["name"]) == ({"id-token": "write"}, "pypi")
    assert not any("checkout" in step.get("uses", "") for step in publish["steps"])
    assert "secrets" not in FLOW.read_text()


def test_the_build_in_its_order(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built apart, then the SBOM of an environment that holds the wheel that was built, pinned, without our tools."""
    ran: list[list[str]] = []

    def run(command: list[str], env: Mapping[str, str]) -> None:
        ran.append(list(command))
        if "build" in command:
            (tree / "dist").mkdir()
            (tree / "dist/pytest_dialtone-1.2.0-py3-none-any.whl").touch()
        assert env["PATH"] == os.environ["PATH"]

    (tree / "dist").mkdir()
    (tree / "dist/pytest_dialtone-1.1.0-py3-none-any.whl").touch()
    monkeypatch.setattr(release, "_run", run)
    assert [p.name for p in release.build(tree)] == ["pytest_dialtone-1.2.0-py3-none-any.whl"]
    build, install, bill = ran
    assert build[-1] == str(tree)
    assert install[-1].startswith(str(tree / "dist/pytest_dialtone-1.2.0-py3-none-any.whl["))
    assert "constraints.txt" in " ".join(install)
    assert not {"dev", "docs", "bench", "release"} & set(install[-1].partition("[")[2].rstrip("]").split(","))
    assert str(tree / "dist/pytest_dialtone-1.2.0.cdx.json") in bill
    assert bill[-1] == str(tree / "build/release/bin/python")
