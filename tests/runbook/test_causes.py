"""Causes: which red checks point to them, and which is the likeliest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialtone.runbook.causes import Cause, When, candidates, declared, fits
from dialtone.runbook.diagnosis import concluded
from dialtone.runbook.items import ItemsError


def entry(name: str, verdict: str = "breach", severity: str = "P1", reason: str = "wrong") -> dict[str, Any]:
    """A check of verdicts.json, as far as causes look at it."""
    return {"id": name, "verdict": verdict, "severity": severity, "reason": reason, "armed": verdict != "unarmed"}


def ranked(causes: list[Cause], entries: list[dict[str, Any]], seen: dict[str, list[str]] | None = None) -> list[str]:
    """The ids of the candidates, likeliest first."""
    return [c.id for c in candidates(causes, {c.id: c.signs(entries) for c in causes}, entries, seen or {})]


@pytest.mark.parametrize(
    ("pattern", "check", "does"),
    [
        ("a", "a", True),
        ("a", "a[b]", True),
        ("a", "ab", False),
        ("a[b]", "a[b]", True),
        ("a[b]", "a[c]", False),
        ("a[b*]", "a[bc]", True),
        ("a[*]", "a[b]", True),
        ("a[b]", "ab", False),
        ("*", "anything[b]", True),
    ],
)
def test_patterns(pattern: str, check: str, does: bool) -> None:
    """Brackets stand for themselves; a name alone is all its cases."""
    assert fits(pattern, check) is does


def test_a_sign_is_a_red_check() -> None:
    """What is ok, unknown or unarmed points to nothing."""
    for verdict in ("ok", "degraded", "unknown", "unarmed"):
        assert When("a").seen([entry("a", verdict)]) == []
    assert When("a").seen([entry("a", "critical")]) == ["a"]


def test_a_sign_may_look_at_the_reason() -> None:
    """Two causes of one check are told apart by what it found."""
    assert When("a", r"answered 5\d\d").seen([entry("a", reason="answered 503, not 200")]) == ["a"]
    assert When("a", r"answered 5\d\d").seen([entry("a", reason="answered 404, not 200")]) == []


def test_a_sign_may_want_others_red_or_well() -> None:
    """`also` has to be red, `well` has to be known to be ok: unknown and unarmed do not do."""
    both = When("a", also=["b"])
    assert both.seen([entry("a"), entry("b")]) == ["a", "b"]
    assert both.seen([entry("a"), entry("b", "ok")]) == []
    alone = When("a", well=["b"])
    assert alone.seen([entry("a"), entry("b", "degraded")]) == ["a"]
    for verdict in ("breach", "unknown", "unarmed"):
        assert alone.seen([entry("a"), entry("b", verdict)]) == []
    assert alone.seen([entry("a")]) == []


def test_the_cause_that_accounts_for_more_is_likelier() -> None:
    """A cause accounts for what follows from it, however far."""
    root = Cause("p.root", "r", "f", explains=["q.*"], seen=[When("a")])
    middle = Cause("q.middle", "m", "f", explains=["r.leaf"], seen=[When("b")])
    leaf = Cause("r.leaf", "l", "f", seen=[When("c")])
    red = [entry("a", severity="P3"), entry("b"), entry("c", severity="P0")]
    assert ranked([leaf, middle, root], red) == ["p.root", "q.middle", "r.leaf"]
    assert ranked([leaf, middle, root], red[1:]) == ["q.middle", "r.leaf"]


def test_what_a_look_saw_decides_between_equals() -> None:
    """A cause that was only seen by a look wins over the one that it explains."""
    shown = Cause("sms.never-queued", "n", "f", seen=[When("a")])
    hidden = Cause("telnyx.key-unusable", "k", "f", explains=["sms.*"])
    assert ranked([shown, hidden], [entry("a")]) == ["sms.never-queued"]
    assert ranked([shown, hidden], [entry("a")], {"telnyx.key-unusable": ["seen"]})[0] == "telnyx.key-unusable"


def test_what_accounts_for_nothing_red_comes_last() -> None:
    """Something odd that a look saw is not the cause of what is red."""
    odd, real = Cause("x.odd", "o", "f"), Cause("y.real", "r", "f", seen=[When("a")])
    assert ranked([odd, real], [entry("a", severity="P3")], {"x.odd": ["seen"]}) == ["y.real", "x.odd"]


def test_what_is_red_for_the_same_reason_is_explained() -> None:
    """Nothing answers, whoever asks: only what is red for a reason of its own is left."""
    down = [entry(name, reason="the target is down") for name in ("pages", "texts", "orders")]
    cause = {"id": "down", "says": "x", "first": "y", "contact": None, "explains": [], "signs": ["pages"]}
    parts = [{"causes": [cause], "sections": []}]
    assert concluded(parts, [*down, entry("tables")], None)["unexplained"] == ["tables"]


@pytest.mark.parametrize(
    ("contacts", "told"),
    [
        ({"vercel": "status: https://s.example"}, "vercel status: https://s.example"),
        ({"vercel": ""}, "vercel"),
        ({}, None),
        (None, "vercel"),
    ],
    ids=["told", "known", "strange", "not-heard"],
)
def test_whose_support_to_turn_to(contacts: dict[str, str] | None, told: str | None) -> None:
    """A provider that the profile does not know is none of this application; before the profile is heard, who knows."""
    cause = {"id": "down", "says": "x", "first": "y", "contact": "vercel", "explains": [], "signs": ["pages"]}
    parts = [{"causes": [cause], "sections": []}, *([{"contacts": contacts}] if contacts is not None else [])]
    assert concluded(parts, [entry("pages")], None)["cause"]["contact"] == told


def test_circles_end() -> None:
    """Two causes that explain each other account for the same."""
    one = Cause("a.a", "a", "f", explains=["b.b"], seen=[When("a")])
    two = Cause("b.b", "b", "f", explains=["a.a"], seen=[When("b")])
    assert ranked([one, two], [entry("a"), entry("b")]) == ["a.a", "b.b"]


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.randoms())
def test_the_order_of_the_checks_does_not_matter(red: list[str], random: Any) -> None:
    """The likeliest cause is the same however the verdicts arrive."""
    causes = [Cause(f"{n}.{n}", n, "f", seen=[When(n)], explains=[f"{chr(ord(n) + 1)}.*"]) for n in "abcdef"]
    entries = [entry(name) for name in red]
    shuffled = random.sample(entries, len(entries))
    assert ranked(causes, entries) == ranked(causes, shuffled)


def test_an_id_is_declared_once(tmp_path: Path) -> None:
    """Two causes of one name could not be told apart, also in two files."""
    for name in ("causes.py", "causes_more.py"):
        (tmp_path / name).write_text("from dialtone.runbook import Cause\nCAUSES = [Cause('a.a', 'says', 'first')]\n")
    with pytest.raises(ItemsError, match=r"declared twice among the causes: a\.a"):
        declared([tmp_path])
