"""What providers really answer when something is wrong: rows in one TOML file for each provider.

hosts = ["api.example.com"]
[endpoints.calls]                       # what `match` says for it; `any` is every request of the hosts
path = "/v2/calls*"
[answers.calls.busy]
status = 429
headers = { x-ratelimit-remaining = "0" }
body = '{"error": "busy"}'
source = "where it is documented"
symptom = "what the application sees"
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


class UnknownAnswerError(LookupError):
    """No such provider, endpoint or answer; the text names those that there are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer. `body` is sent as it stands."""

    name: str
    """`endpoint.answer`."""
    status: int
    body: str
    source: str
    symptom: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answers:
    """All rows of one provider."""

    provider: str
    hosts: tuple[str, ...]
    endpoints: Mapping[str, Mapping[str, str]]
    rows: Mapping[str, Row]

    @classmethod
    def of(cls, provider: str) -> Answers:
        """By the provider's name. Raises UnknownAnswerError."""
        return _read(provider)

    def row(self, name: str) -> Row:
        """By `endpoint.answer`. Raises UnknownAnswerError."""
        try:
            return self.rows[name]
        except KeyError:
            raise UnknownAnswerError(
                f"{self.provider} has no answer {name}; there are {', '.join(self.rows)}"
            ) from None

    def match(self, endpoint: str) -> dict[str, Any]:
        """What a fault of this endpoint matches. Raises UnknownAnswerError."""
        if endpoint not in self.endpoints:
            raise UnknownAnswerError(f"{self.provider} has no {endpoint}; there are {', '.join(self.endpoints)}")
        return {"host": self.hosts[0], **self.endpoints[endpoint]}


def providers() -> list[str]:
    """The providers that there are answers of."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@functools.cache
def _read(provider: str) -> Answers:
    path = FOLDER / f"{provider}.toml"
    if provider not in providers():
        raise UnknownAnswerError(f"no answers of {provider!r}; there are those of {', '.join(providers())}")
    given = tomllib.loads(path.read_text())
    endpoints = {"any": {}, **given.get("endpoints", {})}
    rows = {
        f"{endpoint}.{name}": Row(f"{endpoint}.{name}", **row)
        for endpoint, answers in given["answers"].items()
        for name, row in answers.items()
    }
    return Answers(provider, tuple(given["hosts"]), endpoints, rows)
