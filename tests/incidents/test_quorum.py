"""Several places, one verdict: what enough of them see, what one sees alone, and who is silent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.incidents.conftest import NOON, sign

from dialtone.history import Result, Run, Store
from dialtone.incidents.quorum import SKEW, after, joint, votes
from dialtone.target.pace import Quorum
from dialtone.verdict import Kind, Verdict

RULE = Quorum(places=["fra1", "iad1", "gru1"], agree=2)


def heard(**places: str) -> dict[str, dict[str, Verdict]]:
    """What other places said of the one check."""
    return {"health": {place: Verdict(verdict) for place, verdict in places.items()}}


def test_enough_places_confirm_at_once() -> None:
    """The second that sees it moves the incident, and names both."""
    found = joint([sign()], heard(iad1="breach", gru1="ok"), "fra1", RULE)
    (one,) = found.signs
    assert (one.confirmed, one.place, one.verdict) == (True, "fra1, iad1", Verdict.CRITICAL)
    assert found.alone == ()


def test_one_place_alone_is_told_as_such() -> None:
    """And says nothing to incidents, neither bad nor good."""
    found = joint([sign()], heard(iad1="ok", gru1="ok"), "fra1", RULE)
    assert found.signs == ()
    assert found.alone == ("health: seen from fra1 only, critical: health is critical",)


def test_one_that_sees_it_well_ends_nothing() -> None:
    """While the others agree that it is bad."""
    assert joint([sign(verdict="ok")], heard(iad1="critical", gru1="critical"), "fra1", RULE).signs == ()
    (one,) = joint([sign(verdict="ok")], heard(iad1="critical", gru1="ok"), "fra1", RULE).signs
    assert one.good


def test_too_few_places_leave_it_to_evidence() -> None:
    """Nobody could agree with the only one that looks: it is as without a quorum, and that is said."""
    (found,) = joint([sign()], {}, "fra1", RULE).signs
    assert not found.confirmed
    assert found.verdict is Verdict.CRITICAL
    (words,) = joint([sign()], {}, "fra1", RULE).words
    assert words.startswith("nothing was heard from iad1, gru1 lately: 2 have to agree")


def test_a_place_that_cannot_see_is_told() -> None:
    """Offline is the place's trouble while others see; with too few others it goes on as it is."""
    one = sign(verdict="unknown", kind=Kind.OFFLINE, reason="no witness answers")
    found = joint([one], heard(iad1="ok", gru1="ok"), "fra1", RULE)
    assert found.signs == ()
    assert found.alone == ("health: cannot be seen from fra1, offline: no witness answers",)
    assert joint([one], heard(iad1="unknown"), "fra1", RULE).signs[0].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("place", ["", "a-laptop"])
def test_a_stranger_moves_nothing(place: str) -> None:
    """A run by hand is none of the places."""
    found = joint([sign()], heard(iad1="critical"), place, RULE)
    assert found.signs == ()
    assert "is none of quorum.places" in found.words[0]


@settings(deadline=None, max_examples=200)
@given(
    agree=st.integers(1, 4),
    told=st.lists(st.sampled_from(["ok", "degraded", "unknown", "breach", "critical"]), min_size=1, max_size=4),
)
def test_an_alarm_takes_as_many_as_are_asked_for(agree: int, told: list[str]) -> None:
    """Confirmed exactly when at least `agree` places see it and this is one of them; fewer never confirm."""
    places = [f"p{n}" for n in range(4)]
    rule = Quorum(places=places, agree=agree)
    others = dict(zip(places[1:], told[1:], strict=False))
    found = joint([sign(verdict=told[0])], heard(**others), "p0", rule)
    bad = sum(Verdict(verdict).is_bad for verdict in told)
    sees = sum(verdict != "unknown" for verdict in told)
    assert any(one.confirmed for one in found.signs) == (bad >= agree and Verdict(told[0]).is_bad)
    if Verdict(told[0]).is_bad and bad < agree <= sees:
        assert found.signs == ()
        assert len(found.alone) == 1


def test_the_latest_of_each_place_counts(tmp_path: Any) -> None:
    """For two intervals; of places that are named, and of this target."""
    store = Store.open(tmp_path / "history.db")
    for place, target, at, verdict in (
        ("fra1", "production", NOON - 100, Verdict.OK),
        ("fra1", "production", NOON - 40, Verdict.CRITICAL),
        ("iad1", "production", NOON - 130, Verdict.CRITICAL),
        ("gru1", "preview", NOON - 10, Verdict.CRITICAL),
        ("elsewhere", "production", NOON - 10, Verdict.CRITICAL),
    ):
        store.add(Run(f"{place}{at}", target, at, at, place, 60.0), [Result("health", at, verdict)])
    assert votes(store.engine, "production", NOON, 60.0, RULE.places) == {"health": {"fra1": Verdict.CRITICAL}}
    store.close()


def test_places_have_one_order() -> None:
    """A clock that is a little ahead, or the same moment, does not make a later round an earlier one."""
    assert after(None, NOON) == NOON
    assert after((NOON - 5, 60), NOON) == NOON
    assert after((NOON, 60), NOON) > NOON
    assert NOON + 3 < after((NOON + 3, 60), NOON) < NOON + 3.1
    assert after((NOON + SKEW + 1, 60), NOON) == NOON


@pytest.mark.parametrize("wrong", [{"places": ["a"]}, {"places": ["a", "a"]}, {"places": ["a", "b"], "agree": 3}])
def test_a_quorum_that_cannot_be(wrong: dict[str, Any]) -> None:
    """Is refused with the profile."""
    with pytest.raises(ValidationError):
        Quorum.model_validate(wrong)
