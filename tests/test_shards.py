"""Parts of the checks: each check in one of them, together a round, and nobody the wiser."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Suite

from dialtone import shards
from dialtone.history import Store


@given(names=st.lists(st.text(min_size=1), unique=True), count=st.integers(1, 9))
def test_each_check_has_one_part(names: list[str], count: int) -> None:
    """Whatever other checks there are; and the part is one of those that exist."""
    assert all(1 <= shards.of(name, count) <= count for name in names)
    assert [shards.of(name, count) for name in names] == [shards.of(name, count) for name in names]


def test_parts_are_about_equal() -> None:
    """No part of five has more than a third of a thousand."""
    sizes = [sum(shards.of(f"checks/test_it.py::test_{n}", 5) == part for n in range(1000)) for part in range(1, 6)]
    assert sum(sizes) == 1000
    assert max(sizes) < 333


@pytest.mark.parametrize(
    ("told", "environ", "wanted"),
    [
        (None, {}, None),
        ("2/5", {"DIALTONE_SHARD": "1/5"}, (2, 5)),
        (None, {"DIALTONE_SHARD": "1/5"}, (1, 5)),
        (None, {"DIALTONE_SHARDS": "4", "JOB_COMPLETION_INDEX": "0"}, (1, 4)),
        (None, {"DIALTONE_SHARDS": "4", "JOB_COMPLETION_INDEX": "3"}, (4, 4)),
    ],
)
def test_which_part(told: str | None, environ: dict[str, str], wanted: tuple[int, int] | None) -> None:
    """By option, by variable, by the index of a Kubernetes job; none asks for all."""
    assert shards.part(told, environ) == wanted


@pytest.mark.parametrize(
    ("told", "environ"), [("0/5", {}), ("6/5", {}), ("one", {}), (None, {"DIALTONE_SHARDS": "4"}), ("1/0", {})]
)
def test_a_part_that_is_none(told: str | None, environ: dict[str, str]) -> None:
    """Is refused: a typing error would leave checks out that nobody misses."""
    with pytest.raises(pytest.UsageError):
        shards.part(told, environ)


CHECKS = "".join(
    f'@check(runbook="x", requests=10)\ndef test_c{n}(target, http):\n    expect(http.get("/status/200")).status(200)\n'
    for n in range(8)
)


def test_three_parts_are_one_round(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check runs once, the history holds one run, and together they keep to one budget."""
    suite.profile(more='budget = { requests = 60, window = "15m" }')
    suite.checks(CHECKS)
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    monkeypatch.setenv("DIALTONE_ROUND", "round-1")
    seen: list[str] = []
    for number in (1, 2, 3):
        result = suite.run(f"--shard={number}/3")
        result.stdout.fnmatch_lines(["*deselected*"])
        seen += [f"{c['id']} {c['verdict']}" if c["armed"] else f"{c['id']} unarmed" for c in suite.document["checks"]]
        assert "DIALTONE_SHARD" not in os.environ
    assert sorted(re.sub(r" .*", "", one) for one in seen) == [f"c{n}" for n in range(8)]
    assert sum(one.endswith(" ok") for one in seen) == 6  # 60 requests, 10 each
    store = Store.open(Path(suite.pytester.path) / "history.db")
    assert [run.token for run in store.runs("preview")] == ["round-1"]
    store.close()


def test_a_wrong_part_ends_the_run(suite: Suite) -> None:
    """With pytest's code for a wrong command line."""
    suite.checks('@check(runbook="x")\ndef test_it(target):\n    ok("fine")')
    assert suite.run("--shard=4/3").ret == 4
