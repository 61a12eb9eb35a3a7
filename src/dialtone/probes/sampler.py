"""Samples of latency, errors, connections and cold starts: as many as a verdict needs, no more than allowed.

Sampling stops as soon as the evidence suffices for one side (`evidence.Stop`), when the profile's `sample_time` is
over, or when the budget is used up; what could not be decided is then undecided with its number of samples. Beside a
baseline each sample is one of a pair (`beside.py`), and there are as many as the comparison takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from dialtone.assertions import turned_away
from dialtone.http import Answer
from dialtone.judging import running
from dialtone.objective import Objective
from dialtone.probes.beside import Beside, Comparing, Measure
from dialtone.probes.caller import Caller
from dialtone.verdict import Refused, Undecided

_FEW = 5
"""Bad answers in a row, and no good one, after which nobody waits for a good one."""


@dataclass(slots=True)
class Samples:
    """What sampling saw. `values` in milliseconds for good answers only; `errors` of `count` went wrong."""

    values: list[float] = field(default_factory=list)
    errors: int = 0
    count: int = 0
    regions: set[str] = field(default_factory=set)

    @property
    def hopeless(self) -> bool:
        """Nothing was good so far and that will not change, or there were too many for what they say."""
        return self.count > 400 or (not self.values and self.count >= _FEW)


def is_error(answer: Answer) -> bool:
    """A 5xx, or no whole answer at all."""
    return answer.failure is not None or answer.status >= 500


def is_down(answer: Answer) -> bool:
    """No answer of the service's own: none at all, or a 5xx that is no JSON of a health endpoint.

    A service that says 503 and what is wrong with it is up, and degraded: that is judged by its health.
    """
    if answer.failure is not None:
        return True
    return answer.status >= 500 and "json" not in (answer.header("content-type") or "").lower()


class Sampler:
    """Takes samples of one target through one check's caller."""

    def __init__(
        self,
        http: Caller,
        *,
        beside: Beside | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http, self._clock, self._sleep = http, clock, sleep
        self._beside = beside
        profile = http.target.profile
        self._time = profile.sample_time
        self._edge = profile.edge
        own = profile.client_address and profile.budget
        self._per_address = int(profile.budget.per_round * 0.8) if own and profile.budget else None

    def latency(self, path: str, objective: Objective, q: float) -> Samples:
        """Time to the whole answer without the connection (ms), until the quantile can be judged."""
        limit = objective.levels.alert or 0.0
        stop = objective.stop(q)
        seen = Samples()
        self._http.judge(self._http.send("GET", path))  # opens the connection and is no sample
        beside = self._compare(path, path, server_time)

        def step() -> bool:
            spent = server_time(self._take(seen, path, beside=beside))
            if spent is not None:
                seen.values.append(spent)
            slow = sum(v > limit for v in seen.values)
            n = len(seen.values)
            return stop.exceeded(slow, n) or seen.hopeless or (stop.excluded(slow, n) and _compared(beside))

        self._repeat(step, beside)
        return self._hoped(seen, path)

    def outcomes(
        self,
        paths: Sequence[str],
        objective: Objective,
        wrong: Callable[[Answer], bool] = is_error,
        *,
        fresh: bool = False,
    ) -> Samples:
        """How many of the answers of some paths in turn were errors: 5xx or none at all, unless told otherwise.

        `fresh` takes each over a connection of its own: a kept one that dies is tried again on a new one, because it
        may have been closed for idleness, and a service that drops connections would look whole.
        """
        stop = objective.stop()
        seen = Samples()
        what = paths[0] if len(paths) == 1 else f"{len(paths)} paths"
        beside = self._compare(what, paths[0], None, wrong)

        def step() -> bool:
            self._take(seen, paths[seen.count % len(paths)], fresh=fresh, wrong=wrong, beside=beside)
            enough = stop.excluded(seen.errors, seen.count) and _compared(beside)
            return stop.exceeded(seen.errors, seen.count) or enough

        self._repeat(step, beside)
        return seen

    def connects(self, url: str, objective: Objective, q: float) -> Samples:
        """Time of new connections (name, TCP and TLS; ms), until the quantile can be judged."""
        limit, stop, seen = objective.levels.alert or 0.0, objective.stop(q), Samples()
        beside = self._compare("connecting", url, connect_time)

        def step() -> bool:
            spent = connect_time(self._take(seen, url, fresh=True, beside=beside))
            if spent is not None:
                seen.values.append(spent)
            slow, n = sum(v > limit for v in seen.values), len(seen.values)
            return stop.exceeded(slow, n) or seen.hopeless or (stop.excluded(slow, n) and _compared(beside))

        self._repeat(step, beside)
        return self._hoped(seen, "new connections")

    def after_idle(self, path: str, gap: float, objective: Objective, q: float) -> Samples:
        """Time to the whole answer (ms) after `gap` seconds without a request to that path; beside no baseline."""
        stop, seen = objective.stop(q), Samples()

        def step() -> bool:
            self._sleep(gap)
            answer = self._take(seen, path, fresh=True)
            if not answer.failure and answer.status < 400:
                seen.values.append((answer.phases.total or 0.0) * 1000)
            n = len(seen.values)
            return n >= stop.planned or seen.count > 60 or seen.hopeless

        self._repeat(step)
        running().sequential = False  # so many, and then one look: an idle gap is too dear for more
        return self._hoped(seen, path)

    def _hoped(self, seen: Samples, what: str) -> Samples:
        if not seen.values and seen.count:
            raise Undecided(f"{what}: none of {seen.count} answers was a good one", samples=0)
        return seen

    def _compare(
        self, what: str, where: str, measure: Measure | None, wrong: Callable[[Answer], bool] = is_error
    ) -> Comparing | None:
        """The comparison that goes with these samples: of the first ones of a check, which the gate's bound is for."""
        beside, self._beside = self._beside, None
        return beside.begin(what, where, self._http.budget.left, measure, wrong) if beside else None

    def _take(
        self,
        seen: Samples,
        where: str,
        *,
        fresh: bool = False,
        wrong: Callable[[Answer], bool] = is_error,
        beside: Comparing | None = None,
    ) -> Answer:
        if self._per_address and seen.count and seen.count % self._per_address == 0:
            self._http.fresh_address()
        ours = partial(self._http.send, "GET", where, fresh=fresh)
        answer = beside.take(ours, where, fresh=fresh) if beside else ours()
        if seen.count == 0:
            self._http.judge(answer)
        refused = turned_away(answer) if not answer.failure else None
        if refused:
            raise Refused(f"{answer.path}: {refused}", samples=seen.count)
        seen.count += 1
        if wrong(answer):
            seen.errors += 1
        region = self._edge.region_of(answer.header(self._edge.header)) if self._edge else None
        if region:
            seen.regions.add(region)
        return answer

    def _repeat(self, step: Callable[[], bool], beside: Comparing | None = None) -> None:
        running().sequential = True
        end = self._clock() + self._time * (2 if beside else 1)
        while self._clock() < end and (self._http.budget.left is None or self._http.budget.left > 0):
            if step():
                break
        if beside:
            running().compared = beside.finding()
            running().notes["baseline"] = beside.told()


def server_time(answer: Answer) -> float | None:
    """Time to the whole answer without the connection, in ms; None where it was not a good one."""
    phases = answer.phases
    if answer.failure or answer.status >= 400:
        return None
    return 1000 * ((phases.total or 0.0) - (phases.connect or 0.0) - (phases.tls or 0.0) - (phases.dns or 0.0))


def connect_time(answer: Answer) -> float | None:
    """Time of the connection (name, TCP and TLS), in ms; None where there was none."""
    phases = answer.phases
    return None if answer.failure else 1000 * sum(p or 0.0 for p in (phases.dns, phases.connect, phases.tls))


def _compared(beside: Comparing | None) -> bool:
    return beside is None or beside.done
