"""Verdicts, severities and findings: the record types that every other room speaks.

A check makes one or more judgements. Each is a `Finding`; the worst one is the check's verdict. A judgement that is
not `ok` or `degraded` leaves the check by one of the exceptions below, so that pytest sees a failure (`Bad`) or a
skip (`Undecided`, `Offline`, `Refused`, `Unarmed`) and never an outcome of our own invention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What is known about one thing that must be true. Ordered from best to worst by `rank`."""

    OK = "ok"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    BREACH = "breach"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for ok up to 4 for critical; unknown stands above degraded because it is never ok."""
        return _RANKS[self]

    @property
    def is_bad(self) -> bool:
        """True for breach and critical: somebody has to be told."""
        return self in (Verdict.BREACH, Verdict.CRITICAL)


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


class Kind(StrEnum):
    """Why a verdict is unknown."""

    UNDECIDED = "undecided"  # too little evidence
    OFFLINE = "offline"  # the prober's own witnesses are unreachable
    REFUSED = "refused"  # the prober was turned away: challenge, firewall, 401 or 429 that is not what was asked about
    BROKEN = "broken"  # the check itself failed


class Severity(StrEnum):
    """The runbook's severity levels."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class Effect(StrEnum):
    """What a check does to its target, from harmless to expensive."""

    READS = "reads"
    WRITES = "writes"
    PROVOKES = "provokes"
    DISRUPTS = "disrupts"
    COSTS = "costs"


@dataclass(frozen=True, slots=True)
class Levels:
    """Target, alert and critical level of an objective, in its unit; None where a judgement has no such level."""

    target: float | None = None
    alert: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement. `reason` is a sentence for people; `evidence` holds masked facts only (JSON types)."""

    verdict: Verdict
    reason: str
    kind: Kind | None = None
    value: float | None = None
    unit: str | None = None
    samples: int = 1
    levels: Levels = Levels()
    severity: Severity | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Judged(Exception):
    """Leaves a check early with the finding that decided it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.reason)
        self.finding = finding


class Bad(Judged, AssertionError):
    """Breach or critical. An AssertionError, so that pytest and Allure say `failed`."""


class Unknown(Judged):
    """Base of the judgements that are unknown and become skips."""

    kind = Kind.UNDECIDED

    def __init__(self, reason: str, *, samples: int = 0, **evidence: Any) -> None:
        super().__init__(Finding(Verdict.UNKNOWN, reason, self.kind, samples=samples, evidence=evidence))


class Undecided(Unknown):
    """Too little evidence, or something that had to come first did not happen."""


class Offline(Unknown):
    """The prober cannot reach its own witnesses: nothing can be said about the target."""

    kind = Kind.OFFLINE


class Refused(Unknown):
    """The prober was turned away by something that the check does not judge."""

    kind = Kind.REFUSED


class Unarmed(Exception):
    """The check lacks a setting, a credential or the permission for its effect; the message says which."""


class Misdeclared(Exception):
    """A check whose declaration does not fit what it asks for: it is broken; the message holds names only."""


def bad(verdict: Verdict, reason: str, **fields: Any) -> Bad:
    """A `Bad` for one breach or critical judgement; `fields` are those of `Finding`."""
    return Bad(Finding(verdict, reason, **fields))
