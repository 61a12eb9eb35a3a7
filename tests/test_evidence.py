"""Bounds, quantiles and stopping rules, against exact enumeration where that is possible."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialtone.evidence import (
    CONFIDENCE,
    Detector,
    Sequential,
    Stop,
    alpha_of,
    alternative_to,
    lower_bound,
    quantile,
    samples_to_exclude,
    tail,
    upper_bound,
)

calm = settings(deadline=None, max_examples=60)
rates = st.floats(0.001, 0.999)


def binomial(i: int, n: int, rate: float) -> float:
    """Probability of exactly `i` events in `n` samples, by the definition."""
    return math.comb(n, i) * rate**i * (1 - rate) ** (n - i)


@calm
@given(n=st.integers(1, 60), rate=rates, data=st.data())
def test_tail_is_the_binomial_distribution(n: int, rate: float, data: st.DataObject) -> None:
    """The tail agrees with the sum of the definition's terms."""
    k = data.draw(st.integers(0, n))
    assert tail(k, n, rate) == pytest.approx(sum(binomial(i, n, rate) for i in range(k + 1)), abs=1e-9)


@pytest.mark.parametrize(("k", "n", "rate", "wanted"), [(0, 10, 0.0, 1.0), (3, 10, 1.0, 0.0), (10, 10, 1.0, 1.0)])
def test_tail_at_the_edges(k: int, n: int, rate: float, wanted: float) -> None:
    """Rates of nought and one need no logarithm."""
    assert tail(k, n, rate) == wanted


@pytest.mark.parametrize(("k", "n", "rate"), [(50_000, 100_000, 0.5), (99_000, 100_000, 0.99), (10, 100_000, 0.9)])
def test_tail_of_a_busy_day_is_cheap_and_right(k: int, n: int, rate: float) -> None:
    """A hundred thousand samples take as many terms as matter, not as many as there are."""
    mean, deviation = n * rate, math.sqrt(n * rate * (1 - rate))
    normal = 0.5 * math.erfc(-(k + 0.5 - mean) / deviation / math.sqrt(2))
    assert tail(k, n, rate) == pytest.approx(normal, abs=5e-3)


@calm
@given(n=st.integers(1, 40), rate=rates, confidence=st.sampled_from([0.9, 0.99, 0.999]))
def test_bounds_hold_with_at_least_the_nominal_confidence(n: int, rate: float, confidence: float) -> None:
    """Over all outcomes of n samples, each bound errs with at most the probability that it promises."""
    above = sum(binomial(k, n, rate) for k in range(n + 1) if upper_bound(k, n, confidence) < rate - 1e-8)
    below = sum(binomial(k, n, rate) for k in range(n + 1) if lower_bound(k, n, confidence) > rate + 1e-8)
    assert above <= 1 - confidence + 1e-6
    assert below <= 1 - confidence + 1e-6


@calm
@given(n=st.integers(1, 400), data=st.data())
def test_bounds_enclose_the_estimate_and_grow_with_the_events(n: int, data: st.DataObject) -> None:
    """Lower bound, estimate and upper bound stand in this order, and one event more moves both up."""
    k = data.draw(st.integers(0, n - 1))
    assert 0.0 <= lower_bound(k, n) <= k / n <= upper_bound(k, n) <= 1.0
    assert lower_bound(k, n) < lower_bound(k + 1, n)
    assert upper_bound(k, n) < upper_bound(k + 1, n) + 1e-12


@calm
@given(k=st.integers(0, 20), n=st.integers(20, 400))
def test_more_clean_samples_lower_the_upper_bound(k: int, n: int) -> None:
    """Evidence accumulates."""
    assert upper_bound(k, n + 1) < upper_bound(k, n) + 1e-12


def test_no_samples_say_nothing() -> None:
    """Without samples every rate is possible."""
    assert (lower_bound(0, 0), upper_bound(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    """More events than samples is a mistake of the caller."""
    with pytest.raises(ValueError, match="samples"):
        upper_bound(k, n)
    with pytest.raises(ValueError, match="samples"):
        lower_bound(k, n)


@pytest.mark.parametrize(("rate", "samples"), [(0.01, 459), (0.05, 90), (0.5, 7)])
def test_the_price_of_a_verdict(rate: float, samples: int) -> None:
    """Clean samples that exclude a rate with 99 % confidence, and one fewer that do not."""
    assert samples_to_exclude(rate) == samples
    assert upper_bound(0, samples) < rate <= upper_bound(0, samples - 1)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_rates_that_cannot_be_excluded(rate: float) -> None:
    """No number of samples excludes a rate of nought."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        samples_to_exclude(rate)


@calm
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), q=st.floats(0.01, 0.99))
@example(values=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], q=0.7)
@example(values=[float(i) for i in range(1, 101)], q=0.07)
def test_quantile_is_the_nearest_rank(values: list[float], q: float) -> None:
    """The smallest of the values that at least a share q of them do not exceed."""
    found = quantile(values, q)
    n, slack = len(values), 1e-9
    assert found in values
    assert sum(v <= found for v in values) / n >= q - slack
    assert all(sum(w <= v for w in values) / n < q - slack for v in values if v < found)


def test_quantile_of_nothing_is_refused() -> None:
    """There is no quantile without values."""
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


ERRORS = Sequential(0.01, 0.10)


def test_sampling_stops_when_the_evidence_suffices() -> None:
    """Clean samples stop at the plan, a run of bad ones long before it."""
    stop = Stop(0.05, ERRORS)
    assert stop.planned == 90
    assert stop.excluded(0, 90)
    assert not stop.excluded(0, 89)
    assert not stop.excluded(1, 90)
    assert stop.exceeded(2, 2)
    assert not stop.exceeded(2, 3)
    assert not stop.exceeded(0, 5)


def ever(test: Sequential, rate: float, samples: int) -> tuple[float, float]:
    """Probability that a test of independent samples alarms, and that it ends without one first; by enumeration."""
    alarmed = ended = 0.0
    standing = {0: 1.0}  # bad ones so far -> probability of getting there undecided
    for n in range(1, samples + 1):
        moved: dict[int, float] = {}
        for k, p in standing.items():
            moved[k] = moved.get(k, 0.0) + p * (1 - rate)
            moved[k + 1] = moved.get(k + 1, 0.0) + p * rate
        alarmed += sum(p for k, p in moved.items() if test.alarms(test.weight(k, n)))
        ended += sum(p for k, p in moved.items() if test.ends(test.weight(k, n)))
        standing = {
            k: p for k, p in moved.items() if not test.alarms(test.weight(k, n)) and not test.ends(test.weight(k, n))
        }
    return alarmed, ended


@pytest.mark.parametrize(
    ("null", "alternative"), [(0.01, 0.10), (0.001, 0.05), (0.05, 0.20), (0.05, 0.2083), (0.5, 0.833)]
)
def test_a_sequential_test_keeps_both_of_its_promises(null: float, alternative: float) -> None:
    """Over all sequences, at most 1 % alarm at the null and at most 5 % end without one at the alternative."""
    test = Sequential(null, alternative)
    assert ever(test, null, 1500)[0] <= 0.01
    alarmed, ended = ever(test, alternative, 1500)
    assert ended <= 0.05
    assert alarmed >= 0.95


@calm
@given(null=st.floats(0.001, 0.3), odds=st.floats(1.5, 20), rho=st.floats(0, 0.8), below=st.floats(0, 1))
def test_no_healthy_chain_raises_the_weight(null: float, odds: float, rho: float, below: float) -> None:
    """After good and after bad samples, at any correlation and share up to the declared ones: no growth on average."""
    test = Sequential(null, odds * null / (1 + (odds - 1) * null), correlation=rho)
    share, correlation = null * below, rho * below
    for after_bad, (good, bad) in enumerate(test.steps()):
        chance = share * (1 - correlation) + correlation * after_bad
        assert (1 - chance) * math.exp(good) + chance * math.exp(bad) <= 1 + 1e-9


@pytest.mark.parametrize(("null", "alternative", "correlation"), [(0.1, 0.05, 0), (0, 0.5, 0), (0.1, 0.5, 1)])
def test_tests_without_sense_are_refused(null: float, alternative: float, correlation: float) -> None:
    """The alternative is worse than the null, and neither is certain."""
    with pytest.raises(ValueError, match="no test of"):
        Sequential(null, alternative, correlation=correlation)


def test_the_budget_is_one_number_for_the_suite() -> None:
    """One false page a month for 80 checks that look once a minute, never looser than a single look."""
    assert alpha_of(1, 80, 60) == pytest.approx(1 / (80 * 43_200))
    assert alpha_of(1000, 1, 86_400) == 1 - CONFIDENCE
    assert alternative_to(0.05) == pytest.approx(0.2083, abs=1e-4)


def test_a_detector_pages_for_an_outage_and_not_for_a_blip() -> None:
    """A dozen failures in a row are an outage at once a minute and one false page in a million looks; three are not."""
    detector = Detector(0.01, 0.10, 1e6)
    for _ in range(1000):
        assert not detector.add(False)
    assert not any(detector.add(True) for _ in range(3))
    assert any(detector.add(True) for _ in range(9))
    detector.reset()
    assert detector.value == 0


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_healthy_samples_raise_a_detector_by_one_each_at_most(correlation: float) -> None:
    """By enumeration of all sequences of ten at the null: the mean of the statistic is at most the number of looks."""
    null, steps = 0.05, 10
    mean = 0.0
    for code in range(2**steps):
        detector, chance, last = Detector(null, 0.2, 1e9, correlation), 1.0, False
        for i in range(steps):
            bad = bool(code >> i & 1)
            share = null * (1 - correlation) + correlation * last if i else null
            chance *= share if bad else 1 - share
            detector.add(bad)
            last = bad
        mean += chance * detector.value
    assert mean <= steps
