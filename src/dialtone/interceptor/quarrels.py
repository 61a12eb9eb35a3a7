"""What is wrong between the faults of a plan, and between a plan and an interceptor: each alone could be taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialtone.interceptor.plan import Spec


def strangers(specs: Iterable[Spec], hosts: Iterable[str]) -> list[str]:
    """Faults of hosts that the interceptor does not stand for: they could never match."""
    there = sorted(hosts)
    return [
        f"fault {number} ({spec.id}): match.host: no host here is {spec.match.host}; there are {', '.join(there)}"
        for number, spec in enumerate(specs, 1)
        if spec.match.host is not None and not any(_meets(host, spec.match.host.lower()) for host in there)
    ]


def _meets(host: str, glob: str) -> bool:
    return fnmatchcase(host.lower(), glob) or fnmatchcase(glob, host.lower())


def quarrels(specs: Sequence[Spec]) -> Iterator[str]:
    """Two faults that want different things of one host at the same time, and those that another leaves no request."""
    for at, spec in enumerate(specs):
        for other in specs[:at]:
            if spec.match.host is None or (other.match.host or "").lower() != spec.match.host.lower():
                continue
            for one, two in ((spec, other), (other, spec)):
                if one.mechanism.listener() and not two.mechanism.listener() and _within(two, one):
                    yield (
                        f"{two.id} can match nothing: {one.id} ({one.mechanism.name}) lets nobody "
                        f"reach {spec.match.host} in all of its time"
                    )
            if not _overlap(spec, other):
                continue
            for kind in ("listener", "certificate"):
                mine, theirs = getattr(spec.mechanism, kind)(), getattr(other.mechanism, kind)()
                if mine and theirs and mine != theirs:
                    both = f"{other.id} and {spec.id} contradict"
                    yield f"{both}: {spec.match.host} cannot be {theirs} and {mine} at once"


def _window(spec: Spec) -> tuple[float, float]:
    return spec.start, math.inf if spec.duration is None else spec.start + spec.duration


def _within(inner: Spec, outer: Spec) -> bool:
    (begin, end), (first, last) = _window(inner), _window(outer)
    return first <= begin and end <= last and outer.course is None


def _overlap(one: Spec, other: Spec) -> bool:
    (begin, end), (first, last) = _window(one), _window(other)
    return begin < last and first < end
