"""The history of earlier runs: the newest that is ours and whole; else it is said, and nothing is written over."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from tests.github import payloads
from tests.github.actions import outputs
from tests.github.conftest import TOKEN, Site, environment

from dialtone.github import keep
from dialtone.github.job import Job, recall
from dialtone.history.store import Store
from dialtone.signing import sealed
from dialtone.standins.github import Artifact

NAME = "dialtone-history-production"


def zipped(name: str, content: bytes) -> bytes:
    """An artifact's archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return made.getvalue()


@pytest.fixture
def history(tmp_path: Path) -> bytes:
    """An empty history."""
    Store.open(tmp_path / "made.db").close()
    return (tmp_path / "made.db").read_bytes()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's folder."""
    for name in ("DIALTONE_HISTORY", keep.SECRET, keep.RECIPIENT):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def job(here: Path, site: Site, **repository: object) -> Job:
    """A scheduled one."""
    env = environment(here, site, "schedule", payloads.schedule(**repository))
    made = Job({**env, "GITHUB_TOKEN": TOKEN, "GITHUB_OUTPUT": str(here / "out")})
    return site.kept.enter_context(closing(made))


def restored(here: Path, site: Site, **repository: object) -> tuple[str, str]:
    """What is told, and the output."""
    (here / "out").unlink(missing_ok=True)
    told = keep.restore(job(here, site, **repository), "production")
    return told, outputs((here / "out").read_text())["history"]


def test_the_newest_of_ours(here: Path, site: Site, history: bytes) -> None:
    """Not one of another branch, of a fork under the same name, expired, or of another target."""
    whole = zipped("history.db", history)
    site.github.held.artifacts = [
        Artifact(NAME, whole),
        Artifact(NAME, whole, branch="topic"),
        Artifact(NAME, whole, fork=True),
        Artifact(NAME, whole, expired=True),
        Artifact("dialtone-history-preview", whole),
    ]
    told, where = restored(here, site)
    assert (where, "artifact 0" in told) == ("build/history.db", True)
    assert Path(where).is_file()
    assert recall()["history"] == {"keep": True}


def test_none_is_there(here: Path, site: Site) -> None:
    """It begins, and the log says so."""
    told, where = restored(here, site)
    assert "the history begins with this run" in told
    assert where == "build/history.db"


@pytest.mark.parametrize("bad", [b"", b"PK\x03\x04 half", b"no archive at all"])
def test_a_damaged_one_gives_way_to_the_one_before(here: Path, site: Site, history: bytes, bad: bytes) -> None:
    """An upload that was cut."""
    site.github.held.artifacts = [Artifact(NAME, zipped("history.db", history)), Artifact(NAME, bad)]
    told, where = restored(here, site)
    assert (where, "artifact 0" in told) == ("build/history.db", True)


@pytest.mark.parametrize("bad", [b"no archive", zipped("other.db", b"x"), zipped("history.db", b"no database" * 99)])
def test_only_damaged_ones(here: Path, site: Site, bad: bytes) -> None:
    """The run goes on without, keeps nothing, and will be red."""
    site.github.held.artifacts = [Artifact(NAME, bad)]
    told, where = restored(here, site)
    assert told.startswith("::error title=history::")
    assert (where, recall()["history"]["keep"]) == ("off", False)


def test_an_older_schema_is_brought_forward(here: Path, site: Site, tmp_path: Path) -> None:
    """What an older program has written is read and goes on."""
    from dialtone.history.schema import MIGRATIONS, NEWEST

    with sqlite3.connect(tmp_path / "old.db") as old:
        words = {"key": "INTEGER PRIMARY KEY", "blob": "BLOB", "clustered": "WITHOUT ROWID"}
        old.execute("CREATE TABLE dialtone_schema (version INTEGER PRIMARY KEY, applied BIGINT)")
        for statement in MIGRATIONS[0]:
            old.execute(statement.format(**words))
        old.execute("INSERT INTO dialtone_schema VALUES (1, 0)")
    old.close()
    site.github.held.artifacts = [Artifact(NAME, zipped("history.db", (tmp_path / "old.db").read_bytes()))]
    _, where = restored(here, site)
    with sqlite3.connect(where) as found:
        assert found.execute("SELECT max(version) FROM dialtone_schema").fetchone()[0] == NEWEST
    found.close()


def test_a_sealed_one_needs_its_key(
    here: Path, site: Site, history: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, with another one, with the right one."""
    secret, recipient = sealed.new_key()
    (tmp_path / "history.db").write_bytes(history)
    box = sealed.seal(sealed.packed([tmp_path / "history.db"], tmp_path), recipient)
    site.github.held.artifacts = [Artifact(NAME, zipped("history.sealed", box))]
    assert "give the step the secret DIALTONE_REPORT_KEY" in restored(here, site)[0]
    monkeypatch.setenv(keep.SECRET, sealed.new_key()[0])
    assert "the key does not open it" in restored(here, site)[0]
    monkeypatch.setenv(keep.SECRET, secret)
    assert restored(here, site)[1] == "build/history.db"


def test_a_server_needs_no_artifact(here: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked for."""
    monkeypatch.setenv("DIALTONE_HISTORY", "postgresql://h.example/x")
    assert restored(here, site)[1] == ""
    assert site.github.asked == []


def test_an_archive_cannot_leave_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor fill the disk."""
    with pytest.raises(sealed.SealError, match="leads out"):
        sealed.unpacked(zipped("../outside.db", b"x"), tmp_path / "in")
    monkeypatch.setattr(sealed, "MOST", 1000)
    with pytest.raises(sealed.SealError, match="more than 1,000 bytes"):
        sealed.unpacked(zipped("large", b"0" * 100_000), tmp_path / "in")
    assert not (tmp_path / "outside.db").exists()


def test_a_sealed_report_without_a_key(here: Path, site: Site) -> None:
    """It is an error that names the secret; told and no error where it may be missing."""
    site.github.held.artifacts = [Artifact("allure", zipped("report.sealed", b"box"))]
    made = job(here, site)
    with pytest.raises(sealed.SealError, match=keep.SECRET):
        keep.fetch(made, "allure", ["allure-history.jsonl"])
    assert keep.SECRET in keep.fetch(made, "allure", ["allure-history.jsonl"], optional=True)
    assert outputs((here / "out").read_text()) == {"found": ""}


def test_parts_get_another_name(here: Path, site: Site) -> None:
    """A later one of the same name counts; what the artifact does not hold is left out."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in ("public/public.json", "verdicts.json", "results/a.json"):
            archive.writestr(name, name)
    site.github.held.artifacts = [Artifact("report", made.getvalue())]
    keep.fetch(job(here, site), "report", ["public/public.json=v.json", "verdicts.json=v.json", "results", "none"])
    assert outputs((here / "out").read_text())["found"].split() == ["v.json", "v.json", "results"]
    assert Path("build/v.json").read_text() == "verdicts.json"
    assert [p.name for p in Path("build/results").iterdir()] == ["a.json"]
