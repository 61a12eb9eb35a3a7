"""Keeps secrets and customers' data out of everything that is written.

Two different dangers, two different means:

- **Secrets** are known: every credential of a profile is registered here and its value is replaced wherever text
  leaves the program (`scrub`).
- **Customers' data** is not known beforehand. So nothing that came from the target is ever quoted; evidence shows
  the *shape* of an answer (`shape`): keys, types, sizes, and words of a closed vocabulary only.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "‹secret›"

# Words that an answer may be quoted with: states of services and outcomes, never free text.
_VOCABULARY = frozenset(
    "ok up down pass passed fail failed degraded healthy unhealthy error errors success true false null none yes no"
    " active inactive enabled disabled connected disconnected pending paid open closed expired missing set unset"
    " ready starting stopped critical warning info unknown not_found unauthorized forbidden invalid_grant"
    " invalid_client rate_limited too_many_requests internal_server_error bad_request timeout accepted received"
    " scheduled cancelled canceled completed processed ignored duplicate slot_taken".split()
)
_SECRET_FORMS = re.compile(
    r"\b(?:(?:sk|rk|pk)_(?:live|test)_\w+|whsec_[\w+/=]+|sb_(?:secret|publishable)_\w+|xox[abp]-[\w-]+|gh[pousr]_\w+"
    r"|eyJ[\w-]{10,}\.[\w-]+\.[\w-]*|key_[0-9a-f]{16,}|KEY[0-9A-F]{16,}\w*)|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
# A quote opens where no word ends and closes where none begins, so that an apostrophe is neither; one that never
# closes reaches to the end of the line.
_QUOTED = re.compile(
    r"(?<!\w)[bBrRuU]{0,2}'(?:[^'\\\n]|\\.|'(?=\w))*(?:'|\\?$)"
    r'|"(?:[^"\\\n]|\\.)*(?:"|\\?$)'
    r"|[`´‘“«](?:[^`´’”»\n])*(?:[`´’”»]|$)",
    re.MULTILINE,
)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+\.[\w.-]+")  # begins at a word only: a long one costs its length
_DIGITS = re.compile(r"\+?\d[\d ().-]{5,}\d")


def _forms(secret: str) -> Iterator[str]:
    """A value as it may stand in text: plain, in a URL, in JSON, in a Python literal, as a Basic credential."""
    yield secret
    for encoded in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), encoded)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield escape(secret)
    for pair in (secret, f"{secret}:"):
        yield b64encode(pair.encode(errors="replace")).decode().rstrip("=")


def _passwords(secret: str) -> Iterator[str]:
    """The password in a URL, as it stands and decoded; short ones are ordinary words too often."""
    found = re.match(r"[\w+.-]+://[^/\s:@]*:(.+)@", secret)
    if found and len(found[1]) >= 8:
        yield found[1]
        yield unquote(found[1])


class Redactor:
    """Replaces registered secret values in every form that text gives them, and anything in a well-known key form."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Register one secret value, and the password in it when it is a URL.

        Values shorter than four characters would mask ordinary words and are left.
        """
        for part in (secret, *_passwords(secret)):
            if len(part) >= 4:
                self._values.update(_forms(part))
        self._pattern = None

    def scrub(self, text: str) -> str:
        """The text with every known secret replaced by `‹secret›`."""
        if self._values:
            if self._pattern is None:
                self._pattern = re.compile("|".join(re.escape(v) for v in sorted(self._values, key=len, reverse=True)))
            text = self._pattern.sub(MASK, text)
        return _SECRET_FORMS.sub(MASK, text)

    def tree(self, value: Any) -> Any:
        """The same JSON tree with every string scrubbed, keys included."""
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, Mapping):
            return {self.scrub(str(k)): self.tree(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(v) for v in value]
        return value


secrets = Redactor()
"""The process' own redactor: profiles register their credentials here."""


def foreign(text: str) -> str:
    """A message that we did not write, without the data it may quote: one line, quotes, addresses, numbers masked."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    for pattern, mask in ((_QUOTED, "'…'"), (_MAIL, "…@…"), (_DIGITS, "…")):
        line = pattern.sub(mask, line)
    return secrets.scrub(line)[:300]


def shape(value: Any, *, depth: int = 3) -> Any:
    """The shape of a JSON value: keys, types and lengths; strings only when they belong to a closed vocabulary."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 100_000 else "‹number›"
    if isinstance(value, str):
        return value if value.lower() in _VOCABULARY else f"‹text {len(value)}›"
    if isinstance(value, Mapping):
        if depth == 0:
            return f"‹object {len(value)}›"
        return {_key(k): shape(v, depth=depth - 1) for k, v in list(value.items())[:30]}
    if isinstance(value, list | tuple):
        return [shape(v, depth=depth - 1) for v in value[:3]] if depth else f"‹list {len(value)}›"
    return f"‹{type(value).__name__}›"


def _key(key: Any) -> str:
    """A key is a name of the program's, unless it looks like data: a number, an address, a person's name."""
    text = str(key)
    named = re.fullmatch(r"[A-Za-z_][\w.-]{0,40}", text, re.ASCII) and not _DIGITS.search(text)
    person = re.fullmatch(r"[A-Z][a-z]+", text) and text.lower() not in _VOCABULARY
    return secrets.scrub(text) if named and not person else f"‹key {len(text)}›"
