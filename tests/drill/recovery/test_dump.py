"""Dumps in every format: what is whole restores, what is not is refused in words that quote no row."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from dialtone.drill.recovery.dump import Dump, DumpRefused, opened, restore, take
from dialtone.drill.recovery.proof import Table, contents, counted
from dialtone.probes.database import Database
from dialtone.sandbox import Sandbox
from dialtone.sandbox.postgres import program
from dialtone.sandbox.restore import in_database, libpq

NUMBERS = count()
FORMS = ("custom", "tar", "directory", "plain")


@pytest.fixture(scope="module")
def dumps(database: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same database in every format."""
    folder = tmp_path_factory.mktemp("dumps")
    for form in FORMS:
        command = [str(program("pg_dump")), f"--format={form}", f"--file={folder / form}", "--schema=public"]
        subprocess.run(command, check=True, env=libpq(database.admin_database_url))
    return {form: folder / form for form in FORMS}


@pytest.fixture
def empty(database: Sandbox) -> Iterator[str]:
    """URL of a new database."""
    name = f"empty_{next(NUMBERS)}"
    with psycopg.connect(database.admin_database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield in_database(database.admin_database_url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def look() -> Iterator[Callable[[str], Database]]:
    """`look(url)`: a database that is closed after the test."""
    made: list[Database] = []

    def connect(url: str) -> Database:
        made.append(Database(url))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_dump_restores(dumps: dict[str, Path], empty: str, look: Callable[[str], Database], form: str) -> None:
    """Every row is back; the newest time of each column is told, and that it is recent."""
    dump = opened(dumps[form])
    assert dump.format == form
    assert restore(dump, empty, ["public"]) > 0
    found = contents(look(empty), ["public"], required={"visits": ["id", "note"]}, queries={})
    assert [(t.name, t.rows) for t in found.tables] == [("public.visits", 3000)]
    assert list(found.tables[0].newest) == ["seen_at"]
    assert (found.missing, found.notes) == ([], [])


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("form", ["custom", "tar", "plain"])
def test_a_dump_that_is_cut_off_is_refused(
    dumps: dict[str, Path], empty: str, tmp_path: Path, form: str, share: float
) -> None:
    """Wherever it ends: when it is opened, or at the latest when it is restored."""
    data = dumps[form].read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DumpRefused) as refused:
        restore(opened(tmp_path / "cut"), empty, ["public"])
    assert "private" not in str(refused.value)
    assert "cut" in str(refused.value) or "restore" in str(refused.value)


@pytest.mark.parametrize("less", [1, 512, 1024, 4096])
def test_a_tar_that_lacks_its_end_is_refused(dumps: dict[str, Path], tmp_path: Path, less: int) -> None:
    """Its last member is a script that no restore needs: nobody else would notice that some of it is missing."""
    (tmp_path / "cut").write_bytes(dumps["tar"].read_bytes()[:-less])
    with pytest.raises(DumpRefused, match="cut off"):
        opened(tmp_path / "cut")


def test_a_folder_that_lacks_a_file_is_refused(dumps: dict[str, Path], empty: str, tmp_path: Path) -> None:
    """The rows of a table are a file of their own there."""
    import shutil

    folder = tmp_path / "dump"
    shutil.copytree(dumps["directory"], folder)
    next(path for path in folder.iterdir() if path.name != "toc.dat").unlink()
    with pytest.raises(DumpRefused, match="does not restore"):
        restore(opened(folder), empty, ["public"])
    (folder / "toc.dat").unlink()
    with pytest.raises(DumpRefused, match=r"without toc\.dat"):
        opened(folder)


def test_rows_are_not_quoted(dumps: dict[str, Path], empty: str, tmp_path: Path) -> None:
    """A row that does not fit is an error of PostgreSQL that quotes it: of that, the line is told."""
    text = dumps["plain"].read_text().replace("private-7\t", "private-7\tnonsense", 1)
    (tmp_path / "sql").write_text(text)
    with pytest.raises(DumpRefused, match=r"an error in line \d+ \(22007\)") as refused:
        restore(opened(tmp_path / "sql"), empty, ["public"])
    assert "private" not in str(refused.value)


def test_owners_that_are_not_here_are_no_loss(dumps: dict[str, Path], empty: str, tmp_path: Path) -> None:
    """Production's roles and some of its extensions do not exist on this machine."""
    more = "ALTER TABLE public.visits OWNER TO somebody;\nCREATE EXTENSION pg_graphql;\n"
    text = (
        dumps["plain"]
        .read_text()
        .replace("-- PostgreSQL database dump complete", f"{more}-- PostgreSQL database dump complete")
    )
    (tmp_path / "sql").write_text(text)
    assert restore(opened(tmp_path / "sql"), empty, ["public"]) > 0


@pytest.mark.parametrize("guarded", [True, False])
def test_sql_starts_no_program(dumps: dict[str, Path], empty: str, tmp_path: Path, guarded: bool) -> None:
    """A command of psql in a dump is refused, whether the dump restricts itself or not."""
    touched = tmp_path / "touched"
    lines = dumps["plain"].read_text().splitlines(keepends=True)
    if not guarded:
        lines = [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]
    at = next(n for n, line in enumerate(lines) if line.startswith("CREATE TABLE"))
    (tmp_path / "sql").write_text("".join([*lines[:at], f"\\! touch {touched}\n", *lines[at:]]))
    with pytest.raises(DumpRefused):
        restore(opened(tmp_path / "sql"), empty, ["public"])
    assert not touched.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no dump of pg_dump"),
        (b"\x1f\x8b\x08\x00", "gunzip"),
        (b"PGDMP\x01\x10", "cannot be read"),
        (b"\x00\x01", "no dump"),
        (b"SELECT 1;\n", "is cut off"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    """In words that name the remedy where there is one."""
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(DumpRefused, match=words):
        opened(tmp_path / "file")


def test_a_dump_without_rows_is_refused(database: Sandbox, tmp_path: Path) -> None:
    """A schema alone is no backup."""
    command = [str(program("pg_dump")), "--format=custom", f"--file={tmp_path / 'file'}", "--schema-only"]
    subprocess.run(command, check=True, env=libpq(database.admin_database_url))
    with pytest.raises(DumpRefused, match="rows of no table"):
        opened(tmp_path / "file")


def test_the_source_is_only_read(database: Sandbox, tmp_path: Path) -> None:
    """By a role that may do nothing but read; without its grant the remedy is named."""
    with psycopg.connect(database.admin_database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE looker LOGIN PASSWORD 'looks'")
        url = database.admin_database_url.replace("//dialtone:", "//looker:")
        url = url.replace(url.split(":")[2].split("@")[0], "looks")
        with pytest.raises(DumpRefused, match="GRANT SELECT"):
            take(url, tmp_path / "dump", ["public"])
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
        dump = take(url, tmp_path / "dump", ["public"])
        assert isinstance(dump, Dump)
        assert dump.seconds is not None
        assert (tmp_path / "dump").stat().st_mode & 0o077 == 0
        connection.execute("DROP OWNED BY looker")
        connection.execute("DROP ROLE looker")
    with pytest.raises(DumpRefused, match="no such schema"):
        take(database.admin_database_url, tmp_path / "dump", ["nowhere"])


def test_what_has_to_be_there_is_missed(database: Sandbox, look: Callable[[str], Database]) -> None:
    """A table, a column, an answer, rows: each by its name."""
    there = look(database.admin_database_url)
    found = contents(
        there,
        ["public"],
        required={"visits": ["id", "colour"], "orders": ["id"]},
        queries={
            "fine": "SELECT count(*) FROM visits",
            "gone": "SELECT count(*) FROM orders",
            "asked": "SELECT %(id)s FROM nowhere",
            "odd": "SELECT 1 / (SELECT count(*) FROM visits WHERE id < 0)",
        },
        least="SELECT 'visits' AS name, count(*) AS rows, 5000 AS least FROM visits",
        source=[{"public.visits": Table("public.visits", 3001), "public.lost": Table("public.lost", 1)}] * 2,
    )
    assert [words.partition(" (42P01)")[0] for words in found.missing] == [
        "the table visits lacks colour",
        "the table orders is missing",
        "queries.gone has no answer: there is no table orders",
        "of visits 3,000 rows came back, and 5,000 at least have to",
        "of public.visits 3,000 rows came back, and the source has 3,001",
        "the source has a table public.lost that is not in the dump",
    ]
    assert len(found.notes) == 1
    assert found.notes[0].startswith("queries.odd was not answered")


def test_a_table_that_is_too_large_is_not_counted(database: Sandbox, look: Callable[[str], Database]) -> None:
    """The source serves customers: there the server's own estimate has to do."""
    with psycopg.connect(database.admin_database_url, autocommit=True) as connection:
        connection.execute("ANALYZE visits")
    there = look(database.admin_database_url)
    assert counted(there, ["public"], most=100)["public.visits"] == Table("public.visits", None, 3000.0)


def test_the_command(
    database: Sandbox,
    dumps: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`dialtone drill --dump`: of a target by its name, of a file; what is missing is told, no row and no password."""
    import json

    from dialtone.cli import main

    monkeypatch.setenv("DIALTONE_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dialtone.toml").write_text(
        '[target.mine]\nkind = "production"\nbase_url = "https://app.example.com"\ndatabase = "db"\n'
        'witnesses = ["https://one.example.org", "https://two.example.org"]\n'
        'credentials = { db = "MINE_URL" }\n[target.mine.tables]\nvisits = ["id", "note"]\n'
        '[target.mine.queries]\nanswer = "SELECT count(*) FROM visits"\n'
        '[target.mine.objectives.backup_age]\nalert = 24\nunit = "count"\n'
    )
    assert main(["drill", "--dump", "mine"]) == 4
    assert "MINE_URL, which is not set" in capsys.readouterr().err
    monkeypatch.setenv("MINE_URL", database.admin_database_url)
    assert main(["drill", "--dump", "mine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"] is True
    assert [(t["name"], t["rows"]) for t in told["tables"]] == [("public.visits", 3000)]
    assert told["age_seconds"] < 60
    assert any("could write there" in note for note in told["notes"])
    with (tmp_path / "dialtone.toml").open("a") as file:
        file.write("[target.mine.tables]\n".replace("tables", "values") + "x = 1\n")
    text = (tmp_path / "dialtone.toml").read_text().replace('visits = ["id", "note"]', 'orders = ["id"]')
    (tmp_path / "dialtone.toml").write_text(text)
    assert main(["drill", "--dump", str(dumps["plain"]), "--target", "mine"]) == 1
    said = capsys.readouterr()
    assert "NOT PROVEN  the table orders is missing" in said.out
    assert "by the date of its file, made" in said.out
    assert "private" not in said.out + said.err
    assert database.admin_database_url.split(":")[2].split("@")[0] not in said.out + said.err
