"""Objectives: what a value, a rate and a quantile have to show before anybody is told that all is well, or not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.evidence import lower_bound, samples_to_exclude, upper_bound
from dialtone.objective import Objective
from dialtone.verdict import Kind, Levels, Severity, Verdict

calm = settings(deadline=None, max_examples=80)
ERRORS = Objective("error rate", Levels(1, 5, 10), "%", severities={"alert": Severity.P2, "critical": Severity.P1})
SUCCESS = Objective("payments", Levels(99, 95, 90), "%", "above")
P95 = Objective("response time", Levels(500, 1000, 2000), "ms", quantile=0.95)
DAYS = Objective("certificate", Levels(21, 14, 3), "days", "above")
GOOD = (Verdict.OK, Verdict.DEGRADED)


@pytest.mark.parametrize(
    ("days", "verdict"), [(60, "ok"), (21, "ok"), (20, "degraded"), (13.9, "breach"), (2, "critical"), (-1, "critical")]
)
def test_a_plain_value_is_placed_between_its_levels(days: float, verdict: str) -> None:
    """A value on a level still holds it."""
    assert DAYS.judge(days).verdict == verdict


def test_what_is_no_number_is_not_ok() -> None:
    """A database that answers NaN has measured nothing; endless is worse than any level."""
    found = P95.judge(math.nan)
    assert (found.verdict, found.kind) == (Verdict.UNKNOWN, Kind.UNDECIDED)
    assert P95.judge_quantile([1.0] * 500 + [math.nan]).verdict is Verdict.UNKNOWN
    assert P95.judge(math.inf).verdict is Verdict.CRITICAL


@calm
@given(n=st.integers(0, 900), data=st.data())
def test_a_rate_is_never_good_while_the_bound_allows_the_alert_level(n: int, data: st.DataObject) -> None:
    """Ok and degraded need the bound to exclude the alert level; breach and critical need evidence as well."""
    k = data.draw(st.integers(0, n))
    found = ERRORS.judge_rate(k, n)
    assert (found.verdict in GOOD) == (upper_bound(k, n) < 0.05)
    if found.verdict is Verdict.BREACH:
        assert k / n > 0.05
        assert lower_bound(k, n) > 0.01
    if found.verdict is Verdict.CRITICAL:
        assert k / n > 0.10
        assert lower_bound(k, n) > 0.05


@calm
@given(n=st.integers(1, 600), data=st.data(), objective=st.sampled_from([ERRORS, SUCCESS]))
def test_one_more_bad_event_never_improves_a_rate(n: int, data: st.DataObject, objective: Objective) -> None:
    """Verdicts run in one direction with the number of bad events, whichever way the objective counts."""
    k = data.draw(st.integers(0, n - 1))
    ranks = [objective.judge_rate(b if objective is ERRORS else n - b, n).verdict.rank for b in (k, k + 1)]
    assert ranks[0] <= ranks[1]


@calm
@given(n=st.integers(1, 600), data=st.data())
def test_successes_are_errors_seen_from_the_other_side(n: int, data: st.DataObject) -> None:
    """99 % that work are 1 % that do not: one arithmetic for both directions."""
    k = data.draw(st.integers(0, n))
    mirrored = Objective("x", Levels(1, 5, 10), "%")
    assert SUCCESS.judge_rate(n - k, n).verdict == mirrored.judge_rate(k, n).verdict


def test_a_rate_without_a_target_needs_its_alert_level_excluded() -> None:
    """One error of ten is no breach of an alert level of 5 % when no target says that it is one too many."""
    bare = Objective("errors", Levels(alert=5), "%")
    assert bare.judge_rate(1, 10).verdict is Verdict.UNKNOWN
    assert bare.judge_rate(5, 10).verdict is Verdict.BREACH
    assert Objective("errors", Levels(0, 5), "%").judge_rate(1, 10).verdict is Verdict.BREACH


@pytest.mark.parametrize(
    ("errors", "samples", "verdict"),
    [
        (0, 90, "ok"),
        (0, 89, "unknown"),
        (4, 300, "degraded"),
        (6, 60, "breach"),
        (30, 90, "critical"),
        (0, 0, "unknown"),
    ],
)
def test_rates_of_the_runbook(errors: int, samples: int, verdict: str) -> None:
    """The runbook's error rate (1, 5 and 10 %) at a few counts."""
    assert ERRORS.judge_rate(errors, samples).verdict == verdict


def test_a_level_has_the_severity_that_the_runbook_gives_it() -> None:
    """More than 10 % errors is P1, more than 5 % P2; without a table of severities the check's own counts."""
    assert ERRORS.judge_rate(30, 90).severity == "P1"
    assert ERRORS.judge_rate(6, 60).severity == "P2"
    assert ERRORS.judge_rate(0, 90).severity is None
    assert SUCCESS.judge_rate(50, 90).severity is None


def test_the_reason_says_what_was_measured_and_what_it_missed() -> None:
    """A reason is read at three in the morning."""
    assert ERRORS.judge_rate(30, 90, what="errors").reason == "errors: 33.3% (30 of 90), above the critical level 10%"
    assert P95.judge(1500, what="p95").reason == "p95: 1,500 ms, above the alert level 1,000 ms"
    assert P95.judge(700, what="p95").reason == "p95: 700 ms, above the target 500 ms"
    assert DAYS.judge(2).reason == "certificate: 2 days, below the critical level 3 days"
    assert P95.judge_quantile([]).reason == "response time: not measured; 0 of about 90 samples that a verdict needs"


@calm
@given(k=st.integers(0, 30), n=st.integers(1, 400))
def test_the_number_of_missing_samples_is_the_right_one(k: int, n: int) -> None:
    """So many clean samples more and the rate can be called good; one fewer and it cannot."""
    found = Objective("errors", Levels(alert=5), "%").judge_rate(min(k, n), n)
    if found.verdict is not Verdict.UNKNOWN:
        return
    wanted = int(found.reason.split(" of about ")[1].split()[0].replace(",", ""))
    assert upper_bound(min(k, n), wanted) < 0.05 <= upper_bound(min(k, n), wanted - 1)


samples = st.lists(st.sampled_from([100.0, 600.0, 1000.0, 1001.0, 1500.0, 3000.0]), min_size=1, max_size=400)


@calm
@given(values=samples)
def test_a_quantile_is_never_good_while_the_bound_allows_the_alert_level(values: list[float]) -> None:
    """The share of answers slower than the alert level has to be excluded from 5 % before p95 is called good."""
    found = P95.judge_quantile(values)
    slow = sum(v > 1000 for v in values)
    slower = sum(v > 2000 for v in values)
    assert (found.verdict in GOOD) == (upper_bound(slow, len(values)) < 0.05)
    assert (found.verdict is Verdict.CRITICAL) == (lower_bound(slower, len(values)) > 0.05)
    assert found.verdict.is_bad == (lower_bound(slow, len(values)) > 0.05)


@calm
@given(values=samples, data=st.data())
def test_a_slower_sample_never_improves_a_quantile(values: list[float], data: st.DataObject) -> None:
    """Replace any sample by a slower one: the verdict stays or gets worse."""
    index = data.draw(st.integers(0, len(values) - 1))
    worse = [*values[:index], 3000.0, *values[index + 1 :]]
    assert P95.judge_quantile(values).verdict.rank <= P95.judge_quantile(worse).verdict.rank


@pytest.mark.parametrize(
    ("value", "count", "verdict"),
    [(100, 90, "ok"), (100, 89, "unknown"), (700, 90, "degraded"), (1500, 5, "breach"), (3000, 5, "critical")],
)
def test_quantiles_of_the_runbook(value: float, count: int, verdict: str) -> None:
    """The runbook's p95 (500 ms, 1 s, 2 s) for samples that are all alike."""
    found = P95.judge_quantile([value] * count)
    assert (found.verdict, found.value, found.samples) == (verdict, value, count)


def test_the_quantile_may_be_chosen_at_the_call() -> None:
    """A median needs few samples, a p99 many."""
    assert P95.judge_quantile([1.0] * 7, q=0.5).verdict is Verdict.OK
    needed = samples_to_exclude(0.01)
    assert P95.judge_quantile([1.0] * (needed - 1), q=0.99).verdict is Verdict.UNKNOWN
    assert P95.judge_quantile([1.0] * needed, q=0.99).verdict is Verdict.OK


def test_a_busy_day_is_judged_at_once() -> None:
    """Counts of a day of a large service do not make the judge slow."""
    assert ERRORS.judge_rate(50_000, 100_000).verdict is Verdict.CRITICAL
    assert ERRORS.judge_rate(4_990, 100_000).verdict is Verdict.UNKNOWN
    assert ERRORS.judge_rate(4_500, 100_000).verdict is Verdict.DEGRADED


def test_evidence_and_levels_travel_with_the_finding() -> None:
    """What was handed in as evidence is in the finding, beside levels and unit."""
    found = ERRORS.judge_rate(0, 90, regions=["fra1"])
    assert found.evidence == {"regions": ["fra1"]}
    assert (found.levels, found.unit, found.value) == (Levels(1, 5, 10), "%", 0.0)


@calm
@given(n=st.integers(1, 600), data=st.data(), objective=st.sampled_from([ERRORS, SUCCESS]))
def test_samples_taken_until_they_suffice_need_the_alarm_of_the_sequential_test(
    n: int, data: st.DataObject, objective: Objective
) -> None:
    """A rate is bad only where the test alarms too; good verdicts and the direction of all verdicts are the same."""
    k = data.draw(st.integers(0, n))
    events = k if objective is ERRORS else n - k
    found, once = objective.judge_rate(events, n, sequential=True), objective.judge_rate(events, n)
    test = objective.test()
    assert found.verdict.is_bad == (once.verdict.is_bad and test.alarms(test.weight(k, n)))
    assert (found.verdict in GOOD) == (once.verdict in GOOD)


def test_the_sequential_test_of_an_objective() -> None:
    """Target against critical level of a rate; five times the odds of "slower than the alert level" for a quantile."""
    assert (ERRORS.test().null, ERRORS.test().alternative) == (0.01, 0.10)
    assert (SUCCESS.test().null, SUCCESS.test().alternative) == pytest.approx((0.01, 0.10))
    assert P95.test().null == pytest.approx(0.05)
    assert ERRORS.stop().rate == 0.05
    assert SUCCESS.stop().rate == pytest.approx(0.05)
    assert P95.stop(0.5).rate == 0.5
    bare = Objective("errors", Levels(alert=5), "%").test()
    assert (bare.null, bare.alternative) == (0.05, pytest.approx(0.2083, abs=1e-4))


def test_one_slow_answer_at_an_early_look_is_no_alarm() -> None:
    """Two slow answers of two are past the bound of a single look, and not past the one for all looks."""
    assert P95.judge_quantile([1500.0] * 2).verdict is Verdict.BREACH
    assert P95.judge_quantile([1500.0] * 2, sequential=True).verdict is Verdict.UNKNOWN
    assert P95.judge_quantile([1500.0] * 4, sequential=True).verdict is Verdict.BREACH
    assert P95.judge_quantile([3000.0] * 4, sequential=True).verdict is Verdict.CRITICAL
