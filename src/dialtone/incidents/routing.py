"""Who is told of an incident, on which channels, and by when somebody has to answer: the runbook's times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dialtone.incidents.channels import KINDS
from dialtone.incidents.grouping import matches
from dialtone.incidents.lifecycle import Rules
from dialtone.incidents.silence import quiet_until
from dialtone.target.alerting import Alerting, Person, Route
from dialtone.verdict import Severity

ACK_WITHIN = {Severity.P0: 300.0, Severity.P1: 3_600.0, Severity.P2: 14_400.0, Severity.P3: 86_400.0}
"""Until a person has to answer, seconds: the runbook's response times; "immediate" is five minutes."""
RESEND_EVERY = {Severity.P0: 900.0, Severity.P1: 3_600.0}
AT_ONCE = (Severity.P0, Severity.P1)
SEND_WITHIN = {Severity.P0: 60.0, Severity.P1: 120.0, Severity.P2: 900.0, Severity.P3: 3_600.0}
"""How long a channel may refuse a message before another channel carries it, seconds."""


class RoutesError(Exception):
    """A configuration that would leave somebody untold; one line for each mistake, with its remedy."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who hears of one incident at one level of escalation. `names` are people; `after` when messages may go."""

    route: str
    channels: tuple[str, ...]
    fallback: tuple[str, ...]
    names: tuple[str, ...]
    people: tuple[Person, ...]
    after: float
    digest: bool


class Router:
    """The routes of a configuration. Raises RoutesError where some severity of a watched target reaches nobody."""

    def __init__(self, alerting: Alerting, targets: Iterable[str]) -> None:
        self.alerting = alerting
        wrong = [
            f"channels.{name}: there is no kind {channel.kind!r}; there are {', '.join(sorted(KINDS))}"
            for name, channel in alerting.channels.items()
            if channel.kind not in KINDS
        ]
        wrong = wrong or [
            f"{severity} on {target} reaches nobody: add a route for every section of it with a channel that people"
            f" read ({', '.join(sorted(k for k, told in KINDS.items() if told.people))})"
            for target in targets
            if self.watches(target)
            for severity in Severity
            if not self._reaches(severity, target)
        ]
        if wrong:
            raise RoutesError("\n".join(wrong))

    def watches(self, target: str) -> bool:
        """Whether any route is about this target: others tell nobody."""
        return any(matches(target, route.targets) for route in self.alerting.routes.values())

    def _reaches(self, severity: Severity, target: str) -> bool:
        """Whether each section does: all routes up to the first for every section have to."""
        for route in self.alerting.routes.values():
            if severity not in route.severities or not matches(target, route.targets):
                continue
            if not any(KINDS[self.alerting.channels[name].kind].people for name in route.channels):
                return False
            if "*" in route.sections:
                return True
        return False

    def silent(self, target: str, armed: Iterable[str]) -> list[Severity]:
        """Severities of which nobody would hear, with only these channels armed."""
        heard = {name for name in armed if KINDS[self.alerting.channels[name].kind].people}
        return [
            severity
            for severity in Severity
            if (found := self.route(severity, "", target)) is None
            or not heard & {*found[1].channels, *found[1].fallback}
        ]

    def route(self, severity: Severity, section: str, target: str) -> tuple[str, Route] | None:
        """The first route that fits."""
        for name, route in self.alerting.routes.items():
            fits = severity in route.severities and matches(target, route.targets)
            if fits and matches(section or "-", route.sections):
                return name, route
        return None

    def rules(self, base: Rules, severity: Severity, section: str, target: str) -> Rules:
        """The deadlines of an incident. An acknowledgement lasts four times as long as it was given to come."""
        found = self.route(severity, section, target)
        within = (found and found[1].ack_within) or ACK_WITHIN[severity]
        resend = (found and found[1].resend_every) or RESEND_EVERY.get(severity)
        lasts = max(3_600.0, 4 * within)
        return replace(base, ack_within=within, resend_every=resend, ack_lasts=lasts, steps=len(self.steps(())) - 1)

    def steps(self, first: Iterable[str]) -> list[list[str]]:
        """Who is told first, and who is added at each step of the escalation."""
        on_call = self.alerting.on_call
        if on_call is None:
            return [[]]
        later = [name for name in (on_call.secondary, on_call.escalation) if name]
        return [list(first) or [on_call.primary], *([name] for name in later)]

    def plan(
        self, severity: Severity, section: str, target: str, *, level: int, at: float, gap: float | None = None
    ) -> Plan | None:
        """Who is told now. `gap` is how often somebody looks at the timers (s): an escalation that would be due before
        the next look goes out with the first message."""
        found = self.route(severity, section, target)
        if found is None:
            return None
        name, route = found
        steps = self.steps(route.people)
        if gap is not None and self.too_slow(severity, section, target, gap):
            level = len(steps) - 1
        told = list(dict.fromkeys(person for step in steps[: level + 1] for person in step))
        wait = None if severity in AT_ONCE else quiet_until(self.alerting.on_call, at)
        people = tuple(self.alerting.people[person] for person in told)
        return Plan(
            name, tuple(route.channels), tuple(route.fallback), tuple(told), people, wait or at, wait is not None
        )

    def around(self, plan: Plan, dead: str) -> Plan:
        """The same plan without a channel that is in trouble: by its fallback then, or whatever people read."""
        rest = [name for name in plan.channels if name != dead]
        others = [n for n, c in self.alerting.channels.items() if n != dead and KINDS[c.kind].people]
        if not any(name in others for name in rest):
            rest += [name for name in plan.fallback if name in others] or others
        return replace(plan, channels=tuple(rest), fallback=tuple(name for name in plan.fallback if name != dead))

    def too_slow(self, severity: Severity, section: str, target: str, gap: float) -> bool:
        """Whether the deadline for an answer may pass between two looks at the timers."""
        return gap > self.rules(Rules(), severity, section, target).ack_within

    def explained(
        self, target: str, severity: Severity, section: str, at: float, gap: float | None, armed: Mapping[str, str]
    ) -> list[str]:
        """Who would hear, how, when and why, as lines; `armed` is channel -> what it lacks."""
        plan = self.plan(severity, section, target, level=0, at=at)
        if plan is None:
            return [f"no route fits {severity} on {target}: nobody would be told"]
        rules = self.rules(Rules(), severity, section, target)
        when = "at once" if not plan.digest else "in the digest at the end of the quiet hours"
        lines = [f"route {plan.route}: {severity}, section {section or '(none)'}, target {target}", f"sent {when} on:"]
        lines += [f"  {name}: {self._channel(name)}{_lack(armed, name)}" for name in plan.channels]
        if plan.fallback:
            after = duration(SEND_WITHIN[severity])
            lines.append(f"a channel that fails for {after}, or refuses, is carried by {', '.join(plan.fallback)}")
        steps = self.steps(self.alerting.routes[plan.route].people)
        lines.append(f"told first: {', '.join(steps[0]) or 'nobody by name'}")
        for number, step in enumerate(steps[1:], 1):
            due = duration(number * rules.ack_within)
            lines.append(f"not acknowledged after {due}: {', '.join(step)} as well")
        if rules.resend_every:
            lines.append(f"then again every {duration(rules.resend_every)} until somebody does")
        lines.append(f"an acknowledgement lasts {duration(rules.ack_lasts)}")
        if gap is not None and gap > rules.ack_within:
            lines.append(
                f"timers are looked at every {duration(gap)}, later than that deadline: everybody is told at once"
            )
        return lines

    def _channel(self, name: str) -> str:
        channel = self.alerting.channels[name]
        return channel.kind + (f" to {', '.join(channel.to)}" if channel.to else "")


def _lack(armed: Mapping[str, str], name: str) -> str:
    return f" (not armed: {armed[name]})" if armed.get(name) else ""


def duration(seconds: float) -> str:
    """A time for people: `45 s`, `5 min`, `4 h`, `3 d`; two units where one would mislead."""
    rest = max(0, round(seconds))
    parts = []
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {word}")
    return " ".join(parts[:2]) or "0 s"
