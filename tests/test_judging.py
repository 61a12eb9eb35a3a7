"""What stands at a check, and what its judgements do to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dialtone.drill.declared import experiment
from dialtone.judging import Meta, Record, check, current, fail, judge, ok, running, undecided
from dialtone.verdict import Bad, Effect, Finding, Kind, Refused, Severity, Undecided, Verdict


@pytest.fixture
def record() -> Iterator[Record]:
    """The record of a running check."""
    made = Record(Meta("x"))
    token = current.set(made)
    yield made
    current.reset(token)


def declared(mark: object) -> Meta:
    """The declaration that a decorator leaves at a function."""

    def function() -> None: ...

    (found,) = mark(function).pytestmark  # type: ignore[operator]
    meta: Meta = found.args[0]
    return meta


def test_a_declaration_has_defaults() -> None:
    """P2, reads, three requests, no samples."""
    meta = declared(check(runbook="site-down"))
    assert meta == Meta("site-down")
    assert (meta.severity, meta.effect, meta.requests, meta.samples, meta.proof) == ("P2", "reads", 3, False, None)


def test_a_declaration_is_kept() -> None:
    """Everything that was said, as the engine's own types."""
    meta = declared(
        check(
            runbook="x",
            severity="P0",
            effect="provokes",
            catches=["one"],
            needs=["routes.a", "database"],
            objective="speed",
            requests=5,
            samples=True,
            proof="signed",
        )
    )
    assert (meta.severity, meta.effect) == (Severity.P0, Effect.PROVOKES)
    assert (meta.needs, meta.objective, meta.requests) == (("routes.a", "database"), "speed", 5)
    assert (meta.samples, meta.proof, meta.experiment) == (True, "signed", False)


@pytest.mark.parametrize("wrong", [{"severity": "P9"}, {"effect": "harms"}])
def test_a_declaration_with_a_mistake_is_refused(wrong: dict[str, str]) -> None:
    """When the file is imported, not when the check runs."""
    with pytest.raises(ValueError, match="is not a valid"):
        check(runbook="x", **wrong)  # type: ignore[arg-type]


def test_claims_may_differ_by_case() -> None:
    """A list holds for every case, a mapping for the case that it names."""
    assert Meta("x", catches=["a", "b"]).claims("any") == ["a", "b"]
    by_case = Meta("x", catches={"one": ["a"], "two": ["b"]})
    assert [by_case.claims(case) for case in ("one", "two", "three", None)] == [["a"], ["b"], [], []]


def test_an_experiment_is_a_declaration_that_disrupts() -> None:
    """It has its own exit code when it is inconclusive."""
    meta = declared(experiment(runbook="x", severity="P1", needs=["journal"]))
    assert (meta.experiment, meta.effect, meta.severity, meta.needs) == (True, "disrupts", "P1", ("journal",))


def test_good_judgements_are_recorded_and_the_check_goes_on(record: Record) -> None:
    """Ok and degraded do not raise."""
    ok("fine", value=1.0, unit="s", seen=2)
    judge(Finding(Verdict.DEGRADED, "slow"))
    assert [f.verdict for f in record.findings] == ["ok", "degraded"]
    assert (record.findings[0].value, record.findings[0].evidence) == (1.0, {"seen": 2})


@pytest.mark.parametrize(("severity", "verdict"), [("P0", "critical"), ("P1", "breach"), ("P3", "breach")])
def test_a_failure_is_critical_for_p0(severity: str, verdict: str) -> None:
    """And leaves the check."""
    made = Record(Meta("x", Severity(severity)))
    token = current.set(made)
    try:
        with pytest.raises(Bad, match="no good"):
            fail("no good", seen=1)
    finally:
        current.reset(token)
    assert [f.verdict for f in made.findings] == [verdict]


@pytest.mark.parametrize(
    ("kind", "error"),
    [(Kind.UNDECIDED, Undecided), (Kind.REFUSED, Refused), (Kind.OFFLINE, Undecided), (None, Undecided)],
)
def test_not_knowing_leaves_the_check(record: Record, kind: Kind | None, error: type[Exception]) -> None:
    """The finding that was judged is the one that is carried."""
    finding = Finding(Verdict.UNKNOWN, "who knows", kind, samples=7)
    with pytest.raises(error) as caught:
        judge(finding)
    assert caught.value.finding is finding  # type: ignore[attr-defined]
    assert record.findings == [finding]


def test_undecided_says_why(record: Record) -> None:
    """It is recorded by whoever catches it."""
    with pytest.raises(Undecided, match="too early") as caught:
        undecided("too early", waited=3)
    assert caught.value.finding.evidence == {"waited": 3}
    assert record.findings == []


def test_the_worst_finding_counts(record: Record) -> None:
    """The first of the worst, since it is what ended the check."""
    record.findings += [Finding(Verdict.OK, "a"), Finding(Verdict.DEGRADED, "b"), Finding(Verdict.DEGRADED, "c")]
    assert record.worst().reason == "b"


def test_outside_of_a_check_judgements_go_nowhere() -> None:
    """Probes work in plain code too."""
    ok("fine")
    assert running().findings == []
    with pytest.raises(Bad):
        fail("bad")
