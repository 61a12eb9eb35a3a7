"""What is wrong between the faults of a plan, and between a plan and an interceptor: each alone could be taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dialtone.interceptor.mechanism import mechanisms, on_tcp

if TYPE_CHECKING:
    from dialtone.interceptor.plan import Spec
    from dialtone.interceptor.settings import Host


def strangers(specs: Iterable[Spec], hosts: Mapping[str, Host]) -> list[str]:
    """Faults of hosts that the interceptor does not stand for, or that speak no HTTP: they could never match."""
    return [
        f"fault {number} ({spec.id}): {problem}"
        for number, spec in enumerate(specs, 1)
        if spec.match.host is not None and (problem := _strange(spec, spec.match.host, hosts))
    ]


def _strange(spec: Spec, wanted: str, hosts: Mapping[str, Host]) -> str | None:
    met = [name for name in hosts if _meets(name, wanted.lower())]
    if not met:
        return f"match.host: no host here is {wanted}; there are {', '.join(sorted(hosts))}"
    if not all(hosts[name].tcp for name in met):
        return None
    plain = f"{', '.join(sorted(met))} speaks plain TCP"
    if not on_tcp(type(spec.mechanism)):
        there = ", ".join(sorted(name for name, cls in mechanisms().items() if on_tcp(cls)))
        return f"{spec.mechanism.name} acts on HTTP, and {plain}; there act {there}"
    asked = [name for name in ("path", "method", "header", "body") if getattr(spec.match, name)]
    return f"match.{asked[0]}: {plain}, which has no requests: match its host alone" if asked else None


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
