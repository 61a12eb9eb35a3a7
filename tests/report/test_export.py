"""`dialtone export`: public is what a list allows; the rest goes along as it is, or sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone import cli
from dialtone.report.export import SECRET, pages
from dialtone.report.public import FIELDS, TOP, public
from dialtone.signing import sealed

CANARY = "canary-7f3a"
ENTRY = {
    **dict.fromkeys(
        ("reason", "unit", "proof", "trace", "at", "explained", "baseline", "value", "levels", "new"), CANARY
    ),
    "id": "health",
    "severity": "P0",
    "verdict": "critical",
    "kind": None,
    "armed": True,
    "experiment": False,
}
DOCUMENT = {
    "target": "production",
    "started": "2026-11-26T00:00:00.000Z",
    "finished": "2026-11-26T00:00:09.000Z",
    "exit_code": 1,
    "secret": CANARY,
    "checks": [ENTRY, {**ENTRY, "id": "<b>x</b>", "verdict": None, "armed": False}],
}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """What a run left, and something that lies there besides."""
    folder = tmp_path / "build"
    (folder / "allure-results").mkdir(parents=True)
    (folder / "verdicts.json").write_text(json.dumps(DOCUMENT))
    (folder / "log.txt").write_text(f"log {CANARY}")
    (folder / "allure-results/a.json").write_text("{}")
    (folder / "credentials.txt").write_text("never")
    return folder


def exported(*words: str) -> int:
    """The command."""
    return cli.main(["export", *words])


def files(folder: Path) -> list[str]:
    """Paths below a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_public_is_a_list_of_what_is_allowed(build: Path, tmp_path: Path) -> None:
    """A field that is new is not shown by itself; the page loads nothing from anywhere."""
    assert exported("--build", str(build), "--to", str(tmp_path / "out")) == 0
    assert files(tmp_path / "out") == ["public/badge.svg", "public/index.html", "public/public.json"]
    texts = [p.read_text() for p in (tmp_path / "out/public").iterdir()]
    assert not any(CANARY in text for text in texts)
    told = json.loads((tmp_path / "out/public/public.json").read_text())
    assert set(told) == {"form", "counts", "checks", *TOP}
    assert set(told["checks"][0]) == set(FIELDS)
    page = (tmp_path / "out/public/index.html").read_text()
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_nothing_else_is_ever_public(more: dict[str, str]) -> None:
    """Whatever a document holds."""
    told = public({**more, **DOCUMENT, "checks": [{**more, **ENTRY}]})
    assert set(told["checks"][0]) == set(FIELDS)
    assert set(told) == {"form", "counts", "checks", *TOP}


def test_the_full_report_is_its_parts_and_no_more(build: Path, tmp_path: Path) -> None:
    """What lies in the build folder besides stays there."""
    assert exported("--build", str(build), "--to", str(tmp_path / "out"), "--full") == 0
    assert files(tmp_path / "out") == [
        "allure-results/a.json",
        "log.txt",
        "public/badge.svg",
        "public/index.html",
        "public/public.json",
        "verdicts.json",
    ]


def test_sealed_and_opened(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the other half of the key reads it."""
    assert exported("--new-key") == 0
    told = dict(line.split("=", 1) for line in capsys.readouterr().out.split())
    secret, recipient = told[SECRET], told["DIALTONE_REPORT_RECIPIENT"]
    assert sealed.public_half(secret) == recipient
    assert exported("--build", str(build), "--to", str(tmp_path / "out"), "--seal", recipient) == 0
    box = tmp_path / "out/report.sealed"
    assert CANARY.encode() not in box.read_bytes()
    monkeypatch.setenv(SECRET, sealed.new_key()[0])
    assert exported("--open", str(box), "--to", str(tmp_path / "opened")) == 1
    assert "the key does not open it" in capsys.readouterr().err
    monkeypatch.setenv(SECRET, secret)
    assert exported("--open", str(box), "--to", str(tmp_path / "opened")) == 0
    assert files(tmp_path / "opened") == ["allure-results/a.json", "log.txt", "verdicts.json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seal", "x"], "that is no key"),
        (["--build", "nowhere"], "no such file"),
        (["--open", "nothing"], "No such file"),
    ],
)
def test_what_cannot_be(
    build: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, with 1."""
    assert exported("--build", str(build), "--to", str(tmp_path / "out"), *words) == 1
    assert said in capsys.readouterr().err


def test_no_run_is_no_state() -> None:
    """A page of nothing says so."""
    assert "<title>no run: none</title>" in pages({})["index.html"]
