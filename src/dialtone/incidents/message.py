"""What a message says, whatever the channel: what is broken for whom, since when, how bad, measured how, the likeliest
cause, what to do first, where to read on. A message is made when its incident moves, and kept as JSON until it is sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from dialtone.incidents.lifecycle import CALLS, OWN, Told
from dialtone.incidents.routing import duration
from dialtone.redact import secrets

LONGEST = 600
LISTED = 12
_PHONE = re.compile(r"\+\d[\d ().-]{6,}\d")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+\.[\w.-]+")  # begins at a word only: a long one costs its length
_TURNING = re.compile(
    "[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)  # would let one text re-order what stands beside it


@dataclass(frozen=True, slots=True)
class Line:
    """One check of an incident."""

    check: str
    severity: str
    verdict: str
    reason: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One transition of one incident, for one channel. Times are seconds since 1970."""

    incident: str
    seq: int
    told: str
    at: float
    target: str
    cause: str
    severity: str
    state: str
    first_bad: float
    note: str = ""
    opened: float | None = None
    by: str = ""
    lines: tuple[Line, ...] = ()
    more: int = 0
    measured: str = ""
    likely: str = ""
    broken: str = ""
    section: str = ""
    first_step: str = ""
    links: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    via: str = ""
    test: bool = False
    digest: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The transition's own id: the same however often it is sent."""
        return f"{self.incident}.{self.seq}"

    @property
    def calls(self) -> bool:
        """It asks somebody to do something."""
        return self.told in CALLS

    @property
    def over(self) -> bool:
        """Nothing is left to do."""
        return self.told in (Told.RESOLVED, Told.MERGED)

    @property
    def headline(self) -> str:
        """One line, most important first."""
        if self.digest:
            return f"[{self.severity}] {len(self.digest)} incidents while it was quiet on {self.target}"
        named = subject(self.cause)
        red = any(line.check == self.cause and line.verdict in ("breach", "critical") for line in self.lines[:1])
        if red and not self.over and not self.cause.startswith(OWN):
            named += " (failing)"  # a check is named after what should be true
        return f"{'[TEST] ' if self.test else ''}[{self.severity}] {self.told.upper()}: {named} on {self.target}"

    def facts(self) -> list[tuple[str, str]]:
        """What a person asks at three in the morning, with the answers; without those that are not known."""
        since = moment(self.first_bad)
        lasting = self.at - self.first_bad
        if self.digest:
            return [(name, text) for name, text in (("Told", ", ".join(self.names)), _via(self.via)) if text]
        told = [
            ("Test", "Nothing is broken: this proves that messages arrive." if self.test else ""),
            ("Was broken" if self.over else "Broken", self.broken),
            ("Since", f"{since} ({duration(lasting)} {'in all' if self.over else 'ago'})" if lasting >= 1 else since),
            ("How bad it was" if self.over else "How bad", self._bad()),
            ("Measured", self.measured),
            ("Likely cause", self.likely),
            ("Do first", "" if self.over else self.first_step),
            ("News", self.note),
            ("Told", ", ".join(self.names)),
            _via(self.via),
        ]
        return [(name, text) for name, text in told if text]

    def _bad(self) -> str:
        if not self.lines:
            return ""
        count = len(self.lines) + self.more
        first = self.lines[0]
        return f"{first.verdict}: {first.reason}" + (f" (and {count - 1} more checks)" if count > 1 else "")

    def as_json(self) -> dict[str, Any]:
        """JSON types only."""
        told = {name: getattr(self, name) for name in _FIELDS}
        return {**told, "lines": [{name: getattr(line, name) for name in _LINE} for line in self.lines]}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Message:
        """From its JSON; keys of a newer program are left out."""
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items() if k in _KNOWN}
        lines = tuple(Line(**line) for line in given.pop("lines", ()))
        links = tuple((str(label), str(url)) for label, url in given.pop("links", ()))
        return cls(**given, lines=lines, links=links)

    def cleaned(self) -> Message:
        """Fit to leave: secrets, numbers and addresses of people masked, control characters out, lengths bounded."""
        texts: dict[str, Any] = {
            name: clean(getattr(self, name))
            for name in ("note", "measured", "likely", "broken", "first_step", "via", "by", "cause")
        }
        lines = tuple(
            replace(one, reason=clean(one.reason), check=clean(one.check, 120)) for one in self.lines[:LISTED]
        )
        more = self.more + max(0, len(self.lines) - LISTED)
        return replace(self, **texts, lines=lines, more=more, digest=tuple(clean(d) for d in self.digest))


# `asdict` copies deeply, which costs a millisecond for each message.
_FIELDS, _LINE = [f.name for f in fields(Message)], [f.name for f in fields(Line)]
_KNOWN = frozenset(_FIELDS)


def also_red(message: Message) -> str:
    """Over the list of the other checks of an incident."""
    return "Was red as well" if message.over else "Also red"


def _via(reason: str) -> tuple[str, str]:
    return "Sent here because", reason


def subject(cause: str) -> str:
    """A cause for people: words in place of underscores."""
    name, bracket, case = cause.partition("[")
    return f"{name.replace('_', ' ')}{f' ({case[:-1]})' if bracket else ''}"


def clean(text: str, longest: int = LONGEST) -> str:
    """One line that shows no secret, phone number or mail address, holds nothing that turns or hides text around it,
    and is at most `longest` characters."""
    text = text[: 20 * longest]  # a megabyte of diagnosis is not searched to its end
    text = _TURNING.sub("", text)
    text = "".join(c if unicodedata.category(c)[0] != "C" or c == "\u200d" else " " for c in text)
    text = secrets.scrub(" ".join(text.split()))
    text = _MAIL.sub("…@…", _PHONE.sub("+…", text))
    return cut(text, longest)


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def moment(at: float) -> str:
    """A time that means the same everywhere."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
