"""One database that archives its log, and one backup of it, for all tests here; each damages a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dialtone.drill.recovery.backup import Backup, Taking
from dialtone.sandbox import Sandbox
from dialtone.sandbox.postgres import SWITCH

ROWS = 3000


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A recoverable PostgreSQL with a table of 3,000 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIALTONE_RUN_DIR", str(tmp_path_factory.mktemp("runs")))
        with Sandbox.begin(database_only=True, recoverable=True).wait() as made:
            with psycopg.connect(made.admin_database_url, autocommit=True) as connection:
                connection.execute("CREATE TABLE visits (id int PRIMARY KEY, note text, seen_at timestamptz NOT NULL)")
                connection.execute(
                    "INSERT INTO visits SELECT n, 'private-' || n, now() - make_interval(secs => n)"
                    " FROM generate_series(1, 3000) n"
                )
            yield made


@pytest.fixture(scope="session")
def taken(database: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    """A base backup, and some more log after it: three segments at least."""
    place = tmp_path_factory.mktemp("backup")
    backup = Taking(database.admin_database_url, place / "base", database.data.with_name("archive")).finish()
    with psycopg.connect(database.admin_database_url, autocommit=True) as connection:
        for _ in range(3):
            connection.execute("CREATE TABLE brief (x int)")
            connection.execute("DROP TABLE brief")
            row = connection.execute(SWITCH).fetchone()
            assert row is not None
            _until((backup.archive / row[0]).exists)
    return backup


def _until(holds: Callable[[], bool]) -> None:
    from dialtone.probes.journal import eventually

    assert eventually(holds, bool, within=30)


@pytest.fixture
def backup(taken: Backup, tmp_path: Path) -> Backup:
    """A copy that may be damaged; of the archive as well."""
    shutil.copytree(taken.folder, tmp_path / "base", copy_function=_linked)
    shutil.copytree(taken.archive, tmp_path / "archive")
    return replace(taken, folder=tmp_path / "base", archive=tmp_path / "archive")


def _linked(source: str, to: str) -> None:
    """A hard link: thirty megabytes less to copy. Who damages a file replaces it."""
    Path(to).hardlink_to(source)
