"""One request and one answer, as the stand-ins see them, and the forms that bodies come in."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

MAX_FIELDS = 1_000
MAX_DEPTH = 50
_UNREAD: Any = object()


@dataclass(slots=True)
class Request:
    """A request that was read completely. `path` is percent-decoded, `raw_path` is not; header names are lower case."""

    method: str
    path: str
    raw_path: str = ""
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    _json: Any = _UNREAD
    _query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated one the last."""
        if self._query is None:
            pairs = parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=MAX_FIELDS)
            self._query = dict(pairs)
        return self._query

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case; empty when none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer`, None without one (RFC 6750 section 2.1)."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" and value.strip() else None

    @property
    def basic(self) -> tuple[str, str]:
        """User and password of `Authorization: Basic`, both empty without one (RFC 7617)."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return "", ""
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.raw.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON, parsed once. Raises ValueError when it is none."""
        if self._json is _UNREAD:
            if self.raw.count(b"[") + self.raw.count(b"{") > MAX_DEPTH and _depth(self.raw) > MAX_DEPTH:
                raise ValueError("nested too deeply")
            self._json = json.loads(self.raw)
        return self._json

    def form(self) -> dict[str, Any]:
        """The body as a form whose names may hold brackets. Raises ValueError when it is malformed."""
        return nested(parse_qsl(self.raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))

    def parsed(self) -> Any:
        """The body in whatever form it has, for the journal: JSON, a form, text, or None when there is none."""
        if not self.raw:
            return None
        try:
            if self.content_type == "application/x-www-form-urlencoded":
                return self.form()
            if self.content_type.endswith("json") or self.raw[:1] in b"{[":
                return self.json()
        except ValueError:
            return self.text
        return self.text


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `delay` in seconds is waited before it is sent; status 0 closes the connection instead."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class Refusal(Exception):
    """Raised by a stand-in that refuses a request before anything was done."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"refused with {answer.status}")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose credential a request carried, never the credential itself."""

    mode: Literal["test", "live", "unknown"]
    owner: Literal["application", "prober", "unknown"]


STRANGER = Caller("unknown", "unknown")


def _depth(raw: bytes) -> int:
    """How deep JSON is nested at most; brackets inside of strings count as well."""
    depth = deepest = 0
    for byte in raw:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def compact(value: Any) -> str:
    """JSON without spaces, characters as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def json_answer(status: int, value: Any, headers: Mapping[str, str] | None = None, delay: float = 0.0) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, compact(value).encode(errors="replace"), headers=headers or {}, delay=delay)


def text_answer(status: int, text: str) -> Answer:
    """An answer in plain text."""
    return Answer(status, text.encode(), "text/plain; charset=utf-8")


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Form fields with brackets as objects: `a[b]=1` is {"a": {"b": "1"}}, `a[]=1` and `a[0]=1` are {"a": ["1"]}.

    Raises ValueError when two fields contradict each other.
    """
    root: dict[str, Any] = {}
    for name, value in pairs:
        key, *rest = name.replace("]", "").split("[")
        if len(rest) > MAX_DEPTH:
            raise ValueError("nested too deeply")
        node = root
        for following in rest:
            node, key = _child(node, key), following
        if rest and key == "":
            key = str(len(node))
        node[key] = value
    return {key: _lists(value) for key, value in root.items()}


def _child(node: dict[str, Any], key: str) -> dict[str, Any]:
    child = node.setdefault(key, {})
    if isinstance(child, dict):
        return child
    raise ValueError(f"{key} is both a value and an object")


def _lists(value: Any) -> Any:
    """Objects whose names are all numbers are arrays (https://docs.stripe.com/api, form-encoded request bodies)."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isascii() and key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(member) for key, member in value.items()}
