"""The desk: takes what rounds and people say, moves incidents, and writes what is to be told into the outbox.

Everything that moves an incident and the messages about it are one transaction; sending is somebody else's work
(`outbox.py`). The ids of incidents are made of target, cause and the first bad round, so that two programs without a
common memory give one incident one id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dialtone.history.engines import Engine
from dialtone.incidents import lifecycle
from dialtone.incidents.compose import Composer
from dialtone.incidents.grouping import Dependencies, sorted_out
from dialtone.incidents.lifecycle import CALLS, Incident, Moved, Rules, Sign, State, Told, Transition
from dialtone.incidents.outbox import Outbox
from dialtone.incidents.records import Records
from dialtone.incidents.routing import Router
from dialtone.incidents.silence import Silence, maintained
from dialtone.verdict import Severity, Verdict

_KEEPS_INFORMED = (Told.ACKNOWLEDGED, Told.RESOLVED, Told.MERGED, Told.FLAPPING)


class Desk:
    """All incidents of one store. `gap` is how often somebody looks at the timers, in seconds, None where always."""

    def __init__(
        self,
        engine: Engine,
        router: Router,
        *,
        rules: Rules | None = None,
        dependencies: Dependencies | None = None,
        composer: Composer | None = None,
        gap: float | None = None,
    ) -> None:
        self.engine, self.router, self.gap = engine, router, gap
        self.records, self.outbox = Records(engine), Outbox(engine)
        self._rules, self._composer = rules or Rules(), composer or Composer()
        self._dependencies = dependencies or Dependencies({}, router.alerting.causes)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction in which nobody else moves incidents."""
        with self.engine.transaction():
            self.engine.alone()
            yield

    def absorb(
        self, token: str, target: str, signs: Sequence[Sign], at: float, *, within: bool = False
    ) -> list[Transition]:
        """Take in what one round said, once. `within` says that the caller holds the transaction, with the results."""
        if within:
            self.engine.alone()
            return self._absorb(token, target, signs, at)
        with self._alone():
            return self._absorb(token, target, signs, at)

    def _absorb(self, token: str, target: str, signs: Sequence[Sign], at: float) -> list[Transition]:
        if not self.router.watches(target) or not self.records.first_time(f"{target} {token}", at):
            return []
        near = {i.id: i for i in self.records.near(target, at - self._rules.reopen_within)}
        groups = sorted_out(signs, self._dependencies)
        news: dict[str, list[Sign]] = {}
        for cause, found in groups.items():
            for one in found:
                home = self._home(one, cause, near, groups) or self._by_cause(cause, near, at)
                if home is None:
                    home = lifecycle.begin(identity(target, cause, at), target, cause, at, one.severity)
                    near[home.id] = home
                news.setdefault(home.id, []).append(one)
        told: list[Transition] = []
        for incident in self._merged(near, groups, at, told):
            mine = {s.check for s in news.get(incident.id, ())}
            over = [s for s in signs if s.check in incident.members and s.check not in mine and incident.over_for(s)]
            rules = self._rules_for(incident)
            moved, steps = lifecycle.observe(incident, [*news.get(incident.id, ()), *over], at, rules)
            if moved is incident and incident.id not in news:
                continue
            if moved.state is State.SUSPECTED and lifecycle.forgotten(moved, at, rules):
                self.records.forget(moved)
                continue
            told += self._keep((moved, steps), at)
        return told

    def _home(
        self, one: Sign, cause: str, near: Mapping[str, Incident], groups: Mapping[str, Sequence[Sign]]
    ) -> Incident | None:
        """The incident that the check is already part of, unless what is red now shows a cause for that too."""
        for incident in near.values():
            member = incident.members.get(one.check)
            if not incident.live or incident.cause == cause or member is None or incident.over_for(member):
                continue
            if incident.about_unknown is not (one.verdict is Verdict.UNKNOWN):
                continue
            if not any(incident.cause == s.check for found in groups.values() for s in found):
                return incident
        return None

    def _by_cause(self, cause: str, near: Mapping[str, Incident], at: float) -> Incident | None:
        found = [i for i in near.values() if i.cause == cause and not lifecycle.forgotten(i, at, self._rules)]
        return found[-1] if found else None

    def _merged(
        self, near: dict[str, Incident], groups: Mapping[str, Sequence[Sign]], at: float, told: list[Transition]
    ) -> list[Incident]:
        """Incidents whose cause turned out to have a cause itself go into that one; what is left of all."""
        for root, found in groups.items():
            below = {s.check for s in found} - {root}
            parent = next((i for i in near.values() if i.cause == root and i.state is not State.RESOLVED), None)
            if parent is None:
                continue
            for child in [i for i in near.values() if i.cause in below and i.state is not State.RESOLVED]:
                moved, steps = lifecycle.merge(child, parent, at)
                parent = replace(
                    parent,
                    weight=parent.weight + child.weight,
                    first_bad=min(parent.first_bad, child.first_bad),
                    members={**child.members, **parent.members},
                )
                near[parent.id] = parent
                del near[child.id]
                if steps:
                    told += self._keep((moved, steps), at)
                else:
                    self.records.forget(child)
        return list(near.values())

    def own(
        self, target: str, cause: str, trouble: str, severity: Severity, at: float, *, within: bool = False
    ) -> list[Transition]:
        """Trouble of the alerting itself, in words; empty when there is none. Known, not sampled: once is enough."""
        if within:
            self.engine.alone()
            return self._own(target, cause, trouble, severity, at)
        with self._alone():
            return self._own(target, cause, trouble, severity, at)

    def _own(self, target: str, cause: str, trouble: str, severity: Severity, at: float) -> list[Transition]:
        near = {i.id: i for i in self.records.near(target, at - self._rules.reopen_within)}
        found = self._by_cause(cause, near, at)
        if not trouble and (found is None or not found.live):
            return []
        incident = found or lifecycle.begin(identity(target, cause, at), target, cause, at, severity)
        verdict = Verdict.BREACH if trouble else Verdict.OK
        sign = Sign(cause, at, verdict, severity=severity, reason=trouble or "in order again")
        rules = self.router.rules(lifecycle.CERTAIN, severity, "", target)
        return self._keep(lifecycle.observe(incident, [sign], at, rules), at)

    def tick(self, at: float) -> list[Transition]:
        """Let time do what it does: deadlines, reminders, ends of acknowledgements and silences."""
        told: list[Transition] = []
        with self._alone():
            known = self.records.all_silences()
            silences = [s for s in known if at < s.until]
            for incident in self.records.due(at):
                silent = self._silent(incident, at, silences) is not None
                over = [s for s in known if s not in silences and s.covers(incident.target, incident.cause, s.begun)]
                moved = lifecycle.tick(
                    incident, at, self._rules_for(incident), silent=silent, ended=over[0].words if over else ""
                )
                told += self._keep(moved, at, silences)
        return told

    def acknowledge(self, incident: str, who: str, at: float) -> list[Transition]:
        """A person has it. Raises LookupError where no incident, or more than one, begins like this."""
        with self._alone():
            found = self.one(incident)
            return self._keep(lifecycle.acknowledge(found, who, at, self._rules_for(found)), at)

    def close(self, incident: str, who: str, at: float) -> list[Transition]:
        """A person says that it is over. Raises LookupError."""
        with self._alone():
            return self._keep(lifecycle.close(self.one(incident), who, at), at)

    def silence(self, one: Silence, at: float) -> None:
        """Keep quiet about what fits; live incidents that fit say nothing more until it ends."""
        with self._alone():
            self.records.put_silence(one)
            for incident in self.records.latest(10_000):
                if incident.live and one.covers(incident.target, incident.cause, at):
                    self._keep((replace(incident, silenced=True), ()), at)

    def adopt(self, standing: Iterable[Mapping[str, Any]], channel: str, at: float) -> int:
        """Take up incidents that a channel knows of and this store does not; how many there were."""
        count = 0
        with self._alone():
            for told in standing:
                if self.records.find(str(told["incident"])):
                    continue
                by = str(told.get("by") or "")
                acknowledged = told.get("state") == State.ACKNOWLEDGED
                severity = Severity(str(told["severity"]))
                first = float(str(told["first_bad"]))
                rules = self.router.rules(self._rules, severity, "", str(told["target"]))
                members = {
                    name: Sign(name, first, Verdict.BREACH, severity=severity)
                    for name in str(told.get("checks") or told["cause"]).split(",")
                }
                incident = Incident(
                    str(told["incident"]), str(told["target"]), str(told["cause"]), first, severity,
                    State.ACKNOWLEDGED if acknowledged else State.OPEN, opened=first, by=by or None,
                    acknowledged=at if acknowledged else None, ack_until=at + rules.ack_lasts if acknowledged else None,
                    due=None if acknowledged else at + rules.ack_within, seq=int(told["seq"]), members=members,
                    seen=first,
                )  # fmt: skip
                self.records.put(incident, incident.wakes)
                self.outbox.remember(incident.id, channel, told.get("memory") or {})
                count += 1
        return count

    def one(self, start: str) -> Incident:
        """The incident whose id begins like this. Raises LookupError with words for people."""
        found = self.records.find(start)
        if len(found) != 1:
            many = f"{len(found)} incidents begin with {start}: give more of the id"
            raise LookupError(many if found else f"there is no incident {start}: `dialtone incidents` lists them")
        return found[0]

    def _rules_for(self, incident: Incident) -> Rules:
        return self.router.rules(self._rules, incident.severity, section_of(incident), incident.target)

    def _silent(self, incident: Incident, at: float, silences: Sequence[Silence]) -> float | None:
        """When the silence or maintenance ends that covers it now; None where none does."""
        ends = [s.until for s in silences if s.covers(incident.target, incident.cause, at)]
        window = maintained(self.router.alerting.maintenance, incident.target, incident.cause, at)
        return max([*ends, *([window[1]] if window else [])], default=None)

    def _keep(self, moved: Moved, at: float, silences: Sequence[Silence] | None = None) -> list[Transition]:
        incident, steps = moved
        end = self._silent(incident, at, self.records.silences(at) if silences is None else silences)
        if end is not None and any(step.told in CALLS for step in steps):
            incident = replace(incident, silenced=True)
        for step in steps:
            incident = self._tell(incident, step, at, quiet=end is not None)
        self.records.add(incident, steps)
        self.records.put(incident, end if incident.silenced and incident.live and end is not None else incident.wakes)
        return list(steps)

    def _tell(self, incident: Incident, step: Transition, at: float, *, quiet: bool) -> Incident:
        """Messages of one transition; calls move the timers to when people can have read them."""
        informed = self.outbox.channels(incident.id)
        adopted = step.told in _KEEPS_INFORMED and self.outbox.adopted(incident.id)
        if step.told in _KEEPS_INFORMED and not informed and not adopted:
            return incident
        if quiet and step.told not in (Told.RESOLVED, Told.MERGED):
            return incident
        plan = self.router.plan(
            incident.severity, section_of(incident), incident.target, level=incident.level, at=at, gap=self.gap
        )
        if plan is None:
            return incident
        if incident.about_channel:
            plan = self.router.around(plan, incident.about_channel)
        channels: Iterable[str] = plan.channels if step.told in CALLS or adopted else informed
        message = self._composer.compose(incident, step, plan)
        self.outbox.add(message, channels, plan, at)
        if step.told in CALLS and plan.after > at:
            late = plan.after - at
            due = None if incident.due is None else incident.due + late
            incident = replace(incident, due=due, resend=None if incident.resend is None else incident.resend + late)
        return incident


def identity(target: str, cause: str, first_round: float) -> str:
    """An incident's id: 10 hexadecimal digits made of its target, cause and first bad round (to the second)."""
    return hashlib.sha256(f"{target}\n{cause}\n{first_round:.0f}".encode()).hexdigest()[:10]


def section_of(incident: Incident) -> str:
    """The runbook section of its cause, or of its worst check."""
    found = incident.members.get(incident.cause) or worst(incident)
    return found.runbook if found else ""


def worst(incident: Incident) -> Sign | None:
    """The check that says most about it: the cause itself, else the most severe."""
    if incident.cause in incident.members:
        return incident.members[incident.cause]
    ranked = sorted(incident.members.values(), key=lambda s: (s.severity, -s.verdict.rank, s.check))
    return ranked[0] if ranked else None
