"""Templates of profiles: `{{name}}` placeholders in bodies and paths, escaped for where they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote_plus
from xml.sax.saxutils import escape

_PLACE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_MADE = re.compile(r"(digits|token|hex)(\d+)")


class TemplateError(ValueError):
    """A placeholder without a value; the message names it and what there is."""


def as_json(value: Any) -> str:
    """A value inside a JSON text: text to stand inside quotes; numbers, true, false and null stand for themselves."""
    return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)


def as_form(value: Any) -> str:
    """A value inside a form or a query."""
    return quote_plus(str(value))


def as_xml(value: Any) -> str:
    """A value inside an element or an attribute of XML."""
    return escape(str(value), {'"': "&quot;"})


def fill(template: str, values: Mapping[str, Any], escaped: Callable[[Any], str] = str) -> str:
    """The template with every placeholder replaced; raises TemplateError for one that has no value."""

    def put(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise TemplateError(f"no value for {{{{{match[1]}}}}}; there is {', '.join(sorted(values))}")
        return escaped(values[match[1]])

    return _PLACE.sub(put, template)


def body(
    template: str, values: Mapping[str, Any], indent: int | None = None, content_type: str = "application/json"
) -> bytes:
    """A body as its sender writes it; raises TemplateError.

    JSON is compact, or indented as some providers do, whatever the template looks like. Forms, XML and other text are
    sent as the template stands, values escaped.
    """
    kind = content_type.lower()
    if is_form(kind):
        text = fill(template.strip(), values, as_form)
        if not all("=" in pair for pair in text.split("&")):
            raise TemplateError("the template is not a form after filling: name=value&name=value")
        return text.encode()
    if "json" not in kind:
        return fill(template, values, as_xml if "xml" in kind else str).encode()
    text = fill(template, values, as_json)
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as wrong:
        raise TemplateError(f"the template is not JSON after filling (position {wrong.pos})") from None
    if indent is None:
        return json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps(tree, indent=indent, ensure_ascii=False).encode()


def typed(template: str, values: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    """A body and the header of its type: a template that begins as an object or a list is JSON, any other a form."""
    kind = "application/json" if template.lstrip()[:1] in ("{", "[") else "application/x-www-form-urlencoded"
    return body(template, values, content_type=kind), {"content-type": kind}


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form (`a=1&b=2`)."""
    return "x-www-form-urlencoded" in content_type.lower()


def rewritten(body: bytes, content_type: str, indent: int | None = None) -> bytes | None:
    """Other bytes that say the same: JSON indented otherwise, a form escaped otherwise; None for any other type."""
    if is_form(content_type):
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        return "&".join(
            f"{name}={''.join(f'%{byte:02X}' for byte in value.encode())}" for name, value in pairs
        ).encode()
    if "json" in content_type.lower():
        return json.dumps(json.loads(body), indent=None if indent else 3, ensure_ascii=False).encode()
    return None


def moments(now: float) -> dict[str, Any]:
    """Values of time for templates: `now` (s), `now_ms`, `now_iso`, `hour_ago` (s)."""
    iso = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"now": int(now), "now_ms": int(now * 1000), "now_iso": iso, "hour_ago": int(now) - 3600}


def made(template: str, random: Random, values: Mapping[str, Any]) -> str:
    """A template whose `{{digits7}}`, `{{token12}}` and `{{hex32}}` are made up by the given random source."""
    alphabet = {"digits": "0123456789", "token": "abcdefghijklmnopqrstuvwxyz0123456789", "hex": "0123456789abcdef"}

    def make(match: re.Match[str]) -> str:
        form = _MADE.fullmatch(match[1])
        return "".join(random.choices(alphabet[form[1]], k=int(form[2]))) if form else match[0]

    return fill(_PLACE.sub(make, template), values)
