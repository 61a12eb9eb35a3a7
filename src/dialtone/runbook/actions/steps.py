"""The steps of a plan: one statement, one request. Each can show exactly what it would do, and do it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from dialtone import signing
from dialtone.http import Answer, Client
from dialtone.probes.database import DatabaseFailure
from dialtone.probes.spelled import spelled
from dialtone.redact import secrets
from dialtone.runbook.actions.access import Access
from dialtone.target.model import Webhook

_CREDENTIALS = ("authorization", "cookie", "apikey")


class StepFailed(Exception):
    """A step that did not do what it was to do. The text quotes nothing of what was answered."""


class Step(Protocol):
    """One thing to do. `what` says it in words."""

    @property
    def what(self) -> str:
        """What it does, in words."""
        ...

    def shown(self) -> list[str]:
        """Exactly what will be done, line by line, credentials masked."""
        ...

    def take(self, access: Access) -> str:
        """Do it; what came of it, in words. Raises StepFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of SQL, in a transaction of its own; `alone` for those that may stand in none."""

    what: str
    sql: str
    params: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    within: float = 600.0

    def shown(self) -> list[str]:
        """The SQL with its parameters in place."""
        text = self.sql.strip() if self.alone else spelled(self.sql, self.params)
        return secrets.scrub(text).splitlines()

    def take(self, access: Access) -> str:
        """Run it; how many rows it returned, or that it was run."""
        try:
            if self.alone:
                access.database.alone(self.sql, within=self.within)
                return "done"
            rows = access.database.write(self.sql, self.params)
        except DatabaseFailure as wrong:
            raise StepFailed(wrong.reason) from None
        return f"done, {len(rows)} row{'' if len(rows) == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a tool, or to the target where `tool` is empty."""

    what: str
    tool: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    expect: Collection[int] = (200, 201, 202, 204)
    shows_body: bool = True

    def shown(self) -> list[str]:
        """The request as it goes over the wire, credentials masked."""
        lines = [f"{self.method} {self.url}", *(f"{name}: {_masked(name, v)}" for name, v in self.headers.items())]
        if self.body:
            text = self.body.decode(errors="replace") if self.shows_body else f"({len(self.body):,} bytes)"
            lines += ["", *text.splitlines()]
        return [secrets.scrub(line) for line in lines]

    def take(self, access: Access) -> str:
        """Send it; the status of the answer."""
        client = access.tool(self.tool) if self.tool else access.site
        return _sent(client, self.method, self.url, self.headers, self.body, self.expect)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook event to the target, signed at the moment of sending. Its body is a customer's and is not shown."""

    what: str
    hook: Webhook
    url: str
    key: str = field(repr=False)
    event_id: str
    body: bytes = field(repr=False)
    clock: Callable[[], float] = field(default=time.time, repr=False)

    def shown(self) -> list[str]:
        """Where it goes, the names of its headers, its size."""
        names = ", ".join(sorted(self._signature()))
        first = f"{self.hook.method} {self.url}"
        return [first, f"content-type: {self.hook.content_type}", f"{names}: (signed when sent)", "", self._size()]

    def take(self, access: Access) -> str:
        """Deliver it; the status of the answer."""
        headers = {"content-type": self.hook.content_type, **self._signature()}
        expect = range(self.hook.accepts_from, self.hook.accepts_to + 1)
        return _sent(access.site, self.hook.method, self.url, headers, self.body, expect)

    def _size(self) -> str:
        return f"(event {self.event_id}, {len(self.body):,} bytes)"

    def _signature(self) -> dict[str, str]:
        scheme = self.hook.scheme
        signer = signing.scheme(scheme) if isinstance(scheme, str) else signing.configured(**scheme)
        return signer.sign(self.body, key=self.key, at=self.clock(), event_id=self.event_id)


def encoded(as_json: Any, form: Mapping[str, Any] | None) -> tuple[bytes, dict[str, str]]:
    """A body with the header that says its type: JSON, a form, or none."""
    if as_json is not None:
        return json.dumps(as_json).encode(), {"content-type": "application/json"}
    if form is not None:
        return urlencode(form, doseq=True).encode(), {"content-type": "application/x-www-form-urlencoded"}
    return b"", {}


def told(answer: Answer) -> str:
    """What came of a request, without a word of its body."""
    return answer.failure.reason if answer.failure else f"answered {answer.status}"


def _sent(
    client: Client, method: str, url: str, headers: Mapping[str, str], body: bytes, expect: Collection[int]
) -> str:
    answer = client.send(method, url, headers=headers, content=body or None, fresh=True)
    if answer.failure or answer.status not in expect:
        raise StepFailed(told(answer))
    return told(answer)


def _masked(name: str, value: str) -> str:
    if name.lower() not in _CREDENTIALS:
        return value
    scheme, blank, _ = value.partition(" ")
    return f"{scheme} ‹secret›" if blank else "‹secret›"
