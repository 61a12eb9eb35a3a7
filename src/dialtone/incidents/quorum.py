"""Several places look, and one verdict comes of it: what enough of them see is true, what one sees alone is told so.

`[quorum]` of a profile names the places and how many of them have to agree. Each place writes what it sees into the
shared history; the one whose results make up the number moves the incident, within the same transaction. Of a place
its latest result of a check counts, for as long as that speaks: two of its intervals. Where fewer places have looked
lately than have to agree, nobody could ever agree: then evidence over rounds decides, as it does with one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dialtone.history.engines import Engine
from dialtone.history.store import VERDICTS
from dialtone.incidents.lifecycle import Sign
from dialtone.target.pace import Quorum
from dialtone.verdict import Kind, Verdict

SKEW = 60.0
"""Seconds by which the clocks of two places may differ."""
SPEAKS = 2.0
"""For how many intervals a result of a place counts."""


@dataclass(frozen=True, slots=True)
class Joint:
    """What one round says once the others are heard: signs for incidents, what is seen from one place only, and what
    people have to know of the places themselves."""

    signs: tuple[Sign, ...]
    alone: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def after(before: tuple[float, float] | None, at: float) -> float:
    """The time of a round that comes after what another place said last, whose clock may be ahead of ours.

    What is known of a check is only moved by something later; places that finish at one moment have one order all the
    same. `before` is the heartbeat of the target: its time, and its interval.
    """
    if before is None or not 0 <= before[0] - at < SKEW:
        return at
    return before[0] + 0.001


Votes = Mapping[str, Mapping[str, Verdict]]
"""Check -> place -> its latest verdict."""


def votes(engine: Engine, target: str, at: float, every: float, places: Sequence[str]) -> Votes:
    """What the places said of each check of a target lately.

    Read within the transaction that holds the round's own results, and after `Engine.alone`: of two places that finish
    at the same moment the second sees the first.
    """
    marks = ", ".join("?" * len(places))
    since = round((at - SPEAKS * every) * 1000)
    rows = engine.all(
        "SELECT s.name, r.place, o.verdict FROM dialtone_series s JOIN dialtone_result o ON o.series = s.id"  # noqa: S608
        f" JOIN dialtone_run r ON r.id = o.run WHERE s.target = ? AND o.at >= ? AND r.place IN ({marks}) ORDER BY o.at",
        [target, since, *places],
    )
    found: dict[str, dict[str, Verdict]] = {}
    for name, place, verdict in rows:
        found.setdefault(str(name), {})[str(place)] = VERDICTS[verdict]
    return found


def joint(signs: Sequence[Sign], heard: Votes, place: str, rule: Quorum) -> Joint:
    """The signs of one place's round in the light of the others."""
    if place not in rule.places:
        named = f"the place {place!r}" if place else "this run, which names no place"
        return Joint((), (), (f"{named} is none of quorum.places: what it sees moves no incident (DIALTONE_PLACE)",))
    made: list[Sign] = []
    alone: list[str] = []
    present = {place}.union(*(of.keys() for of in heard.values())) & set(rule.places)
    for sign in signs:
        known = {**heard.get(sign.check, {}), place: sign.verdict}
        seen = sorted(name for name, verdict in known.items() if verdict.is_bad)
        sees = [name for name, verdict in known.items() if verdict is not Verdict.UNKNOWN]
        if len(seen) >= rule.agree:
            if sign.verdict.is_bad:  # else those who see it have said so; one that does not ends nothing
                made.append(replace(sign, place=", ".join(seen), confirmed=True))
        elif sign.verdict.is_bad and len(sees) >= rule.agree:
            alone.append(f"{sign.check}: seen from {', '.join(seen)} only, {sign.verdict}: {sign.reason}")
        elif sign.verdict is Verdict.UNKNOWN and len(sees) >= rule.agree:
            if sign.kind is not Kind.UNDECIDED:
                alone.append(f"{sign.check}: cannot be seen from {place}, {sign.kind}: {sign.reason}")
        else:
            made.append(replace(sign, place=place))
    return Joint(tuple(made), tuple(alone), tuple(_missing(present, rule)))


def _missing(present: set[str], rule: Quorum) -> list[str]:
    """Places that nothing was heard of."""
    gone = [name for name in rule.places if name not in present]
    if not gone:
        return []
    blind = len(present) < rule.agree
    after = f": {rule.agree} have to agree, so evidence over rounds decides until they are back" if blind else ""
    return [f"nothing was heard from {', '.join(gone)} lately{after}"]
