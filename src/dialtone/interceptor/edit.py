"""Heads that faults write or change."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus


def response(status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> bytes:
    """A whole answer, with its length and a Date, as providers send it; line breaks in headers become blanks."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}"]
    given = {name.lower() for name in headers}
    if "date" not in given:
        lines.append(f"date: {formatdate(usegmt=True)}")
    if content_type and "content-type" not in given:
        lines.append(f"content-type: {content_type}")
    lines += [f"{name}: {value}".replace("\r", " ").replace("\n", " ") for name, value in headers.items()]
    if status not in (204, 304):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def set_header(head: bytes, name: bytes, value: bytes) -> bytes:
    """A head with one header changed, or added at its end when there was none."""
    first, *lines = head[:-4].split(b"\r\n")
    wanted = name.lower() + b":"
    for at, line in enumerate(lines):
        if line.lower().startswith(wanted):
            lines[at] = name + b": " + value
            break
    else:
        lines.append(name + b": " + value)
    return b"\r\n".join([first, *lines, b"", b""])


def renamed(head: bytes, authority: bytes) -> bytes:
    """A request's head for a server of another name: its Host and, when the target has one, the target's."""
    method, target, rest = head.split(b" ", 2)
    _, absolute, path = target.partition(b"://")
    if absolute:
        at = min((found for mark in (b"/", b"?") if (found := path.find(mark)) >= 0), default=len(path))
        target = path[at:] if path[at : at + 1] == b"/" else b"/" + path[at:]
    return set_header(b" ".join((method, target, rest)), b"Host", authority)
