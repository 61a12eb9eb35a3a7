"""A run of checks leaves its history, and trouble with that costs no verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Suite

from dialtone.history import Store, latency

CHECKS = """
@check(runbook="x")
def test_good(target):
    ok("fine")

@check(runbook="x", severity="P1")
def test_bad(target):
    fail("wrong")

@check(runbook="x", needs=["database"])
def test_unarmed(target):
    ok("never")

@check(runbook="x", objective="answer")
def test_slow(objective):
    objective.quantile([100.0] * 88 + [2000.0] * 2)

@check(runbook="x", objective="errors")
def test_rate(objective):
    objective.rate(1, 200)
"""
OBJECTIVES = """
[target.preview.objectives.answer]
alert = 1000
unit = "ms"
quantile = 0.95
[target.preview.objectives.errors]
alert = 5
unit = "%"
"""
ENVIRONMENT = ("ROUND", "PLACE", "PLANNED", "EVERY", "DEPLOYMENT")


@pytest.fixture
def kept(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite with five checks and a history in `history.db`."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(f"DIALTONE_{name}", raising=False)
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    suite.profile(more=OBJECTIVES)
    suite.checks(CHECKS)
    return suite


def opened(suite: Suite) -> Store:
    """The history of the suite."""
    return Store.open(suite.pytester.path / "history.db")


@pytest.mark.parametrize("options", [(), ("-pxdist", "-n2")], ids=["plain", "xdist"])
def test_a_run_leaves_its_verdicts_and_samples(kept: Suite, options: tuple[str, ...]) -> None:
    """Verdicts, bad samples and histograms of what is armed; the run with its end and its exit code."""
    assert kept.run(*options, apart=bool(options)).ret == 1
    store = opened(kept)
    (run,) = store.runs("preview")
    assert run.exit_code == 1
    assert run.finished is not None
    assert run.finished >= run.started == pytest.approx(run.planned)
    found = {c: r for c in store.series("preview") for r in store.results("preview", c)}
    told = {c: (str(r.verdict), r.samples, r.bad, r.reason) for c, r in found.items()}
    slow = kept.check("slow")["reason"]
    assert told == {
        "good": ("ok", 1, 0, ""),
        "bad": ("breach", 1, 1, "wrong"),
        "slow": ("unknown", 90, 2, slow),
        "rate": ("ok", 200, 1, ""),
    }
    assert found["bad"].severity == "P1"
    blob = found["slow"].latency
    assert blob is not None
    assert latency.quantiles([blob], 0.5)[0] == pytest.approx(100e6, rel=0.001)
    assert latency.slower([blob], 1e9) == (2, 90)
    store.close()


def test_shards_of_a_round_are_one_run(kept: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same round in two parts, one of them twice."""
    monkeypatch.setenv("DIALTONE_ROUND", "round-1")
    monkeypatch.setenv("DIALTONE_PLANNED", "1760011200")
    monkeypatch.setenv("DIALTONE_EVERY", "60")
    monkeypatch.setenv("DIALTONE_DEPLOYMENT", "abc123")
    kept.run("-k", "good or rate")
    kept.run("-k", "bad or slow")
    store = opened(kept)
    (run,) = store.runs("preview")
    assert (run.token, run.planned, run.every, run.deployment) == ("round-1", 1760011200.0, 60.0, "abc123")
    assert run.exit_code == 1
    assert sorted(store.series("preview")) == ["bad", "good", "rate", "slow"]
    store.close()


def test_trouble_with_the_history_costs_no_verdict(kept: Suite) -> None:
    """The verdicts are complete, the run says what happened, and a good run has an exit code of its own."""
    path = kept.pytester.path / "history.db"
    path.write_bytes(b"nonsense" * 1000)
    good = kept.run("-k", "good or rate")
    assert good.ret == 15
    assert kept.verdicts == {"good": "ok", "rate": "ok"}
    assert kept.document["exit_code"] == 15
    good.stdout.fnmatch_lines(["*exit code 15: the history is in trouble*", "history: *the file is damaged*"])
    assert kept.run().ret == 1, "what is bad is more important"
    path.unlink()
    assert kept.run("-k", "rate").ret == 0
    store = opened(kept)
    assert len(store.results("preview", "rate")) == 3
    assert len(store.runs("preview")) == 3
    store.close()


def test_a_history_on_the_host_of_the_target_is_refused(kept: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, with the exit code of trouble; the checks run."""
    monkeypatch.setenv("DIALTONE_HISTORY", "postgresql://u:secret-word-1@127.0.0.1/x")
    result = kept.run("-k", "rate")
    assert result.ret == 15
    result.stdout.fnmatch_lines(["history: *it would be lost together with what it is to tell of*"])
    result.stdout.no_fnmatch_line("*secret-word-1*")


def test_nothing_is_kept_without_checks(kept: Suite) -> None:
    """A session of ordinary tests has no history, and neither has one that switches it off."""
    kept.checks("def test_plain():\n    pass\n")
    assert kept.run().ret == 0
    assert not (kept.pytester.path / "history.db").exists()


def test_no_history_is_opened_when_it_is_off(kept: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """`off` means off: no file, no folder."""
    monkeypatch.setenv("DIALTONE_HISTORY", "off")
    assert kept.run("-k", "good").ret == 0
    assert not list(Path(kept.pytester.path).rglob("history*"))


def test_rounds_share_one_budget_of_false_pages(kept: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single run may err in one look of a hundred; once a minute, one check has one false page a month."""
    kept.checks(
        '@check(runbook="x", objective="errors")\ndef test_it(objective):\n    ok(f"{objective.objective.alpha:.3g}")'
    )
    kept.run()
    assert kept.check("it")["reason"] == "0.01"
    monkeypatch.setenv("DIALTONE_EVERY", "60")
    kept.run()
    assert kept.check("it")["reason"] == "2.31e-05"
