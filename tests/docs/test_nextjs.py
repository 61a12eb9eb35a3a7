"""examples/nextjs, as far as it can be looked at without npm; `make drill-nextjs` builds and drills it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT

HERE = ROOT / "examples" / "nextjs"
PATCHES = sorted((HERE / "defects").glob("*.patch"))
SOURCES = [p for folder in ("app", "lib", "supabase") for p in sorted((HERE / folder).rglob("*")) if p.is_file()]


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What its experiments claim to catch."""
    catalog = tmp_path_factory.mktemp("nextjs") / "catalog.json"
    own = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "chaos", "checks", "--collect-only", "-q", "-p", "no:randomly"],
        cwd=HERE,
        env={**own, "DIALTONE_CATALOG": str(catalog)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [defect for entry in json.loads(catalog.read_text())["checks"] for defect in entry["catches"]]


def test_every_defect_is_claimed_and_every_claim_is_one(claims: list[str]) -> None:
    """Nothing is claimed that there is not, and nothing is there that nobody claims."""
    assert len(PATCHES) >= 2
    assert sorted(set(claims)) == [patch.stem for patch in PATCHES]


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch")
@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_every_defect_applies_to_the_sources(patch: Path, tmp_path: Path) -> None:
    """Without fuzz: a source that has moved on takes its defects with it. Each begins with what it is, in words."""
    for folder in ("app", "lib", "supabase"):
        shutil.copytree(HERE / folder, tmp_path / folder)
    command = ["patch", "-p1", "--forward", "--fuzz=0", "-i", str(patch)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.match(r"[A-Z][^\n]+\.\n\n--- a/", patch.read_text())


def test_the_application_knows_nothing_of_its_drill() -> None:
    """Not one line for our sake: no word of us or of an interceptor, and the providers' hosts stand in the code."""
    text = "\n".join(path.read_text() for path in SOURCES)
    assert not re.search(r"dialtone|intercept|sandbox|preload|_API_BASE|proxy", text, re.IGNORECASE)
    for host in ("api.retellai.com", "api.telnyx.com", "oauth2.googleapis.com", "www.googleapis.com"):
        assert f"https://{host}/" in text


def test_the_engine_knows_nothing_of_the_application() -> None:
    """Neither its trade nor its framework; `init` alone tells frameworks apart."""
    source = ROOT / "src" / "dialtone"
    texts = {p.relative_to(source): p.read_text() for p in source.rglob("*") if p.suffix in {".py", ".cjs", ".js"}}
    assert len(texts) > 100
    assert [p for p, text in texts.items() if re.search("barber", text, re.I)] == []
    assert {p.parts[0] for p, text in texts.items() if re.search(r"next\.js", text, re.I)} == {"start"}


def test_packages_are_pinned() -> None:
    """Exactly, and without a lock file, which would name the registry of whoever wrote it."""
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert [p.name for p in HERE.iterdir() if re.search("lock|shrinkwrap", p.name)] == []
