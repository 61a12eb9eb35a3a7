"""One incident for one cause: what is red because of something else that is red is listed under it.

A check declares what it depends on; a profile may add to it (`[causes]`, patterns of ids). Of all red checks that a red
check depends on, directly or not, the most severe is the cause, by its id where two are. A provider that tells of
trouble itself is the cause of what it explains, a prober that is offline that of everything it could not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from dialtone.incidents.lifecycle import UNKNOWN, Sign
from dialtone.verdict import Kind, Severity, Verdict

PROVIDER = "provider: "


class Dependencies:
    """What depends on what. `declared` is check -> what it depends on, `causes` the other way round with patterns."""

    def __init__(self, declared: Mapping[str, Sequence[str]], causes: Mapping[str, Sequence[str]]) -> None:
        self._declared = {check: tuple(names) for check, names in declared.items() if names}
        self._causes = {cause: tuple(patterns) for cause, patterns in causes.items()}

    def of(self, check: str, known: Iterable[str]) -> list[str]:
        """The known checks that this one depends on directly. A name without a case means every case."""
        named = [*self._declared.get(check, ()), *self._declared.get(check.partition("[")[0], ())]
        for cause, patterns in self._causes.items():
            if not matches(check, [cause]) and matches(check, patterns):
                named.append(cause)
        return [other for other in known if other != check and matches(other, named)]

    def roots(self, red: Mapping[str, Sign]) -> dict[str, str]:
        """For each red check the cause of it: the end of the way up, itself where nothing above it is red."""
        above = {check: self.of(check, red) for check in red}
        return {check: _root(check, above, red, ()) for check in red}


def matches(check: str, patterns: Iterable[str]) -> bool:
    """Whether a check's id fits a pattern. Brackets are the id's own, not a set of characters."""
    plain = check.partition("[")[0]
    return any(p in (check, plain) or fnmatchcase(check, p.replace("[", "[[]")) for p in patterns)


def _root(check: str, above: Mapping[str, list[str]], red: Mapping[str, Sign], path: tuple[str, ...]) -> str:
    if check in path:  # declared in a circle: one of it stands for all
        return min(path[path.index(check) :], key=lambda name: (red[name].severity, name))
    ways = {_root(other, above, red, (*path, check)) for other in above[check]}
    return min(ways, key=lambda name: (red[name].severity, name), default=check)


def sorted_out(signs: Iterable[Sign], dependencies: Dependencies) -> dict[str, list[Sign]]:
    """The signs that may be about an incident, by cause. Good ones are about whatever they were part of before."""
    signs = list(signs)
    red = {s.check: s for s in signs if s.verdict.is_bad}
    found: dict[str, list[Sign]] = {}
    for check, root in dependencies.roots(red).items():
        told = red[root].explained
        found.setdefault(f"{PROVIDER}{told}" if told else root, []).append(red[check])
    for sign in signs:
        if (cause := _unknown(sign, dependencies, red)) is not None:
            found.setdefault(cause, []).append(replace(sign, severity=_LOWER[sign.severity]))
    return found


_LOWER = {Severity.P0: Severity.P1, Severity.P1: Severity.P2, Severity.P2: Severity.P3, Severity.P3: Severity.P3}


def _unknown(sign: Sign, dependencies: Dependencies, red: Mapping[str, Sign]) -> str | None:
    """The cause under which not knowing is counted. Gathering evidence, and waiting for what is red, are no trouble."""
    if sign.verdict is not Verdict.UNKNOWN:
        return None
    if sign.kind in (Kind.OFFLINE, Kind.REFUSED):
        return f"{UNKNOWN}{sign.kind}"
    if sign.kind is Kind.UNDECIDED and (sign.samples > 0 or dependencies.of(sign.check, red)):
        return None
    return f"{UNKNOWN}{sign.check}"
