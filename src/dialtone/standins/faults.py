"""Short-lived faults: answers that a stand-in gives instead of its own, until they expire."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dialtone.standins.state import Clock
from dialtone.standins.wire import Answer, json_answer

MAX_FAULTS = 1_000
MAX_TTL = 120.0
MAX_DELAY = 60.0
_KEYS = {"provider", "path", "method", "contains", "status", "body", "headers", "delay", "ttl"}


class BadFaultError(ValueError):
    """A fault cannot be taken as it was described; the text says why."""


@dataclass(slots=True)
class Fault:
    """One fault. Without a status only the delay acts and the stand-in answers itself."""

    id: str
    provider: str
    path: str
    method: str | None
    contains: str
    status: int | None
    body: Any
    headers: Mapping[str, str]
    delay: float
    expires: float
    matched: int = 0

    def matches(self, provider: str, method: str, path: str, searched: str) -> bool:
        """Whether a request is meant; `searched` holds its path, query and body."""
        return (
            provider == self.provider
            and (self.method is None or method == self.method)
            and fnmatchcase(path, self.path)
            and self.contains in searched
        )

    def answer(self) -> Answer:
        """What is answered; only for a fault that has a status."""
        status = self.status or 0
        if isinstance(self.body, str):
            return Answer(status, self.body.encode(), "text/plain; charset=utf-8", self.headers, self.delay)
        if self.body is None:
            return Answer(status, b"", "", self.headers, self.delay)
        return json_answer(status, self.body, self.headers, self.delay)

    def shown(self, now: float) -> dict[str, Any]:
        """The fault for the control API, with the seconds that it has left."""
        return {
            "id": self.id,
            "provider": self.provider,
            "path": self.path,
            "method": self.method,
            "contains": self.contains or None,
            "status": self.status,
            "delay": self.delay,
            "left": round(self.expires - now, 3),
            "matched": self.matched,
        }


class Faults:
    """The active faults, on the monotonic clock. A later fault is asked before an earlier one."""

    def __init__(self, clock: Clock, providers: frozenset[str]) -> None:
        self._clock = clock
        self._providers = providers
        self._faults: list[Fault] = []
        self._count = 0

    def add(self, wanted: Any) -> Fault:
        """Take a fault as the control API gets it. Raises BadFaultError that names what is wrong."""
        if not isinstance(wanted, Mapping):
            raise BadFaultError("a fault is a JSON object")
        if unknown := sorted(wanted.keys() - _KEYS):
            raise BadFaultError(f"unknown key {unknown[0]}")
        if wanted.get("provider") not in self._providers:
            raise BadFaultError(f"provider must be one of {', '.join(sorted(self._providers))}")
        status = wanted.get("status")
        if status is not None and not (_is_int(status) and (status == 0 or 200 <= status <= 599)):
            raise BadFaultError("status must be 0 (close the connection) or 200 to 599")
        delay = _seconds(wanted, "delay", MAX_DELAY, default=0.0)
        if status is None and not delay:
            raise BadFaultError("a fault needs a status, a delay or both")
        headers = wanted.get("headers") or {}
        if not isinstance(headers, Mapping) or not all(
            isinstance(part, str) and part.isprintable() for pair in headers.items() for part in pair
        ):
            raise BadFaultError("headers must be an object of printable text")
        for key in ("path", "method", "contains"):
            if not isinstance(wanted.get(key, ""), str):
                raise BadFaultError(f"{key} must be text")
        self._expire()
        if len(self._faults) >= MAX_FAULTS:
            raise BadFaultError(f"more than {MAX_FAULTS} faults at once")
        ttl = _seconds(wanted, "ttl", MAX_TTL)
        self._count += 1
        fault = Fault(
            id=f"fault-{self._count}",
            provider=wanted["provider"],
            path=wanted.get("path", "*"),
            method=wanted["method"].upper() if wanted.get("method") else None,
            contains=wanted.get("contains", ""),
            status=status,
            body=wanted.get("body"),
            headers={name.lower(): value for name, value in headers.items()},
            delay=delay,
            expires=self._clock.monotonic() + ttl,
        )
        self._faults.insert(0, fault)
        return fault

    def match(self, provider: str, method: str, path: str, searched: str) -> Fault | None:
        """The fault that meets the request, counted as matched; None when there is none."""
        self._expire()
        for fault in self._faults:
            if fault.matches(provider, method, path, searched):
                fault.matched += 1
                return fault
        return None

    def __bool__(self) -> bool:
        return bool(self._faults)

    def shown(self) -> list[dict[str, Any]]:
        """All active faults, oldest first."""
        self._expire()
        now = self._clock.monotonic()
        return [fault.shown(now) for fault in reversed(self._faults)]

    def remove(self, fault_id: str) -> Fault | None:
        """End a fault; None when it is unknown or has expired."""
        self._expire()
        for fault in self._faults:
            if fault.id == fault_id:
                self._faults.remove(fault)
                return fault
        return None

    def clear(self) -> int:
        """End all faults; answers how many there were."""
        self._expire()
        count = len(self._faults)
        self._faults.clear()
        return count

    def _expire(self) -> None:
        if self._faults:
            now = self._clock.monotonic()
            self._faults = [fault for fault in self._faults if fault.expires > now]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seconds(wanted: Mapping[str, Any], key: str, most: float, default: float | None = None) -> float:
    value = wanted.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise BadFaultError(f"{key} must be a number of seconds")
    if not (0 < value <= most or value == default):
        raise BadFaultError(f"{key} must be above 0 and at most {most:g} seconds")
    return float(value)
