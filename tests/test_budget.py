"""The plan of a round: within the allowance, most severe first, the same in every process."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dialtone.budget import Need, plan
from dialtone.verdict import Severity

needs = st.lists(
    st.builds(
        Need,
        id=st.text("abcdef", min_size=1, max_size=4),
        severity=st.sampled_from(Severity),
        requests=st.integers(0, 12),
        samples=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda n: n.id,
)
calm = settings(deadline=None, max_examples=150)


def need(name: str, severity: str = "P2", requests: int = 3, *, samples: bool = False) -> Need:
    """A need with the defaults of a check."""
    return Need(name, Severity(severity), requests, samples)


@calm
@given(needs=needs, allowance=st.integers(0, 100))
def test_a_plan_never_grants_more_than_the_allowance(needs: list[Need], allowance: int) -> None:
    """The target's limit is not ours to break; each check gets all that it needs or nothing."""
    granted = plan(needs, allowance)
    assert set(granted) == {n.id for n in needs}
    assert sum(g or 0 for g in granted.values()) <= allowance
    for n in needs:
        given = granted[n.id]
        assert given is not None
        assert given == 0 or given >= n.requests
        assert n.samples or given in (0, n.requests)


@calm
@given(needs=needs, allowance=st.none() | st.integers(0, 100), seed=st.integers())
def test_a_plan_does_not_depend_on_the_order(needs: list[Need], allowance: int | None, seed: int) -> None:
    """Every worker of xdist makes the same plan from the same checks."""
    shuffled = list(needs)
    Random(seed).shuffle(shuffled)  # noqa: S311
    assert plan(shuffled, allowance) == plan(needs, allowance)


@calm
@given(needs=needs, allowance=st.integers(0, 100))
def test_what_samples_can_use_is_not_left_over(needs: list[Need], allowance: int) -> None:
    """If a served check takes samples, the whole allowance is granted."""
    granted = plan(needs, allowance)
    takers = [n for n in needs if n.samples and (granted[n.id] or 0) > 0]
    assert not takers or sum(g or 0 for g in granted.values()) == allowance


def test_without_a_budget_everything_is_unlimited() -> None:
    """None is no number of requests."""
    assert plan([need("a"), need("b", samples=True)], None) == {"a": None, "b": None}


def test_the_most_severe_checks_are_served_first() -> None:
    """When not all fit, P0 does."""
    assert plan([need("a", "P3"), need("b", "P0"), need("c", "P1")], 6) == {"b": 3, "c": 3, "a": 0}


def test_a_check_that_does_not_fit_makes_room_for_one_that_does() -> None:
    """What one large check cannot use a small one may."""
    assert plan([need("a", "P1", 10), need("b", "P2", 2)], 5) == {"a": 0, "b": 2}


def test_samples_share_evenly_what_is_left() -> None:
    """The remainder goes to the most severe."""
    needs = [need("a", "P2", samples=True), need("b", "P1", samples=True), need("c")]
    assert plan(needs, 20) == {"a": 8, "b": 9, "c": 3}


def test_a_check_without_requests_takes_samples_all_the_same() -> None:
    """Nothing at least is a need that every allowance meets."""
    assert plan([need("a", requests=0, samples=True), need("b", requests=0)], 5) == {"a": 5, "b": 0}
