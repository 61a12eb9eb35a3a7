"""Webhook events as a provider sends them: the real envelope, signed at the moment of sending, and their effects."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dialtone import signing, template
from dialtone.http import Answer
from dialtone.probes.caller import Caller
from dialtone.probes.database import Database
from dialtone.probes.journal import Journal, eventually
from dialtone.probes.synthetic import Run
from dialtone.target import Target
from dialtone.target.model import EffectOf
from dialtone.verdict import Unarmed


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `id` is what a redelivery has in common, `body` the exact bytes, `values` what filled the template."""

    id: str
    body: bytes
    values: Mapping[str, Any]


class Hook:
    """One webhook of the target."""

    def __init__(
        self,
        name: str,
        target: Target,
        http: Caller,
        run: Run,
        tenant: Mapping[str, Any],
        database: Callable[[], Database],
        journal: Callable[[], Journal],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.spec = name, target.webhook(name)
        self._target, self._http, self._run, self._clock = target, http, run, clock
        self._tenant, self._database, self._journal = tenant, database, journal
        self._key = target.secret(self.spec.key)
        scheme = self.spec.scheme
        self._scheme = signing.scheme(scheme) if isinstance(scheme, str) else signing.configured(**scheme)

    def event(self, form: str = "genuine", *, text: str | None = None, **values: Any) -> Event:
        """A new event from one of the webhook's templates (`genuine`, `harmless`, `stop`, `help`) or from `text`."""
        text = text or getattr(self.spec, form)
        if text is None:
            raise Unarmed(f"the profile has no webhooks.{self.name}.{form}")
        event_id = self._run.id("evt_dialtone_")
        filled = {
            **self._target.profile.values,
            **{f"tenant.{k}": v for k, v in self._tenant.items()},
            **template.moments(self._clock()),
            "run": self._run.token,
            "marker": self._run.marker,
            "event_id": event_id,
            "object_id": self._run.id("obj_"),
            "base_url": self._target.profile.base_url,
            **values,
        }
        return Event(event_id, template.body(text, filled, self.spec.indent, self.spec.content_type), filled)

    def sign(
        self, event: Event, *, age: float = 0.0, key: str | None = None, body: bytes | None = None
    ) -> dict[str, str]:
        """The signature headers of an event, signed `age` seconds ago, by another key or over other bytes if told."""
        return self._scheme.sign(
            event.body if body is None else body,
            key=key or self._key,
            at=self._clock() - age,
            event_id=event.id,
            url=self._target.url(self.spec.route),
        )

    def send(self, event: Event, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answer:
        """Deliver an event on a fresh connection, as a provider does; signed now unless headers are given."""
        self._http.agree_on_time()  # a signature holds the time
        marks = self.sign(event) if headers is None else headers
        return self._http.request(
            self.spec.method,
            self.spec.route,
            content=event.body if body is None else body,
            headers={"content-type": self.spec.content_type, **self._named(event), **marks},
        )

    def _named(self, event: Event) -> dict[str, str]:
        return {name: template.fill(text, event.values) for name, text in self.spec.headers.items()}

    def accepted(self, answer: Answer) -> bool:
        """Whether the provider would call this delivery a success."""
        return self.spec.accepts_from <= answer.status <= self.spec.accepts_to

    def rewritten(self, event: Event) -> bytes:
        """The event's body in other bytes that say the same. Raises Unarmed where the signature allows that."""
        if "body" not in self._scheme.signs:
            raise Unarmed(f"webhooks.{self.name} has a scheme that does not sign the bytes of the body")
        found = template.rewritten(event.body, self.spec.content_type, self.spec.indent)
        if found is None:
            raise Unarmed(f"{self.spec.content_type} has no other way of saying the same that is known here")
        return found

    def truncated(self, event: Event) -> bytes:
        """The first half of the event's body. Raises Unarmed where the signature does not cover the body."""
        if not {"body", "form"} & self._scheme.signs:
            raise Unarmed(f"webhooks.{self.name} has a scheme that does not sign the body")
        return event.body[: len(event.body) // 2]

    def stale_after(self) -> float:
        """Seconds after which a signature has to be refused."""
        return self._scheme.stale_after

    def forged_key(self) -> str:
        """A key of the right form that is not the target's."""
        return self._scheme.other_key(self._key)

    def effects(self, event: Event) -> dict[str, int]:
        """How often each effect of an event is there now."""
        return {effect.what: self._count(effect, event) for effect in self.spec.effects}

    def await_effects(self, event: Event, times: int = 1) -> dict[str, int]:
        """The effects as soon as each is there `times`, or what is there when the settle time is over."""
        seen: dict[str, int] = eventually(
            lambda: self.effects(event),
            lambda seen: all(n >= times for n in seen.values()),
            within=self._target.profile.settle,
        )
        return seen

    def _count(self, effect: EffectOf, event: Event) -> int:
        if effect.sql is not None:
            return int(
                self._database().value(effect.sql, {k.replace(".", "_"): v for k, v in event.values.items()}) or 0
            )
        contains = template.fill(effect.contains, event.values) if effect.contains else None
        if effect.route is not None:
            answer = self._http.request("GET", template.fill(effect.route, event.values, template.as_form))
            return answer.text().count(contains or "") if answer.ok else 0
        path = template.fill(effect.path or "*", event.values)
        found = self._journal().requests(provider=effect.provider, path=path, contains=contains)
        return sum(1 for r in found if r["accepted"])
