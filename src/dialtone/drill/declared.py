"""What stands at an experiment: `@experiment(...)`, and the faults under which it runs, one case each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from typing import Any, TypeVar

import pytest

from dialtone.interceptor.answers import Answers
from dialtone.interceptor.client import Active, Controller
from dialtone.interceptor.plan import Match
from dialtone.judging import Aims, Meta, mark
from dialtone.target.duration import seconds
from dialtone.verdict import Effect, Severity

F = TypeVar("F", bound=Callable[..., Any])
_OF_MATCH = {each.name for each in fields_of(Match)}
_OF_SPEC = {"seed", "start", "duration", "ttl", "course"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as it stands in a declaration: nothing happens before `put`."""

    what: str
    """In words, as the report tells it."""
    kind: str
    """Its class: a mechanism (`refuse`), or an authentic answer (`stripe.any.unavailable`)."""
    host: str
    plan: Mapping[str, Any] = field(default_factory=dict)

    def put(self, controller: Controller) -> Active:
        """Let it act, for as long as the controller renews it."""
        return controller.put(**self.plan)


def fault(kind: str, *, says: str | None = None, **given: Any) -> Fault:
    """A fault for a declaration: `fault("refuse", host="api.stripe.com")`, `fault("google.token.invalid_grant")`.

    `kind` is a mechanism (`dialtone faults mechanisms`) or an answer, `provider.endpoint.row` (`dialtone faults
    answers`). Keywords are those of a plan: of its match (`host`, `path`, `nth`, `share` …), of the fault (`seed`,
    `start`, `duration`, `course`), else of the mechanism (`seconds`, `then` …). `says` is how a report tells it.
    Raises UnknownAnswerError for an answer that there is not, and TypeError for a fault of no host.
    """
    match = {name: value for name, value in given.items() if name in _OF_MATCH}
    spec = {name: value for name, value in given.items() if name in _OF_SPEC}
    rest = {name: value for name, value in given.items() if name not in _OF_MATCH | _OF_SPEC}
    if kind.count(".") == 2:
        provider, endpoint, name = kind.split(".")
        row = Answers.of(provider).row(f"{endpoint}.{name}")
        match = {**Answers.of(provider).match(endpoint), **match}
        plan = {"fault": "answer", "provider": provider, "row": row.name, "match": match, **spec, **rest}
        return Fault(says or f"{provider} answers {row.status} {name}", kind, match["host"], plan)
    if "host" not in match:
        raise TypeError(f"fault({kind!r}): of which host? fault({kind!r}, host=…)")
    plan = {"fault": kind, "match": match, **spec, **rest}
    return Fault(says or f"{kind} at {match['host']}", kind, match["host"], plan)


def experiment(
    *,
    runbook: str,
    dependency: str = "",
    severity: str = "P1",
    needs: Sequence[str] = (),
    catches: Sequence[str] | Mapping[str, Sequence[str]] = (),
    faults: Mapping[str, Fault] | None = None,
    alert_within: float | str = 10.0,
    recover_within: float | str = 30.0,
    rpo: float | str = 0.0,
    smoke: bool = False,
    effect: str = "disrupts",
    requests: int = 60,
) -> Callable[[F], F]:
    """Declare a test function in chaos/ as an experiment: steady state, fault, fallback, alert, recovery, ledger.

    `dependency` is what fails (`stripe`); with `faults` the function runs once under each, given as `fault`, with the
    names as cases. `catches` are the resilience defects that make it fail (a mapping from case to defects where they
    differ). `alert_within` and `recover_within` are objectives in seconds (or "2m") from the fault's begin and end;
    `rpo` is how old, in seconds, a promise may be that a disaster takes along. `smoke` puts it into the short drill;
    of a function with cases the first one. `effect` is what it does to a target, as of a check: one that puts no fault
    and only sends a webhook twice (`provokes`) runs where the profile allows that, and within the budget of requests
    there: `requests` is how many it sends to the target at most.
    """
    aims = Aims(_seconds(alert_within), _seconds(recover_within), _seconds(rpo))
    meta = Meta(
        runbook,
        Severity(severity),
        Effect(effect),
        catches,
        tuple(needs),
        requests=requests,
        experiment=True,
        dependency=dependency,
        aims=aims,
        smoke=smoke,
    )

    def declare(function: F) -> F:
        if faults:
            function = pytest.mark.parametrize("fault", list(faults.values()), ids=list(faults))(function)
        return mark(meta)(function)

    return declare


def _seconds(given: float | str) -> float:
    return seconds(given) if isinstance(given, str) else float(given)
