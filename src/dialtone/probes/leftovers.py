"""What runs leave at providers: found again by the marker that it carries, and removed when its run is over.

A profile says for each kind of thing where it is listed, in which field the marker stands and how one is removed.
Nothing is removed unless that field holds the marker of one run, `dialtone-synthetic <epoch>-<hex>`, or is that run's
token and nothing else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from dialtone.assertions import pick
from dialtone.http import Answer, BadBody
from dialtone.probes.provider import count_read, opened
from dialtone.target import Target
from dialtone.target.provider import Leftovers
from dialtone.template import body, fill
from dialtone.verdict import Effect, Unarmed, Unknown

LEAST = 600.0
"""Seconds after which a run that holds no lock is over: one that made no tenants never took any."""
_TOKEN = r"(\d{10}-[0-9a-f]{8})"  # noqa: S105 - the form of a run's token
_PAGES = 20

Send = Callable[..., Answer]


@dataclass(slots=True)
class Swept:
    """What was removed, by provider, and what could not be looked at or removed, in words."""

    removed: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Left:
    """How much is there, by provider, and what could not be looked at, in words."""

    found: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def token_of(text: object, prefix: str) -> str | None:
    """The token of the run whose marker a text holds; None for whatever else."""
    if not isinstance(text, str):
        return None
    match = re.fullmatch(_TOKEN, text) or re.search(rf"{re.escape(prefix)}[ +:_/-]{{1,3}}{_TOKEN}", text, re.IGNORECASE)
    return match[1] if match else None


class Outside:
    """The leftovers at all providers of a target that the profile can tell of and whose credentials are there."""

    def __init__(self, target: Target, *, clock: Callable[[], float] = time.time) -> None:
        self._target, self._clock = target, clock
        self._prefix, self._after = target.profile.marker, max(target.profile.sweep_after, LEAST)

    def kinds(self) -> list[tuple[str, Leftovers]]:
        """Every kind of thing that can be looked for; none where nothing may be written."""
        if not self._target.effects & {Effect.WRITES, Effect.COSTS}:
            return []
        return [
            (name, kind)
            for name, provider in self._target.profile.providers.items()
            for kind in provider.leftovers
            if not self._target.lacks(
                [f"providers.{name}", *([f"credentials.{kind.credential}"] if kind.credential else [])]
            )
        ]

    def sweep(self, claim: Callable[[str], bool], release: Callable[[str], None] = lambda _: None) -> Swept:
        """Remove what carries the marker of a run that is old enough and that `claim` says is nobody's any more."""
        claims: dict[str, bool] = {}

        def over(token: str) -> bool:
            if self._clock() - int(token.split("-", maxsplit=1)[0]) < self._after:
                return False
            if token not in claims:
                claims[token] = claim(token)
            return claims[token]

        try:
            return self._remove(over)
        finally:
            for token, claimed in claims.items():
                if claimed:
                    release(token)

    def clean(self, own: str) -> Swept:
        """Remove what this run itself left."""
        return self._remove(lambda token: token == own)

    def left(self, older_than: float) -> Left:
        """What runs that began more than so many seconds ago left; nothing is removed."""
        seen, end = Left(), self._clock() - older_than
        for name, kind in self.kinds():
            try:
                with opened(self._target, name, kind.credential) as send:
                    count_read(self._target, name)
                    count = sum(int(token.split("-")[0]) < end for _, token in found(kind, self._prefix, send))
            except (Unknown, Unarmed, BadBody, ValueError) as wrong:
                seen.troubles.append(f"{name}: {wrong}")
                continue
            if count:
                seen.found[name] = seen.found.get(name, 0) + count
        return seen

    def _remove(self, over: Callable[[str], bool]) -> Swept:
        swept = Swept()
        for name, kind in self.kinds():
            try:
                with opened(self._target, name, kind.credential) as send:
                    # The whole list first: removing while reading it would move its pages.
                    for number in [number for number, token in found(kind, self._prefix, send) if over(token)]:
                        told = send(
                            kind.method, fill(kind.remove, {"id": quote(number, safe="")}), _content(kind, number)
                        )
                        if told.ok or told.status in (404, 410):  # somebody was quicker
                            swept.removed[name] = swept.removed.get(name, 0) + 1
                        else:
                            swept.troubles.append(f"{name}: a removal {told.failure or f'was answered {told.status}'}")
            except (Unknown, Unarmed, BadBody, ValueError) as wrong:
                swept.troubles.append(f"{name}: {wrong}")
        return swept


def found(kind: Leftovers, prefix: str, send: Send) -> Iterator[tuple[str, str]]:
    """Id and token of everything in a list that carries a marker. Raises Unknown or BadBody for a list that is none."""
    path = kind.path
    for _ in range(_PAGES):
        answer = send("GET", path)
        if answer.failure or answer.status != 200:
            raise ValueError(f"its list of leftovers {answer.failure or f'answered {answer.status}'}")
        tree = answer.json()
        entries = pick(tree, kind.items) if isinstance(tree, dict) else tree
        last = None
        for entry in entries if isinstance(entries, list) else []:
            last = pick(entry, kind.id)
            token = token_of(pick(entry, kind.marker), prefix)
            if token and isinstance(last, str | int):
                yield str(last), token
        more = pick(tree, kind.more) if kind.more and isinstance(tree, dict) else None
        cursor = last if more is True else more
        if not cursor or not kind.cursor or not isinstance(cursor, str | int):
            return
        joint = "&" if "?" in kind.path else "?"
        path = f"{kind.path}{joint}{kind.cursor}={quote(str(cursor), safe='')}"


def _needs(name: str, kind: Leftovers) -> list[str]:
    return [f"providers.{name}", *([f"credentials.{kind.credential}"] if kind.credential else [])]


def _content(kind: Leftovers, number: Any) -> bytes | None:
    return body(kind.body, {"id": number}) if kind.body else None
