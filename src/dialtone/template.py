"""Templates of profiles: `{{name}}` placeholders in bodies and paths, escaped for JSON where they stand in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

_PLACE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_MADE = re.compile(r"(digits|token|hex)(\d+)")


class TemplateError(ValueError):
    """A placeholder without a value; the message names it and what there is."""


def fill(template: str, values: Mapping[str, Any], *, json_text: bool = False) -> str:
    """The template with every placeholder replaced; raises TemplateError for one that has no value.

    In JSON, text is escaped to stand inside quotes; numbers, true, false and null stand for themselves.
    """

    def put(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise TemplateError(f"no value for {{{{{match[1]}}}}}; there is {', '.join(sorted(values))}")
        value = values[match[1]]
        if not json_text:
            return str(value)
        return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)

    return _PLACE.sub(put, template)


def body(template: str, values: Mapping[str, Any], indent: int | None = None) -> bytes:
    """A JSON body as its sender writes it: compact, or indented as some providers do; raises TemplateError."""
    text = fill(template, values, json_text=True)
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as wrong:
        raise TemplateError(f"the template is not JSON after filling (position {wrong.pos})") from None
    if indent is None:
        return json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps(tree, indent=indent, ensure_ascii=False).encode()


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
