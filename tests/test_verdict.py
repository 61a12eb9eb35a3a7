"""The record types that every room speaks: order of verdicts, what an exception means to pytest."""

from __future__ import annotations

import pytest

from dialtone.verdict import Bad, Finding, Kind, Offline, Refused, Unarmed, Undecided, Verdict, bad


def test_verdicts_run_from_ok_to_critical() -> None:
    """Unknown stands above degraded, because it is never ok, and below everything that somebody is told of."""
    assert sorted(Verdict, key=lambda v: v.rank) == ["ok", "degraded", "unknown", "breach", "critical"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_breach_and_critical_are_bad(verdict: Verdict) -> None:
    """Unknown is not bad: it may be our own fault."""
    assert verdict.is_bad == (verdict in ("breach", "critical"))


def test_bad_is_an_assertion_error() -> None:
    """pytest and Allure call an AssertionError failed, anything else broken."""
    error = bad(Verdict.BREACH, "too slow", value=2.0, unit="s")
    assert isinstance(error, AssertionError)
    assert (error.finding.verdict, error.finding.value, str(error)) == (Verdict.BREACH, 2.0, "too slow")


@pytest.mark.parametrize(
    ("error", "kind"), [(Undecided, Kind.UNDECIDED), (Offline, Kind.OFFLINE), (Refused, Kind.REFUSED)]
)
def test_unknown_carries_its_kind(error: type[Undecided], kind: Kind) -> None:
    """Each kind of not knowing is an exception of its own, and none is an AssertionError."""
    raised = error("who knows", samples=3, asked="twice")
    assert (raised.finding.verdict, raised.finding.kind, raised.finding.samples) == (Verdict.UNKNOWN, kind, 3)
    assert raised.finding.evidence == {"asked": "twice"}
    assert not isinstance(raised, AssertionError)


def test_unarmed_is_no_judgement() -> None:
    """A check that is not armed has judged nothing."""
    assert not hasattr(Unarmed("no key"), "finding")


def test_findings_do_not_change() -> None:
    """A finding is a fact: nobody edits it on its way to the report."""
    with pytest.raises(AttributeError):
        Bad(Finding(Verdict.BREACH, "x")).finding.reason = "y"  # type: ignore[misc]
