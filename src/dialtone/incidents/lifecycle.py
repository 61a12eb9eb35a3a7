"""The life cycle of an incident as pure functions: an incident and what happened give the next one and what to tell.

    suspected -> open -> acknowledged -> resolved -> open again within an hour

Only three things move it: verdicts (`observe`), people (`acknowledge`, `close`) and time (`tick`). Evidence confirms:
each bad verdict carries the probability with which a good target would have given it, and an incident opens when their
product leaves fewer false pages a month than the profile allows. Recovery needs evidence of its own, and more the more
often it was taken back. All times are seconds since 1970; nothing here knows a clock, a store or a channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dialtone.evidence import CONFIDENCE
from dialtone.incidents.overlap import added, joined
from dialtone.verdict import Kind, Severity, Verdict


class State(StrEnum):
    """Where an incident stands."""

    SUSPECTED = "suspected"  # nobody was told
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Told(StrEnum):
    """What a transition tells."""

    OPENED = "opened"
    WORSE = "worse"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    REMINDED = "reminded"
    EXPIRED = "acknowledgement expired"
    FLAPPING = "flapping"
    MERGED = "merged"
    UNSILENCED = "silence over"
    REOPENED = "reopened"
    RESOLVED = "resolved"


CALLS = frozenset(
    {Told.OPENED, Told.WORSE, Told.ESCALATED, Told.REMINDED, Told.EXPIRED, Told.REOPENED, Told.UNSILENCED}
)
"""What asks a person to do something; the rest keeps those informed who know already."""

UNKNOWN = "unknown: "
"""How the cause of an incident begins that is about not knowing."""
OWN = ("channel: ", "watch: ")
"""How those begin that are about the alerting itself: a channel, after its name, and the rounds."""

_ONE_LOOK = -math.log(1 - CONFIDENCE)
_PAST_CRITICAL = 1.5 * _ONE_LOOK  # with the critical level excluded, the alert level is by far
TURNS_WINDOW = 3600.0
SET_BACK = 600.0
"""A sign so much older than what is known is no late one: the clock was set back. Seconds."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What one round said of one check.

    `nats`, `window` and `since` are given where rounds look at the same events again and again: see `overlap.py`.
    """

    check: str
    at: float
    verdict: Verdict
    kind: Kind | None = None
    severity: Severity = Severity.P2
    reason: str = ""
    samples: int = 1
    value: float | None = None
    unit: str | None = None
    levels: Mapping[str, float | None] = field(default_factory=dict)
    runbook: str = ""
    place: str = ""
    explained: str | None = None
    nats: float | None = None
    window: float = 0.0
    since: float | None = None
    confirmed: bool = False
    """Enough places agree: no evidence over rounds is needed."""

    @property
    def good(self) -> bool:
        """The target is at least not past its alert level."""
        return self.verdict in (Verdict.OK, Verdict.DEGRADED)

    @property
    def weight(self) -> float:
        """Evidence against a good target in nats: minus the logarithm of the chance that one gives this verdict."""
        if not self.verdict.is_bad:
            return 0.0
        if self.nats is not None:
            return self.nats
        return _PAST_CRITICAL if self.verdict is Verdict.CRITICAL and self.samples > 1 else _ONE_LOOK


@dataclass(frozen=True, slots=True)
class Rules:
    """What confirms, what ends, and how long anything waits; seconds."""

    needed: float = 2 * _ONE_LOOK
    calm_needed: float = 2 * _ONE_LOOK
    ack_within: float = 300.0
    ack_lasts: float = 14_400.0
    resend_every: float | None = 900.0
    steps: int = 2
    unknown_after: float = 1_800.0
    reopen_within: float = 3_600.0
    flapping_turns: int = 3
    flapping_hold: float = 1_800.0

    def __post_init__(self) -> None:
        if min(self.ack_within, self.ack_lasts, self.reopen_within) <= 0 or (self.resend_every or 1) <= 0:
            raise ValueError("times of an incident are more than nothing")


CERTAIN = Rules(needed=0.0, calm_needed=_ONE_LOOK)
"""What is no sample but known, as trouble of the alerting itself is: once is enough, for the end as well."""


def evidence_needed(checks: int, every: float, false_pages: float) -> float:
    """Nats that confirm, so that `checks` looked at `every` so many seconds cost `false_pages` a month (30 days)."""
    looks = max(1.0, checks * 30 * 86_400 / every)
    return max(_ONE_LOOK, math.log(looks / false_pages))


@dataclass(frozen=True, slots=True)
class Incident:
    """One cause on one target. `members` holds the last sign of each check that was ever bad in it."""

    id: str
    target: str
    cause: str
    first_bad: float
    severity: Severity
    state: State = State.SUSPECTED
    weight: float = 0.0
    calm: float = 0.0
    calm_since: float | None = None
    opened: float | None = None
    acknowledged: float | None = None
    by: str | None = None
    ack_until: float | None = None
    resolved: float | None = None
    level: int = 0
    due: float | None = None
    resend: float | None = None
    turns: tuple[float, ...] = ()
    held: bool = False
    silenced: bool = False
    parent: str | None = None
    reopened: int = 0
    seq: int = 0
    seen: float = 0.0
    members: Mapping[str, Sign] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Somebody was told, or has to be once a silence ends."""
        return self.state in (State.OPEN, State.ACKNOWLEDGED)

    @property
    def about_unknown(self) -> bool:
        """It is about not knowing, not about something bad."""
        return self.cause.startswith(UNKNOWN)

    @property
    def about_channel(self) -> str | None:
        """The channel that it is about; None for everything else."""
        return self.cause.removeprefix(OWN[0]) if self.cause.startswith(OWN[0]) else None

    def over_for(self, sign: Sign) -> bool:
        """The sign says that its check is no part of this incident any more."""
        return sign.verdict is not Verdict.UNKNOWN if self.about_unknown else sign.good

    @property
    def wakes(self) -> float | None:
        """When time alone may move it next."""
        times = {State.OPEN: (self.due, self.resend), State.ACKNOWLEDGED: (self.ack_until,)}.get(self.state, ())
        return 0.0 if self.silenced and self.live else min((t for t in times if t is not None), default=None)


@dataclass(frozen=True, slots=True)
class Transition:
    """One step, numbered within its incident: the number makes every message of it recognisable."""

    seq: int
    told: Told
    at: float
    note: str = ""


Moved = tuple[Incident, tuple[Transition, ...]]


def _tell(incident: Incident, told: Told, at: float, note: str = "") -> tuple[Incident, Transition]:
    moved = replace(incident, seq=incident.seq + 1)
    return moved, Transition(moved.seq, told, at, note)


def _armed(incident: Incident, at: float, rules: Rules, *, level: int = 0) -> Incident:
    """Timers from now on: a person has `ack_within` seconds, and is reminded."""
    resend = None if rules.resend_every is None else at + rules.resend_every
    return replace(incident, level=level, due=at + rules.ack_within, resend=resend, ack_until=None)


def begin(id: str, target: str, cause: str, at: float, severity: Severity) -> Incident:
    """A suspicion; `observe` gives it its first evidence."""
    return Incident(id, target, cause, at, severity)


def observe(incident: Incident, signs: Iterable[Sign], at: float, rules: Rules) -> Moved:
    """What one round says of the checks of an incident. Signs older than what is known of their check are nothing."""
    if at < incident.seen - SET_BACK:
        incident = _set_back(incident, incident.seen - at)
    known = incident.members
    news = [joined(known.get(s.check), s) for s in signs if s.check not in known or s.at > known[s.check].at]
    bad = [s for s in news if not incident.over_for(s) and (s.verdict.is_bad or incident.about_unknown)]
    good = [s for s in news if incident.over_for(s) and s.check in incident.members]
    if not bad and not good:
        return incident, ()
    members = {**incident.members, **{s.check: s for s in (*good, *bad)}}
    was_calm = incident.calm > 0
    weight = incident.weight + sum(added(known.get(s.check), s) for s in bad)
    incident = replace(incident, members=members, seen=max(at, incident.seen))
    if bad:
        return _worsened(replace(incident, weight=weight), bad, at, rules, was_calm)
    return _calmer(incident, at, rules)


def _set_back(incident: Incident, by: float) -> Incident:
    """The clock was set back: what had so many seconds left has them still."""

    def moved(at: float | None) -> float | None:
        return None if at is None else at - by

    return replace(
        incident,
        seen=incident.seen - by,
        due=moved(incident.due),
        resend=moved(incident.resend),
        ack_until=moved(incident.ack_until),
        calm_since=moved(incident.calm_since),
        turns=tuple(t - by for t in incident.turns),
        members={
            check: replace(s, at=s.at - by, since=None if s.since is None else s.since - by)
            for check, s in incident.members.items()
        },
    )


def _worsened(incident: Incident, bad: list[Sign], at: float, rules: Rules, was_calm: bool) -> Moved:
    turns = tuple(t for t in incident.turns if t > at - TURNS_WINDOW) + ((at,) if was_calm else ())
    incident = replace(incident, turns=turns, calm=0.0, calm_since=None)
    long = at - incident.first_bad >= rules.unknown_after
    agreed = any(s.confirmed for s in bad)
    confirmed = long if incident.about_unknown else incident.weight >= rules.needed or agreed
    worst = min(s.severity for s in bad)
    if incident.state in (State.SUSPECTED, State.RESOLVED):
        incident = replace(incident, severity=min(incident.severity, worst))
        if not confirmed:
            return incident, ()
        again = incident.state is State.RESOLVED
        incident = replace(
            incident,
            state=State.OPEN,
            opened=incident.opened or at,
            resolved=None,
            acknowledged=None,
            by=None,
            held=False,
            reopened=incident.reopened + again,
        )
        incident, step = _tell(_armed(incident, at, rules), Told.REOPENED if again else Told.OPENED, at)
        return incident, (step,)
    steps: list[Transition] = []
    if worst < incident.severity:
        note = f"{incident.severity} -> {worst}"
        incident = replace(incident, severity=worst, state=State.OPEN)
        incident, step = _tell(_armed(incident, at, rules, level=incident.level), Told.WORSE, at, note)
        steps.append(step)
    if len(turns) >= rules.flapping_turns and not incident.held:
        incident, step = _tell(replace(incident, held=True), Told.FLAPPING, at, f"{len(turns)} turns within an hour")
        steps.append(step)
    return incident, tuple(steps)


def _calmer(incident: Incident, at: float, rules: Rules) -> Moved:
    if not all(incident.over_for(s) for s in incident.members.values()):
        return incident, ()
    incident = replace(incident, calm=incident.calm + _ONE_LOOK, calm_since=incident.calm_since or at, weight=0.0)
    if not incident.live:
        return incident, ()
    held = incident.held and at - (incident.calm_since or at) < rules.flapping_hold
    if incident.calm < rules.calm_needed * (1 + incident.reopened) or held:
        return incident, ()
    return _over(incident, at, "")


def _over(incident: Incident, at: float, note: str) -> Moved:
    incident = replace(
        incident, state=State.RESOLVED, resolved=at, due=None, resend=None, ack_until=None, weight=0.0, silenced=False
    )
    incident, step = _tell(incident, Told.RESOLVED, at, note)
    return incident, (step,)


def forgotten(incident: Incident, at: float, rules: Rules) -> bool:
    """Whether a new bad verdict would be a new incident: a suspicion that did not last, or an end long ago."""
    if incident.state is State.SUSPECTED:
        return incident.calm > 0
    return incident.state is State.RESOLVED and at - (incident.resolved or 0) >= rules.reopen_within


def acknowledge(incident: Incident, who: str, at: float, rules: Rules) -> Moved:
    """A person has it. Lasts `ack_lasts` seconds; once more by the same person makes it last longer."""
    if not incident.live:
        return incident, ()
    again = incident.state is State.ACKNOWLEDGED and incident.by == who
    incident = replace(
        incident,
        state=State.ACKNOWLEDGED,
        acknowledged=incident.acknowledged or at,
        by=who,
        ack_until=at + rules.ack_lasts,
        due=None,
        resend=None,
    )
    if again:
        return incident, ()
    incident, step = _tell(incident, Told.ACKNOWLEDGED, at, f"by {who}")
    return incident, (step,)


def close(incident: Incident, who: str, at: float) -> Moved:
    """A person says that it is over; the next confirmed bad verdict opens it again."""
    return _over(incident, at, f"by {who}") if incident.live else (incident, ())


def merge(incident: Incident, parent: Incident, at: float) -> Moved:
    """It turned out to be part of another incident: those who know of it are told where it goes on."""
    if incident.state is State.SUSPECTED:
        return replace(incident, parent=parent.id), ()
    incident = replace(
        incident, parent=parent.id, state=State.RESOLVED, resolved=at, due=None, resend=None, ack_until=None
    )
    incident, step = _tell(incident, Told.MERGED, at, f"part of incident {parent.id}: {parent.cause}")
    return incident, (step,)


def tick(incident: Incident, at: float, rules: Rules, *, silent: bool = False, ended: str = "") -> Moved:
    """What time alone does. However far the clock jumped, each timer fires once. `ended` tells of a silence's end."""
    if not incident.live:
        return incident, ()
    if silent:
        return replace(_armed(incident, at, rules, level=incident.level), silenced=True), ()
    if incident.silenced:
        incident = replace(_armed(incident, at, rules), silenced=False, state=State.OPEN)
        incident, step = _tell(incident, Told.UNSILENCED, at, ended)
        return incident, (step,)
    if incident.state is State.ACKNOWLEDGED:
        if incident.ack_until is None or at < incident.ack_until:
            return incident, ()
        incident = _armed(replace(incident, state=State.OPEN), at, rules, level=incident.level)
        incident, step = _tell(incident, Told.EXPIRED, at, f"acknowledged by {incident.by}, and still open")
        return incident, (step,)
    if incident.due is not None and at >= incident.due:
        if incident.level < rules.steps:
            incident = _armed(incident, at, rules, level=incident.level + 1)
            incident, step = _tell(incident, Told.ESCALATED, at, "nobody acknowledged in time")
            return incident, (step,)
        incident = replace(incident, due=None)
    if incident.resend is not None and at >= incident.resend and rules.resend_every is not None:
        incident = replace(incident, resend=at + rules.resend_every)
        incident, step = _tell(incident, Told.REMINDED, at)
        return incident, (step,)
    return incident, ()
