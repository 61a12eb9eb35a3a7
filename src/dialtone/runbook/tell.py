"""What a person reads of a diagnosis: a few lines in the terminal, a page for each section."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]


def sentence(cause: Mapping[str, Any], since: str | None) -> str:
    """The likeliest cause in words: what it is, by what it is known, since when."""
    known = "; ".join(dict.fromkeys(cause["because"][:2]))
    when = f"; all was well at {clock(since)}" if since else ""
    return f"{cause['says']} ({known}{when})" if known or when else str(cause["says"])


def clock(at: str) -> str:
    """A time as people say it."""
    return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M UTC")


def lines(diagnosis: Mapping[str, Any], width: int) -> list[tuple[str, bool]]:
    """For the terminal: each line with whether it stands out."""
    cause, since = diagnosis["cause"], diagnosis.get("since")
    told: list[tuple[str, bool]] = []
    if cause:
        told += _wrapped("likely cause", sentence(cause, since), width, strong=True)
        told += _wrapped("", f"first: {cause['first']}", width)
        told += _wrapped("", str(cause["contact"]), width) if cause["contact"] else []
    else:
        told += _wrapped("likely cause", "none that is known explains what is red", width, strong=True)
    if cause and diagnosis["unexplained"]:
        told += _wrapped("", f"it does not explain {_few(diagnosis['unexplained'])}", width)
    for other in diagnosis["candidates"][:2]:
        if set(other["checks"]) - set(cause["checks"] if cause else ()):
            told += _wrapped("", f"also: {sentence(other, None)}", width)
    for lack in diagnosis["lacks"][:2]:
        told += _wrapped("", lack, width)
    if diagnosis.get("pages"):
        told += _wrapped("", " ".join([*diagnosis["pages"].values()][:4]), width)
    return told


def _wrapped(word: str, text: str, width: int, *, strong: bool = False) -> list[tuple[str, bool]]:
    found = textwrap.wrap(
        text, max(40, width), initial_indent=f"{word:<13}", subsequent_indent=" " * 13, break_long_words=False
    )
    return [(line, strong) for line in found]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def page(section: str, diagnosis: Mapping[str, Any], red: Sequence[Entry], runbook: str) -> str:
    """The diagnosis of one section as Markdown."""
    return "\n".join([*_page(section, diagnosis, red, runbook), ""])


def _page(section: str, diagnosis: Mapping[str, Any], red: Sequence[Entry], runbook: str) -> Iterator[str]:
    yield f"# Diagnosis: {section}\n"
    yield f"Target {diagnosis['target']}, {clock(diagnosis['at'])}. What to do: {runbook}#{section}\n"
    yield from _cause(diagnosis, [e["id"] for e in red])
    yield "\n## What is red\n"
    yield from (f"- `{e['id']}` {e['severity']} {e['verdict']}: {e['reason']}" for e in red)
    yield "\n## What changed since the last ok run\n"
    if not diagnosis.get("since"):
        yield "No ok run of this target is known here."
    elif not diagnosis["changes"]:
        yield f"Nothing that is recorded, since {clock(diagnosis['since'])}."
    yield from (f"- {change}" for change in diagnosis["changes"])
    yield "\n## What was looked at"
    for name, record in diagnosis["looks"].items():
        if section in record["sections"]:
            yield from _look(name, record)
    if diagnosis["lacks"]:
        yield "\n## What this diagnosis lacks\n"
        yield from (f"- {lack}" for lack in diagnosis["lacks"])


def _cause(diagnosis: Mapping[str, Any], red: Sequence[str]) -> Iterator[str]:
    own = [c for c in (diagnosis["cause"], *diagnosis["candidates"]) if c and set(c["checks"]) & set(red)]
    if not own:
        yield "**Likeliest cause:** none that is known explains what is red here. Begin with what is red.\n"
        return
    first, *others = own
    yield f"**Likeliest cause:** {sentence(first, diagnosis.get('since'))}.\n"
    yield f"**First step:** {first['first']}\n"
    if first["contact"]:
        yield f"**Help:** {first['contact']}\n"
    if others:
        yield "Less likely: " + "; ".join(other["says"] for other in others) + ".\n"


def _look(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {record['what']}\n"
    yield f"`{name}`, {record['seconds']:.2f} s\n"
    if record["rows"]:
        columns = list(dict.fromkeys(key for row in record["rows"] for key in row))
        yield f"| {' | '.join(columns)} |"
        yield f"|{' --- |' * len(columns)}"
        for row in record["rows"]:
            yield f"| {' | '.join(_cell(row.get(column)) for column in columns)} |"
        yield ""
    elif record["rows"] is not None:
        yield "Nothing."
    if record["said"]:
        yield str(record["said"])
    yield from (f"- points to {s['cause']}: {s['because']}" for s in record["suspects"])
    yield from (f"- lacks: {lack}" for lack in record["lacks"])


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
