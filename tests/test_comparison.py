"""Candidate and baseline: ranks, tails and errors, against enumeration where that is possible."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.comparison import ALPHA, LOOKS, compare, longer_tail, more, order, ratio, slower, spend

calm = settings(deadline=None, max_examples=60)


def log_normal(chance: random.Random, count: int, factor: float = 1.0) -> list[float]:
    """Latencies."""
    return [factor * chance.lognormvariate(5, 0.4) for _ in range(count)]


def test_the_probability_of_ranks_is_that_of_all_signs() -> None:
    """Against every way in which the signs of twelve differences may fall."""
    logs = [0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, 0.9, 1.0, -0.05, 0.15]
    ranks = {d: rank for rank, d in enumerate(sorted(logs, key=abs), 1)}
    seen = sum(rank for d, rank in ranks.items() if d > 0)
    ways = [sum(itertools.compress(range(1, 13), signs)) for signs in itertools.product((0, 1), repeat=12)]
    exact = sum(way >= seen for way in ways) / len(ways)
    assert slower(logs) == pytest.approx(exact, abs=0.003)
    assert slower([-d for d in logs]) == pytest.approx(1 - exact, abs=0.01)


@calm
@given(a=st.integers(0, 20), b=st.integers(0, 20), n=st.integers(20, 60), m=st.integers(20, 60))
def test_more_errors_is_fishers_test(a: int, b: int, n: int, m: int) -> None:
    """The hypergeometric tail, by its definition."""
    ways = [math.comb(n, k) * math.comb(m, a + b - k) for k in range(a + b + 1) if k <= n and a + b - k <= m]
    wanted = sum(math.comb(n, k) * math.comb(m, a + b - k) for k in range(a, min(n, a + b) + 1) if a + b - k <= m)
    assert more(a, b, n, m) == pytest.approx(wanted / sum(ways), rel=1e-6)


def test_samples_that_are_all_alike_accuse_nobody() -> None:
    """Ties everywhere: a clock with a coarse tick."""
    same = [1.0] * 100
    assert slower([0.0] * 100) == slower([]) == 1.0
    assert longer_tail(same, same) >= 0.5
    assert longer_tail([], same) == 1.0
    assert compare(same, same, (0, 0), ALPHA).worse is None


def test_what_a_gate_spends_is_what_it_has() -> None:
    """All looks together, little of it early."""
    spent = [spend(0.001, look) for look in range(len(LOOKS))]
    assert sum(spent) == pytest.approx(0.001)
    assert spent == sorted(spent)


@pytest.mark.parametrize(
    ("factor", "worse"),
    [(1.0, None), (1.2, "whole"), (1.03, None), (0.8, None)],
    ids=["same", "slower", "hardly", "faster"],
)
def test_a_slowdown_of_the_whole_is_refused(factor: float, worse: str | None) -> None:
    """A fifth is, three hundredths are not, and faster never is."""
    chance = random.Random(4)  # noqa: S311 - samples that can be repeated
    found = compare(log_normal(chance, 300, factor), log_normal(chance, 300), (0, 0), ALPHA / 10)
    assert found.worse == worse
    if worse:
        assert found.slowdown == pytest.approx(factor, rel=0.1)


def test_a_certain_and_tiny_slowdown_is_none() -> None:
    """Certain by ten thousand samples, and not material."""
    chance = random.Random(5)  # noqa: S311 - samples that can be repeated
    base = [chance.lognormvariate(5, 0.02) for _ in range(500)]
    found = compare([1.02 * v for v in base], base, (0, 0), ALPHA)
    assert found.probabilities["whole"] < 1e-6
    assert found.slowdown == pytest.approx(1.02, rel=0.005)
    assert found.worse != "whole"


def test_a_longer_tail_and_more_errors_are_refused() -> None:
    """Where the middle is the same."""
    chance = random.Random(6)  # noqa: S311 - samples that can be repeated
    base, other = log_normal(chance, 600), log_normal(chance, 600)
    tail = [v * 3 if chance.random() < 0.15 else v for v in other]
    assert compare(tail, base, (0, 0), ALPHA / 10).worse in ("tail", "whole")
    assert compare(other, base, (20, 0), ALPHA / 10).worse == "errors"


def test_sides_are_asked_in_turn_and_in_random_order() -> None:
    """Of each two samples one is of each side; neither is always first."""
    asked = list(order(200, 1))
    pairs = list(zip(asked[::2], asked[1::2], strict=True))
    assert all(sum(pair) == 1 for pair in pairs)
    assert 60 < sum(first for first, _ in pairs) < 140
    assert asked == list(order(200, 1))


def test_the_effect_is_the_ratio() -> None:
    """The median of pairs; a few wild ones do not move it."""
    assert ratio([math.log(2)] * 9 + [5.0]) == pytest.approx(2.0)
