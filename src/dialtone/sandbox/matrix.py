"""The defect matrix: which check turned red under which defect, and whether that is what was claimed.

Pure functions over plain data. A check claims the defects that it is there to catch. The claims hold when every
defect is found, by exactly the checks that claim it, and when every check is turned red by something.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_CLAIMANTS = 4
"""Check functions that may claim one defect, unless it is a cascade."""
MOST_CASCADES = 8
"""Defects that may call themselves a cascade: one that takes many checks down with it."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One known way to be wrong. `how`: `switch` (in the switch file) or `hold` (in the database, by `holder`).

    `cause` is what on-call would call it, as `component.key`: what a diagnosis should name. `needs` is what a machine
    may lack without which nobody can find it, such as `browser`.
    """

    id: str
    what: str
    how: str = "switch"
    cascade: bool = False
    holder: tuple[str, ...] = ()
    cause: str = ""
    needs: str = ""
    kind: str = "check"
    """Who finds it: a check of a healthy deployment, or an experiment (`resilience`)."""

    @classmethod
    def read(cls, entries: Mapping[str, Mapping[str, Any]], holder: Sequence[str] = ()) -> dict[str, Defect]:
        """Defects from their declared form {id: {"what", "cause", "how", "cascade"}}; `holder --hold ID` holds one."""
        return {
            i: cls(
                i,
                e["what"],
                e.get("how", "switch"),
                bool(e.get("cascade")),
                tuple(holder),
                e.get("cause", ""),
                e.get("needs", ""),
                e.get("kind", "check"),
            )
            for i, e in entries.items()
        }


@dataclass(frozen=True, slots=True)
class Claims:
    """What one case of a check claims; with `any_case` it is enough that one case of the function turns red."""

    id: str
    function: str
    catches: tuple[str, ...] = ()
    any_case: bool = False

    @classmethod
    def read(cls, catalog: Mapping[str, Any]) -> list[Claims]:
        """Claims from the catalog that the plugin writes."""
        return [
            cls(c["id"], c["function"], tuple(c.get("catches", ())), bool(c.get("any_case"))) for c in catalog["checks"]
        ]

    def claimed_as(self) -> str:
        """Under which name the claim stands: the function's or the case's."""
        return self.function if self.any_case else self.id


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of all checks showed. `failure` says why there is nothing to show.

    `cause` is the likeliest cause by the diagnosis of what was red, if one was made; `by_checks` the one that it would
    have named by what was red alone, without looking further.
    """

    red: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    judged: int = 0
    seconds: float = 0.0
    failure: str = ""
    cause: str = ""
    by_checks: str = ""
    unarmed: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @classmethod
    def read(cls, verdicts: Mapping[str, Any], seconds: float) -> Round:
        """A round from the verdicts that the plugin writes."""
        checks, diagnosis = verdicts["checks"], verdicts.get("diagnosis") or {}
        return cls(
            red=tuple(sorted(c["id"] for c in checks if c["verdict"] in ("breach", "critical"))),
            broken=tuple(sorted(c["id"] for c in checks if c.get("kind") == "broken")),
            unarmed=tuple(sorted(c["id"] for c in checks if not c.get("armed", True))),
            undecided=tuple(sorted(c["id"] for c in checks if c.get("kind") == "undecided")),
            judged=sum(c["verdict"] in ("ok", "degraded", "breach", "critical") for c in checks),
            seconds=round(seconds, 1),
            cause=(diagnosis.get("cause") or {}).get("id", ""),
            by_checks=diagnosis.get("by_checks") or "",
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The document for build/defects.json, and what is wrong in sentences; none means that everything holds."""

    document: dict[str, Any]
    complaints: list[str] = field(default_factory=list)


def possible(
    defects: Mapping[str, Defect], claims: Sequence[Claims], healthy: Round
) -> tuple[dict[str, Defect], list[Claims]]:
    """The defects and claims that this machine can decide.

    A check that is not armed here for what a defect of its own needs claims nothing; a defect that nobody else claims
    is left out.
    """
    needy = {d.id for d in defects.values() if d.needs}
    here = [c for c in claims if not (c.id in healthy.unarmed and needy & set(c.catches))]
    claimed = {d for c in here for d in c.catches}
    return {i: d for i, d in defects.items() if not d.needs or i in claimed}, here


def of_claims(
    defects: Mapping[str, Defect], claims: Sequence[Claims], about: Collection[str] | None = None
) -> list[str]:
    """What is wrong with the claims themselves, before anything was run; only `about` these defects if given."""
    complaints = []
    for name in _unique(c.function for c in claims):
        unknown = {d for c in claims if c.function == name for d in c.catches} - set(defects)
        complaints += [f"{name} claims {defect}, a defect that does not exist" for defect in sorted(unknown)]
    for defect in defects.values():
        if about is not None and defect.id not in about:
            continue
        claimants = _unique(c.function for c in claims if defect.id in c.catches)
        if not claimants:
            complaints.append(f"{defect.id} is claimed by no check")
        elif len(claimants) > MOST_CLAIMANTS and not defect.cascade:
            complaints.append(
                f"{defect.id} is claimed by {len(claimants)} checks ({', '.join(claimants)}):"
                f" at most {MOST_CLAIMANTS} may, unless it is a cascade"
            )
    cascades = sorted(d.id for d in defects.values() if d.cascade)
    if len(cascades) > MOST_CASCADES:
        complaints.append(f"{len(cascades)} cascades ({', '.join(cascades)}): at most {MOST_CASCADES} may be")
    return complaints


def of_healthy(healthy: Round) -> list[str]:
    """What is wrong without any defect; then nothing else can be judged."""
    if healthy.failure:
        return [f"without a defect: {healthy.failure}"]
    if not healthy.judged:
        return ["without a defect: no check was judged"]
    red = [f"without a defect: {check} is red" for check in healthy.red]
    return red + [f"without a defect: {check} is broken" for check in healthy.broken]


def of_round(defect: Defect, claims: Sequence[Claims], shown: Round) -> list[str]:
    """What is wrong with the round of one defect."""
    if shown.failure:
        return [f"{defect.id}: {shown.failure}"]
    functions = {c.id: c.function for c in claims}
    claimed = expected(defect.id, claims)
    allowed = {c.id for c in claims if defect.id in c.catches}
    red = {*shown.red, *(functions.get(check, check) for check in shown.red)}
    complaints = []
    if not set(claimed) & red:
        complaints.append(f"{defect.id} is caught by nobody: {defect.what}")
    else:
        complaints += [f"{defect.id}: {name} claims it and is not red" for name in claimed if name not in red]
    complaints += [f"{defect.id}: {check} is red without claiming it" for check in shown.red if check not in allowed]
    return complaints + [f"{defect.id}: {check} broke instead of judging" for check in shown.broken]


def expected(defect: str, claims: Sequence[Claims]) -> list[str]:
    """Who has to be red under the defect: cases, or functions of which one case is enough."""
    return _unique(c.claimed_as() for c in claims if defect in c.catches)


def evaluate(
    defects: Mapping[str, Defect],
    claims: Sequence[Claims],
    healthy: Round,
    rounds: Mapping[str, Round],
) -> Outcome:
    """The outcome of all rounds so far. Of a subset of the defects, only checks that claim one of it can be missed."""
    complete = set(defects) <= set(rounds)
    complaints = of_claims(defects, claims, None if complete else rounds) + of_healthy(healthy)
    entries = []
    for defect in defects.values():
        if defect.id not in rounds:
            continue
        shown = rounds[defect.id]
        complaints += of_round(defect, claims, shown)
        claimed = expected(defect.id, claims)
        entries.append(
            {
                "id": defect.id,
                "what": defect.what,
                "expected": claimed,
                "red": list(shown.red),
                "broken": list(shown.broken),
                "caught": _is_caught(claimed, claims, shown),
                "seconds": shown.seconds,
                "cause": defect.cause,
                "diagnosed": shown.cause,
                "by_checks": shown.by_checks,
            }
        )
    never_red = _never_red(claims, rounds, complete=complete)
    complaints += [f"{name} is turned red by no defect" for name in never_red]
    return Outcome({"defects": entries, "never_red": never_red}, complaints)


NAMED = 80
"""Per cent of the defects whose cause a diagnosis has to name."""


def compared(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many causes the diagnoses named, of the entries of an outcome; and those that they did not, with the reason.

    A defect that has no cause, or whose round was not diagnosed, is one that was missed.
    """
    missed = [e for e in entries if not e["cause"] or e["diagnosed"] != e["cause"]]
    named = len(entries) - len(missed)
    return {
        "named": named,
        "of": len(entries),
        "by_checks": sum(bool(e["cause"]) and e["by_checks"] == e["cause"] for e in entries),
        "share": round(100 * named / max(1, len(entries)), 1),
        "bound": NAMED,
        "missed": [{"id": e["id"], "what": e["what"], "cause": e["cause"], "said": e["diagnosed"]} for e in missed],
    }


def _is_caught(claimed: Collection[str], claims: Sequence[Claims], shown: Round) -> bool:
    functions = {c.id: c.function for c in claims}
    return any(name in claimed for check in shown.red for name in (check, functions.get(check, check)))


def _never_red(claims: Sequence[Claims], rounds: Mapping[str, Round], *, complete: bool) -> list[str]:
    functions = {c.id: c.function for c in claims}
    turned = {functions.get(check, check) for shown in rounds.values() for check in shown.red}
    due = [c.function for c in claims if complete or set(c.catches) & set(rounds)]
    return [name for name in _unique(due) if name not in turned]


def _unique(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
