"""Samples of a target beside those of a baseline: in pairs, each in random order, compared by `comparison.py`.

What slows the prober slows both. The baseline is only ever read, by GET, whatever its effects are, and within its own
budget. One that does not answer, or refuses, says nothing of the target: the comparison is then undecided.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dialtone.assertions import turned_away
from dialtone.comparison import ALPHA, LOOKS, TOLERATED, Comparison, bounds, compare, looks_of, order, ratio, spend
from dialtone.evidence import CONFIDENCE
from dialtone.http import Answer
from dialtone.judging import Meta, Record, current
from dialtone.probes.caller import Caller
from dialtone.target import Target
from dialtone.verdict import Finding, Kind, Unarmed, Verdict

Measure = Callable[[Answer], float | None]
_LEAST = 20
"""Pairs below which there is nothing to compare."""
_FEW = 5
"""Bad answers of the baseline in a row, and no good one, after which it is left alone."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A baseline and what one check of the gate may err by; `caller` makes the voice that asks it."""

    target: Target
    baseline: Target
    caller: Callable[[], Caller]
    alpha: float = ALPHA
    seed: int = 0

    def begin(
        self, what: str, where: str, budget: int | None, measure: Measure | None, wrong: Callable[[Answer], bool]
    ) -> Comparing:
        """Begin to compare `what`: as many pairs as both budgets allow. `measure` tells a time; else errors count."""
        try:
            caller = self.caller()
        except Unarmed as lacks:
            return Comparing(self, what, None, 0, measure, wrong, silent=f"it cannot be asked: {lacks}")
        left = [n for n in (budget, caller.budget.left) if n is not None]
        allowed = max(0, min([LOOKS[-1], *(n - 1 for n in left)]))
        made = Comparing(self, what, caller, allowed, measure, wrong)
        made.greet(where)
        return made

    def url(self, where: str) -> str | None:
        """Where the baseline has what stands at `where` of the target; None for an address that is not the target's."""
        if "://" not in where.partition("?")[0]:
            return self.baseline.url(where)
        ours, theirs = self.target.profile, self.baseline.profile
        bases = [
            (ours.tls_url, theirs.tls_url or theirs.base_url),
            (ours.base_url, theirs.base_url),
            (ours.plain_url, theirs.plain_url),
        ]
        for mine, other in bases:
            base = (mine or "").rstrip("/")
            if base and other and (where == base or where.startswith((f"{base}/", f"{base}?"))):
                return other.rstrip("/") + where[len(base) :]
        return None


@dataclass(slots=True)
class Comparing:
    """The pairs of one check so far, and what every look at them found. `silent` says why there is no baseline."""

    beside: Beside
    what: str
    caller: Caller | None
    planned: int
    measure: Measure | None
    wrong: Callable[[Answer], bool]
    silent: str | None = None
    count: int = 0
    errors: list[int] = field(default_factory=lambda: [0, 0])
    pairs: list[tuple[float, float]] = field(default_factory=list)
    found: Comparison | None = None
    _looks: tuple[int, ...] = ()
    _spent: float = 0.0
    _gone: float = 0.0
    _order: Any = None
    _asked: int = 0

    def __post_init__(self) -> None:
        self._looks = looks_of(max(1, self.planned))
        self._order = order(self.planned, self.beside.seed)
        if self.silent is None and self.planned < _LEAST:
            self.silent = f"the round's budget allows {self.planned} pairs, and {_LEAST} are the least"

    @property
    def done(self) -> bool:
        """Nothing more is to be learned: refused, all pairs taken, or nobody to compare with."""
        refused = self.found is not None and self.found.worse is not None
        return refused or self.silent is not None or self.count >= self.planned

    def greet(self, where: str) -> None:
        """Open the baseline's connection, as the target's is open: no sample, and the first chance to be refused."""
        if self.silent is None:
            self._ask(where, fresh=False)

    def take(self, ours: Callable[[], Answer], where: str, *, fresh: bool) -> Answer:
        """One answer of the target, and one of the baseline right before or right after it."""
        if self.done:
            return ours()
        first = next(self._order)
        next(self._order)
        if first:
            answer = ours()
            other = self._ask(where, fresh=fresh)
        else:
            other = self._ask(where, fresh=fresh)
            answer = ours()
        if other is not None:
            self._count(answer, other)
        return answer

    def _ask(self, where: str, *, fresh: bool) -> Answer | None:
        """GET of the baseline; None, and silent from then on, when it cannot be compared with."""
        url = self.beside.url(where)
        if url is None or self.caller is None:
            self.silent = "it has no such address"
            return None
        profile = self.beside.baseline.profile
        apart = int(profile.budget.per_round * 0.8) if profile.client_address and profile.budget else 0
        if apart and self._asked and self._asked % apart == 0:
            self.caller.fresh_address()
        self._asked += 1
        token = current.set(Record(Meta("none")))  # what the baseline answers is no evidence of the target
        try:
            answer = self.caller.send("GET", url, fresh=fresh)
        finally:
            current.reset(token)
        refused = turned_away(answer) if not answer.failure else None
        first = self._asked == 1
        if refused:
            self.silent = refused
        elif first and answer.failure:
            self.silent = f"it does not answer: {answer.failure.reason}"
        elif first and self.measure is not None and answer.status >= 400:
            self.silent = f"it answered {answer.status}"
        return None if self.silent else answer

    def _count(self, ours: Answer, theirs: Answer) -> None:
        self.count += 1
        bad = self.wrong(ours), self.wrong(theirs)
        for side, wrong in enumerate(bad):
            self.errors[side] += wrong
        if self.measure is not None and not any(bad):
            mine, other = self.measure(ours), self.measure(theirs)
            if mine and other and mine > 0 and other > 0:
                self.pairs.append((mine, other))
        if self.errors[1] == self.count == _FEW:
            self.silent = f"none of its {_FEW} answers was a good one"
        elif self.count in self._looks:
            self.look()

    def look(self, *, last: bool = False) -> None:
        """Look at what there is, erring by no more than this look may; the last one by all that is left."""
        alpha, at = self.beside.alpha, self._looks
        self._spent = alpha - self._gone if last else spend(alpha, at.index(self.count), at)
        self._gone += self._spent
        mine, other = [a for a, _ in self.pairs], [b for _, b in self.pairs]
        self.found = compare(mine, other, (self.errors[0], self.errors[1]), self._spent, self.count)

    def finding(self) -> Finding:
        """The judgement: a breach when worse beyond doubt, ok when the evidence excludes a slowdown, else undecided."""
        name = self.beside.baseline.name
        if self.silent is not None or not self.count:
            said = f"{self.what}: not compared with {name}: {self.silent or 'there was no time for it'}"
            return Finding(Verdict.UNKNOWN, said, Kind.UNDECIDED, samples=self.count)
        if self.found is None or (self.found.worse is None and self.count not in self._looks):
            self.look(last=True)
        assert self.found is not None
        verdict, said = self._words(self.found)
        kind = Kind.UNDECIDED if verdict is Verdict.UNKNOWN else None
        return Finding(verdict, f"{self.what}: {said}", kind, samples=self.count, evidence=self.told())

    def _words(self, found: Comparison) -> tuple[Verdict, str]:
        name, n = self.beside.baseline.name, self.count
        logs = self._logs
        if found.worse == "whole":
            low = bounds(logs, self._spent / 2)[0]
            said = f"{_percent(ratio(logs))} slower than {name} (bound: at least {_percent(low)}; {n} pairs)"
            return Verdict.BREACH, said
        if found.worse == "tail":
            return Verdict.BREACH, f"its slow answers are slower than {name}'s: {self._tail()} ({n} pairs)"
        mine, other = self.errors
        if found.worse == "errors":
            return Verdict.BREACH, f"goes wrong more often than {name}: {mine} of {n} answers, {other} of {n} there"
        taken, least = (n, LOOKS[0]) if self.measure is None else (len(logs), _LEAST)
        if taken < least:
            return Verdict.UNKNOWN, f"not compared with {name}: {taken} of the {least} pairs that a verdict takes"
        if self.measure is None:
            return Verdict.OK, f"goes wrong no more often than {name}: {mine} of {n} answers, {other} of {n} there"
        high = bounds(logs, 1 - CONFIDENCE)[1]
        if high < TOLERATED:
            most = f"at most {_percent(high)} slower" if high > 1 else "not slower"
            return Verdict.OK, f"no slower than {name} (bound: {most}; {n} pairs)"
        limit = f"more than {_percent(TOLERATED)} slower than {name} is not excluded"
        most = f"at most {_percent(high)}" if math.isfinite(high) else "none"
        return Verdict.UNKNOWN, f"{limit} (bound: {most}; {len(logs)} pairs)"

    def _tail(self) -> str:
        slowest = max(1, round(0.1 * 2 * len(self.pairs)))
        level = sorted(value for pair in self.pairs for value in pair)[-slowest]
        mine, other = (sum(pair[side] >= level for pair in self.pairs) for side in (0, 1))
        return f"of the slowest tenth of all, {mine} are its own and {other} are not"

    @property
    def _logs(self) -> list[float]:
        return [math.log(a / b) for a, b in self.pairs]

    def told(self) -> dict[str, Any]:
        """The same as data; ratios of the target's times to the baseline's, null where none was measured."""
        logs = self._logs
        low, high = bounds(logs, 1 - CONFIDENCE) if logs else (0.0, math.inf)
        return {
            "target": self.beside.baseline.name,
            "pairs": self.count,
            "errors": list(self.errors),
            "slowdown": round(ratio(logs), 4) if logs else None,
            "at_least": round(low, 4) if low > 0 else None,
            "at_most": round(high, 4) if math.isfinite(high) else None,
            "worse": self.found.worse if self.found else None,
            "seed": self.beside.seed,
        }


def _percent(factor: float) -> str:
    return f"{100 * (factor - 1):.0f} %"
