"""What stands at a check: `@check(...)`, and the judgements that its body makes.

A judgement is made with `expect(...)`, an objective's `judge…`, or `judge(finding)`; it is recorded for the running
check, and one that is not `ok` or `degraded` ends the check at once. A check that ends without a judgement is broken:
it could not have failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeVar

import pytest

from dialtone.verdict import Bad, Effect, Finding, Judged, Kind, Refused, Severity, Undecided, Verdict

F = TypeVar("F", bound=Callable[..., Any])
Proof = Literal["signed", "triggered", "observed"]


@dataclass(frozen=True, slots=True)
class Aims:
    """The objectives of an experiment, in seconds."""

    alert_within: float = 10.0
    """From the begin of the fault to the message."""
    recover_within: float = 30.0
    """From its end until everything is well."""
    rpo: float = 0.0
    """How old a promise may be that a disaster takes along."""


@dataclass(frozen=True, slots=True)
class Meta:
    """The declaration of a check.

    `requests` is how many requests it sends to the target at most, samples apart; `reads` how many it sends to each
    provider that it needs.
    """

    runbook: str
    severity: Severity = Severity.P2
    effect: Effect = Effect.READS
    catches: Sequence[str] | Mapping[str, Sequence[str]] = ()
    needs: Sequence[str] = ()
    objective: str | None = None
    requests: int = 3
    samples: bool = False
    proof: Proof | None = None
    experiment: bool = False
    reads: int = 1
    depends: Sequence[str] = ()
    gate: bool = False
    dependency: str = ""
    aims: Aims = Aims()
    smoke: bool = False
    every: float | None = None

    def claims(self, case: str | None) -> Sequence[str]:
        """The defects that the check (or the case of it) claims to turn red for."""
        if isinstance(self.catches, Mapping):
            return list(self.catches.get(case or "", ()))
        return list(self.catches)


def check(
    *,
    runbook: str,
    severity: str = "P2",
    effect: str = "reads",
    catches: Sequence[str] | Mapping[str, Sequence[str]] = (),
    needs: Sequence[str] = (),
    objective: str | None = None,
    requests: int = 3,
    samples: bool = False,
    proof: Proof | None = None,
    reads: int = 1,
    depends: Sequence[str] = (),
    gate: bool = False,
    every: str | None = None,
) -> Callable[[F], F]:
    """Declare a test function as a check.

    `runbook` is the anchor of its section, `catches` the defects it is there to catch (a mapping from case to defects
    for a parametrised one), `needs` the settings without which it is not armed (`routes.health`, `database`, …),
    `objective` the name of the SLO that its `objective` fixture holds, `samples` whether it asks the sampler for more
    requests than `requests`, `reads` how often it reads a provider that it needs, `depends` the ids of checks that
    have to be good for it to be good: red together, they are one incident; `gate` whether `--gate` runs it; `every` how
    often the resident watch looks (`"10m"`), where the profile does not say.
    """
    from dialtone.target.duration import seconds

    kinds = Severity(severity), Effect(effect)
    return mark(
        Meta(
            runbook,
            *kinds,
            catches,
            tuple(needs),
            objective,
            requests,
            samples,
            proof,
            reads=reads,
            depends=tuple(depends),
            gate=gate,
            every=seconds(every) if every else None,
        )
    )


def each(
    table: str, argument: str, known: Sequence[str] = (), *, key: str | None = None, but: Sequence[str] = ()
) -> pytest.MarkDecorator:
    """Run a check once for every entry of a table of the profile, given as `argument`.

    `known` are the names that the suite itself speaks of: they are cases in any profile, unarmed where it lacks them.
    With a `key` only entries that set it are cases, and never those in `but`, which have a check of their own. In the
    check's `needs`, `{argument}` stands for the name.
    """
    return pytest.mark.dialtone_each(table, argument, tuple(known), key, tuple(but))


def mark(meta: Meta) -> Callable[[F], F]:
    """A decorator that puts the declaration on a test function."""

    def put(function: F) -> F:
        marked: F = pytest.mark.dialtone(meta)(function)
        return marked

    return put


@dataclass(slots=True)
class Record:
    """What the running check has judged and seen so far."""

    meta: Meta
    findings: list[Finding] = field(default_factory=list)
    exchanges: list[Callable[[], Mapping[str, Any]]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    explanations: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    """What may explain a failure, by its subject: asked only when there is one; half a sentence, or None."""
    measured: dict[str, Any] = field(default_factory=dict)
    second: tuple[str, int] | None = None
    """After a read that failed on the way: what a second attempt says of the path, and how many of both failed."""
    compared: Finding | None = None
    """What a comparison with a baseline found: judged when the check has judged all else."""
    closing: Callable[[], None] | None = None
    """What judges when the check has said all else, however it ended: an experiment's verdict."""
    sequential: bool = False
    """Whether samples were taken until they sufficed: they are judged by a bound that holds at any stop."""

    def worst(self) -> Finding:
        """The finding that is the check's verdict; a check without one is broken."""
        if not self.findings:
            return Finding(Verdict.UNKNOWN, "the check judged nothing", Kind.BROKEN)
        return max(self.findings, key=lambda f: f.verdict.rank)


current: ContextVar[Record | None] = ContextVar("dialtone_record", default=None)


def running() -> Record:
    """The record of the running check; a throw-away one outside of a check, so that probes work in plain code too."""
    return current.get() or Record(Meta("none"))


def judge(finding: Finding) -> Finding:
    """Record a finding; leaves the check when it is breach, critical or unknown."""
    running().findings.append(finding)
    if finding.verdict.is_bad:
        raise Bad(finding)
    if finding.verdict is Verdict.UNKNOWN:
        raise _again(Refused if finding.kind is Kind.REFUSED else Undecided, finding)
    return finding


def _again(kind: type[Judged], finding: Finding) -> Judged:
    error = kind.__new__(kind)
    Judged.__init__(error, finding)
    return error


def ok(reason: str, *, value: float | None = None, unit: str | None = None, **evidence: Any) -> Finding:
    """Judge: what had to be true is true."""
    return judge(Finding(Verdict.OK, reason, value=value, unit=unit, evidence=evidence))


def degraded(reason: str, *, value: float | None = None, unit: str | None = None, **evidence: Any) -> Finding:
    """Judge: what had to be true is true, but not as well as it should be."""
    return judge(Finding(Verdict.DEGRADED, reason, value=value, unit=unit, evidence=evidence))


def fail(reason: str, *, value: float | None = None, unit: str | None = None, **evidence: Any) -> NoReturn:
    """Judge: what had to be true is not. Critical for a P0 check, else a breach."""
    severe = running().meta.severity is Severity.P0
    verdict = Verdict.CRITICAL if severe else Verdict.BREACH
    judge(Finding(verdict, reason, value=value, unit=unit, evidence=evidence))
    raise AssertionError("unreachable")


def undecided(reason: str, **evidence: Any) -> NoReturn:
    """Judge: nothing can be said, for instance because what had to come first did not happen."""
    raise Undecided(reason, **evidence)
