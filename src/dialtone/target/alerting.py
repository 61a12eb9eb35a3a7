"""Who hears of what, as `dialtone.toml` says it: channels, people, on-call, routes, maintenance, causes.

All of it stands outside of the targets, because one on-call rotation hears of all of them. Secrets are named by the
environment variable that holds them. docs/incidents.md explains every key.
"""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from dialtone.target.duration import Duration
from dialtone.target.parts import Part, Text
from dialtone.verdict import Severity

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f'{name!r} is no time zone: write one such as "Europe/Berlin"') from None
    return name


def _span(text: str) -> str:
    if not _SPAN.fullmatch(text) or text[:5] == text[6:]:
        raise ValueError('a span of the day is two times: "22:00-07:00"')
    return text


Zone = Annotated[str, AfterValidator(_zone)]
Span = Annotated[str, AfterValidator(_span)]


def times(span: str) -> tuple[time, time]:
    """Beginning and end of a span; the end is on the next day where it is not later."""
    begin, _, end = span.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


class Person(Part):
    """`[people.NAME]`: how to reach somebody."""

    email: str | None = None
    slack: str | None = Field(default=None, description="member id, to be mentioned")


class Channel(Part):
    """`[channels.NAME]`: one way to tell; `kind` says which, and which of the other keys it needs."""

    kind: Text
    secret: str | None = Field(default=None, description="environment variable: token, webhook address, DSN, key")
    url: str | None = Field(default=None, description="another address than the provider's own")
    to: list[Text] = Field(default=[], description="Slack channel, or addresses that always get the mail")
    sender: str | None = None
    signing: str | None = Field(default=None, description="environment variable with the whsec_ secret")
    reading: str | None = Field(default=None, description="environment variable with a token that may read incidents")


class OnCall(Part):
    """`[on_call]`: whom to tell first, next and last; when P2 and P3 wait for the morning."""

    primary: Text
    secondary: str | None = None
    escalation: str | None = None
    quiet: Span | None = None
    timezone: Zone = "UTC"


class Route(Part):
    """`[routes.NAME]`: the first route that fits a severity, a runbook section and a target is taken."""

    severities: list[Severity] = Field(default=[*Severity])
    sections: list[Text] = Field(default=["*"])
    targets: list[Text] = Field(default=["*"])
    channels: list[Text] = Field(min_length=1)
    fallback: list[Text] = Field(default=[])
    people: list[Text] = Field(default=[], description="who is told first, in place of the on-call primary")
    ack_within: Duration | None = Field(default=None, description="until a person has to answer")
    resend_every: Duration | None = None


class Maintenance(Part):
    """`[maintenance.NAME]`: a recurring window in which matching incidents are kept but tell nobody."""

    days: list[Weekday] = Field(default=[*WEEKDAYS])
    at: Span
    timezone: Zone
    until: datetime = Field(description="a window without an end would be forgotten: when this one has to be renewed")
    reason: Text
    owner: Text
    checks: list[Text] = Field(default=["*"])
    targets: list[Text] = Field(default=["*"])

    @field_validator("until")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("until needs a time zone: 2027-01-31T00:00:00Z")
        return value


class Alerting(Part):
    """Everything of `dialtone.toml` that decides who hears of what."""

    channels: dict[str, Channel] = Field(default={})
    people: dict[str, Person] = Field(default={})
    on_call: OnCall | None = None
    routes: dict[str, Route] = Field(default={})
    maintenance: dict[str, Maintenance] = Field(default={})
    causes: dict[str, list[Text]] = Field(default={}, description="check -> checks that cannot be good while it is red")

    @model_validator(mode="after")
    def _names_meet(self) -> Alerting:
        if not self.routes:
            return self
        if self.on_call is None:
            raise ValueError("routes need [on_call] with a primary")
        on_call = (self.on_call.primary, self.on_call.secondary, self.on_call.escalation)
        _known("on_call", [name for name in on_call if name], self.people, "people")
        for name, route in self.routes.items():
            _known(f"routes.{name}", [*route.channels, *route.fallback], self.channels, "channels")
            _known(f"routes.{name}", route.people, self.people, "people")
        return self


def _known(where: str, names: list[str], table: dict[str, Any], word: str) -> None:
    for name in names:
        if name not in table:
            raise ValueError(f"{where} names {name!r}, which is not in [{word}]: add it there, or correct the name")
