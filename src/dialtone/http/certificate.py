"""Reads what has to be known of a certificate: its names and how long it is valid.

The standard library describes a certificate (`getpeercert()`) only after it was found valid. An expired one, or one of
an unknown authority, is exactly the one whose date and names people ask for, so the few fields are read from its DER
bytes here. Source: RFC 5280 section 4.1 (structure), 4.2.1.6 (alternative names), ITU-T X.690 (DER).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE, _OBJECT_ID, _OCTETS, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x06, 0x04, 0x17, 0x18
_VERSION, _EXTENSIONS, _DNS_NAME, _IP_ADDRESS = 0xA0, 0xA3, 0x82, 0x87
_COMMON_NAME, _ALTERNATIVE_NAMES = b"\x55\x04\x03", b"\x55\x1d\x11"  # 2.5.4.3 and 2.5.29.17


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and validity of one certificate. `names` are the hosts and addresses that it is for."""

    not_before: datetime
    not_after: datetime
    subject: str
    issuer: str
    names: tuple[str, ...]

    def matches(self, host: str) -> bool:
        """Whether the certificate is for this host name or address (RFC 9525 section 6.3)."""
        wanted = host.rstrip(".").lower()
        return any(_same(name.lower(), wanted) for name in self.names)


def read(der: bytes) -> Facts:
    """The facts of a certificate in DER. Raises ValueError when it is none."""
    try:
        signed = _inside(_items(der)[0], _SEQUENCE)
        parts = _items(_inside(_items(signed)[0], _SEQUENCE))
        if parts[0][0] == _VERSION:  # version 1 has no version field
            parts = parts[1:]
        _, _, issuer, validity, subject = parts[:5]
        not_before, not_after = (_time(item) for item in _items(_inside(validity, _SEQUENCE)))
        extensions = next((value for tag, value in parts[5:] if tag == _EXTENSIONS), None)
        names = _alternative_names(extensions) if extensions is not None else ()
        return Facts(not_before, not_after, _common_name(subject[1]), _common_name(issuer[1]), names)
    except (IndexError, ValueError, OverflowError) as wrong:
        raise ValueError("not a certificate") from wrong


def _items(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and value of each element of a DER sequence."""
    found, at = [], 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:  # the length of the length follows
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size])
            at += size
        if at + length > len(data):
            raise ValueError("an element is longer than what holds it")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _inside(item: tuple[int, bytes], tag: int) -> bytes:
    if item[0] != tag:
        raise ValueError("an element of another kind was expected")
    return item[1]


def _time(item: tuple[int, bytes]) -> datetime:
    text = item[1].decode("ascii")
    if item[0] == _UTC_TIME:  # two digits of the year; RFC 5280 section 4.1.2.5.1
        text = ("19" if text[:2] >= "50" else "20") + text
    elif item[0] != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _common_name(name: bytes) -> str:
    """The last common name of a distinguished name, or nothing."""
    found = ""
    for _, attributes in _items(name):
        for _, attribute in _items(attributes):
            kind, value = _items(attribute)[:2]
            if kind == (_OBJECT_ID, _COMMON_NAME):
                encoding = {0x1E: "utf-16-be", 0x1C: "utf-32-be"}.get(value[0], "utf-8")
                found = value[1].decode(encoding, "replace")
    return found


def _alternative_names(extensions: bytes) -> tuple[str, ...]:
    names: list[str] = []
    for _, extension in _items(_inside(_items(extensions)[0], _SEQUENCE)):
        parts = _items(extension)
        if parts[0] != (_OBJECT_ID, _ALTERNATIVE_NAMES):
            continue
        for tag, value in _items(_inside(_items(_inside(parts[-1], _OCTETS))[0], _SEQUENCE)):
            if tag == _DNS_NAME:
                names.append(value.decode("ascii", "replace"))
            elif tag == _IP_ADDRESS:
                names.append(str(ipaddress.ip_address(value)))
    return tuple(names)


def _same(name: str, wanted: str) -> bool:
    if name == wanted or _address(name) == _address(wanted) is not None:
        return True
    first, _, rest = name.partition(".")
    if first != "*" or not rest or _address(wanted) is not None:
        return False
    head, _, tail = wanted.partition(".")
    return bool(head) and tail == rest


def _address(name: str) -> Sequence[int] | None:
    try:
        return ipaddress.ip_address(name).packed
    except ValueError:
        return None
