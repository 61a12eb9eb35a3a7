"""The defect matrix over plain data: what holds, and each way in which it does not."""

from __future__ import annotations

from typing import Any

import pytest

from dialtone.sandbox.matrix import Claims, Defect, Round, compared, evaluate, of_healthy, of_round, possible

HEALTHY = Round(judged=5)
DEFECTS = Defect.read(
    {
        "page-500": {"what": "a page answers 500", "area": "site", "how": "switch", "cascade": False},
        "leak": {"what": "connections leak", "area": "database", "how": "hold", "cascade": False},
        "wrong-hmac": {"what": "wrong algorithm", "area": "webhooks", "how": "switch"},
    }
)
CLAIMS = Claims.read(
    {
        "checks": [
            {"id": "test_pages[a]", "function": "test_pages", "catches": ["page-500"], "any_case": True},
            {"id": "test_pages[b]", "function": "test_pages", "catches": ["page-500"], "any_case": True},
            {"id": "test_connections", "function": "test_connections", "catches": ["leak"]},
            {"id": "test_genuine[stripe]", "function": "test_genuine", "catches": []},
            {"id": "test_genuine[retell]", "function": "test_genuine", "catches": ["wrong-hmac"]},
        ]
    }
)
ROUNDS = {
    "page-500": Round(red=("test_pages[b]",), judged=5, seconds=3.0),
    "leak": Round(red=("test_connections",), judged=5, seconds=2.0),
    "wrong-hmac": Round(red=("test_genuine[retell]",), judged=5, seconds=1.0),
}


def _complaints(**changed: Round) -> list[str]:
    rounds = {**ROUNDS, **{name.replace("_", "-"): shown for name, shown in changed.items()}}
    return evaluate(DEFECTS, CLAIMS, HEALTHY, rounds).complaints


def test_everything_as_claimed() -> None:
    """No complaint, and the document that is written."""
    outcome = evaluate(DEFECTS, CLAIMS, HEALTHY, ROUNDS)
    assert outcome.complaints == []
    assert outcome.document["never_red"] == []
    assert outcome.document["defects"][0] == {
        "id": "page-500",
        "what": "a page answers 500",
        "expected": ["test_pages"],
        "red": ["test_pages[b]"],
        "broken": [],
        "caught": True,
        "seconds": 3.0,
        "cause": "",
        "diagnosed": "",
        "by_checks": "",
    }
    assert [entry["expected"] for entry in outcome.document["defects"][1:]] == [
        ["test_connections"],
        ["test_genuine[retell]"],
    ]


def test_verdicts_become_a_round() -> None:
    """Red is breach or critical; broken is kept apart; undecided too, and counts as neither, like unarmed."""
    verdicts: dict[str, Any] = {
        "checks": [
            {"id": "a", "verdict": "ok", "kind": None},
            {"id": "b", "verdict": "degraded", "kind": None},
            {"id": "d", "verdict": "critical", "kind": None},
            {"id": "c", "verdict": "breach", "kind": None},
            {"id": "e", "verdict": "unknown", "kind": "broken"},
            {"id": "f", "verdict": "unknown", "kind": "undecided"},
            {"id": "g", "verdict": None, "kind": None},
        ]
    }
    assert Round.read(verdicts, 2.345) == Round(red=("c", "d"), broken=("e",), judged=4, seconds=2.3, undecided=("f",))


@pytest.mark.parametrize(
    ("changed", "sentences"),
    [
        (
            {"leak": Round(judged=5)},
            ["leak is caught by nobody: connections leak", "test_connections is turned red by no defect"],
        ),
        (
            {"leak": Round(red=("test_connections", "test_pages[a]"), judged=5)},
            ["leak: test_pages[a] is red without claiming it"],
        ),
        (
            {"wrong_hmac": Round(red=("test_genuine[retell]", "test_genuine[stripe]"), judged=5)},
            ["wrong-hmac: test_genuine[stripe] is red without claiming it"],
        ),
        (
            {"wrong_hmac": Round(red=("test_genuine[stripe]",), judged=5)},
            [
                "wrong-hmac is caught by nobody: wrong algorithm",
                "wrong-hmac: test_genuine[stripe] is red without claiming it",
            ],
        ),
        (
            {"page_500": Round(red=("test_pages[a]",), broken=("test_connections",), judged=4)},
            ["page-500: test_connections broke instead of judging"],
        ),
        (
            {"leak": Round(failure="the checks did not end within 180 s")},
            ["leak: the checks did not end within 180 s", "test_connections is turned red by no defect"],
        ),
    ],
)
def test_each_way_to_be_wrong_is_a_sentence(changed: dict[str, Round], sentences: list[str]) -> None:
    """Caught by nobody, red without a claim, another case than the one that claims, broken, not run at all."""
    assert _complaints(**changed) == sentences


def test_claim_that_does_not_hold() -> None:
    """Two checks claim the defect and one of them stays green: its claim is wrong, though the defect is caught."""
    claims = [*CLAIMS, Claims("test_other", "test_other", ("leak",))]
    outcome = evaluate(DEFECTS, claims, HEALTHY, ROUNDS)
    assert outcome.complaints == [
        "leak: test_other claims it and is not red",
        "test_other is turned red by no defect",
    ]
    assert outcome.document["never_red"] == ["test_other"]
    assert all(entry["caught"] for entry in outcome.document["defects"])


def test_claims_are_bounded() -> None:
    """An unknown defect, too many claimants, a defect without one, too many cascades."""
    rounds = {name: Round(judged=1) for name in DEFECTS}
    many = [Claims(f"test_{n}", f"test_{n}", ("page-500", "no-such")) for n in range(5)]
    complaints = evaluate(DEFECTS, many, HEALTHY, rounds).complaints
    assert "test_0 claims no-such, a defect that does not exist" in complaints
    assert (
        "page-500 is claimed by 5 checks (test_0, test_1, test_2, test_3, test_4): at most 4 may,"
        " unless it is a cascade" in complaints
    )
    assert "leak is claimed by no check" in complaints
    cascades = {f"c{n}": Defect(f"c{n}", "everything", cascade=True) for n in range(9)}
    red = {name: Round(red=("t",), judged=1) for name in cascades}
    complaints = evaluate(cascades, [Claims("t", "t", tuple(cascades))], HEALTHY, red).complaints
    assert complaints == ["9 cascades (c0, c1, c2, c3, c4, c5, c6, c7, c8): at most 8 may be"]


def test_cascade_may_be_claimed_by_many() -> None:
    """What takes everything down is found by everybody."""
    defects = {"down": Defect("down", "everything is down", cascade=True)}
    claims = [Claims(f"test_{n}", f"test_{n}", ("down",)) for n in range(6)]
    shown = Round(red=tuple(f"test_{n}" for n in range(6)), judged=6)
    assert evaluate(defects, claims, HEALTHY, {"down": shown}).complaints == []


def test_subset_misses_only_checks_that_claim_one_of_it() -> None:
    """CI runs a sample: a check whose defects were not switched on cannot be red."""
    outcome = evaluate(DEFECTS, CLAIMS, HEALTHY, {"leak": ROUNDS["leak"]})
    assert outcome.complaints == []
    assert [entry["id"] for entry in outcome.document["defects"]] == ["leak"]


def test_healthy_round_has_to_be_clean() -> None:
    """Red or broken without a defect, nothing judged, or no result."""
    assert of_healthy(HEALTHY) == []
    assert of_healthy(Round(red=("a",), broken=("b",), judged=3)) == [
        "without a defect: a is red",
        "without a defect: b is broken",
    ]
    assert of_healthy(Round()) == ["without a defect: no check was judged"]
    assert of_healthy(Round(failure="no verdicts")) == ["without a defect: no verdicts"]


def test_round_that_failed_is_judged_no_further() -> None:
    """Without verdicts nobody claims in vain."""
    assert of_round(DEFECTS["leak"], CLAIMS, Round(failure="no verdicts")) == ["leak: no verdicts"]


def test_causes_are_compared() -> None:
    """A cause is named when the diagnosis says exactly it; without a name or a diagnosis it is missed."""
    entries = [
        {"id": "a", "what": "a", "cause": "x.a", "diagnosed": "x.a", "by_checks": "x.a"},
        {"id": "b", "what": "b", "cause": "x.b", "diagnosed": "x.a", "by_checks": ""},
        {"id": "c", "what": "c", "cause": "x.c", "diagnosed": "", "by_checks": ""},
        {"id": "d", "what": "d", "cause": "", "diagnosed": "", "by_checks": ""},
    ]
    found = compared(entries)
    assert (found["named"], found["of"], found["share"], found["by_checks"]) == (1, 4, 25.0, 1)
    assert [(m["id"], m["cause"], m["said"]) for m in found["missed"]] == [
        ("b", "x.b", "x.a"),
        ("c", "x.c", ""),
        ("d", "", ""),
    ]


def test_a_round_carries_its_diagnosis() -> None:
    """The likeliest cause by its id, or nothing."""
    verdicts: dict[str, Any] = {"checks": [], "diagnosis": {"cause": {"id": "x.a"}}}
    assert Round.read(verdicts, 1.0).cause == "x.a"
    assert Round.read({"checks": [], "diagnosis": {"cause": None}}, 1.0).cause == ""
    assert Round.read({"checks": []}, 1.0).cause == ""


def test_what_this_machine_cannot_see() -> None:
    """A defect that takes a browser is left out where its claimant is not armed, with that one's other claims."""
    defects = {**DEFECTS, "script": Defect("script", "a script fails", needs="browser")}
    journey = Claims("test_journey", "test_journey", ("script", "page-500"))
    assert possible(defects, [*CLAIMS, journey], Round(judged=5)) == (defects, [*CLAIMS, journey])
    assert possible(defects, [*CLAIMS, journey], Round(judged=5, unarmed=("test_journey",))) == (DEFECTS, CLAIMS)
    # Another check that is not armed is a mistake, and stays one.
    assert possible(defects, CLAIMS, Round(judged=5, unarmed=("test_connections",))) == (DEFECTS, CLAIMS)
