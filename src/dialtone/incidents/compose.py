"""Makes the message of a transition from what is known of its incident at that moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dialtone.incidents.lifecycle import OWN, Incident, Sign, Transition
from dialtone.incidents.message import Line, Message, subject
from dialtone.incidents.routing import Plan
from dialtone.incidents.section import Runbook

Diagnosis = Callable[[Incident], str]


class Composer:
    """`links` are label -> address, `diagnosed` is check -> likeliest cause, in words."""

    def __init__(
        self, runbook: Runbook | None = None, links: Mapping[str, str] | None = None,
        diagnosed: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._runbook, self._links, self._diagnosed = runbook or Runbook(), dict(links or {}), dict(diagnosed or {})

    def compose(self, incident: Incident, step: Transition, plan: Plan) -> Message:
        """The message, cleaned: nothing unmasked is ever stored."""
        signs = sorted(
            incident.members.values(),
            key=lambda s: (s.check != incident.cause, incident.over_for(s), s.severity, s.check),
        )
        first = signs[0] if signs else None
        section = self._runbook.section(first.runbook if first else "")
        links = [*([("runbook", section.link)] if section.link else []), *self._links.items()]
        return Message(
            incident=incident.id,
            seq=step.seq,
            told=str(step.told),
            at=step.at,
            target=incident.target,
            cause=incident.cause,
            severity=str(incident.severity),
            state=str(incident.state),
            first_bad=incident.first_bad,
            note=step.note,
            opened=incident.opened,
            by=incident.by or "",
            lines=tuple(Line(s.check, str(s.severity), _word(s), s.reason, s.place) for s in signs),
            measured=_measured(first) if first else "",
            likely=self._likely(incident, signs),
            broken=_broken(section.title, section.about, incident),
            section=section.anchor,
            first_step=_first_step(incident) or section.first_step,
            links=tuple(links),
            names=plan.names if step.told not in ("resolved", "acknowledged") else (),
            mails=tuple(p.email for p in plan.people if p.email),
            mentions=tuple(p.slack for p in plan.people if p.slack),
        ).cleaned()

    def _likely(self, incident: Incident, signs: list[Sign]) -> str:
        for sign in signs:
            if sign.check in self._diagnosed:
                return self._diagnosed[sign.check]
        if incident.cause.startswith("provider: "):
            return f"{incident.cause.removeprefix('provider: ')} reports trouble of its own"
        if len(signs) > 1 and incident.cause in incident.members:
            return f"`{subject(incident.cause)}` is red itself, and the other {len(signs) - 1} depend on it"
        return ""


def _word(sign: Sign) -> str:
    return f"unknown ({sign.kind})" if sign.kind else str(sign.verdict)


def _broken(title: str, about: str, incident: Incident) -> str:
    if incident.about_unknown:
        return f"nothing is known of {len(incident.members)} check(s): they may hide an outage"
    if incident.about_channel:
        return f"alerts do not arrive by {incident.about_channel}: other channels carry them"
    if incident.cause.startswith(OWN):
        return f"nobody has looked at {incident.target}: an outage in that time was not seen"
    return ": ".join(text for text in (title, about) if text) or subject(incident.cause)


def _first_step(incident: Incident) -> str:
    if incident.about_channel:
        return f"Mend it; `dialtone channels test {incident.about_channel}` proves it and ends this incident"
    return "See why the scheduler or its machine stood still" if incident.cause.startswith(OWN) else ""


def _measured(sign: Sign) -> str:
    value = "" if sign.value is None else f"{sign.value:,.4g} {sign.unit or ''}".strip()
    levels = ", ".join(f"{name} {level:,g}" for name, level in sign.levels.items() if level is not None)
    samples = f"{sign.samples:,} sample{'s' if sign.samples != 1 else ''}"
    told = [
        text
        for text in (
            value,
            f"from {samples}" if sign.samples else "",
            f"levels: {levels}" if levels else "",
            sign.place,
        )
        if text
    ]
    return ", ".join(told)
