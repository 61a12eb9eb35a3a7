"""A plan: faults as JSON, read whole before anything starts. Everything wrong with it is told at once."""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from fnmatch import translate
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from dialtone.interceptor.course import Course
from dialtone.interceptor.mechanism import Bounds, Mechanism, mechanisms, parameters
from dialtone.interceptor.quarrels import quarrels

MAX_FAULTS = 2_000
MAX_TTL = 60.0
"""Seconds that a fault may outlive its controller at most."""
MAX_DURATION = 4 * 3600.0
_ID = re.compile(r"[\w.:-]{1,80}")


class BadPlanError(ValueError):
    """A plan that cannot be taken; `problems` names each fault and what is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests are meant; what is left out matches all. Patterns are globs (`*`, `?`, `[a-z]`)."""

    host: str | None = None
    """Provider host, without a port."""
    path: str | None = None
    """Path without the query, as it was sent."""
    method: str | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    """Name to pattern of the value; each has to match."""
    body: Mapping[str, str] = field(default_factory=dict)
    """Field of a JSON or form body (`a.b`, `items.0.id`) to pattern of its value; reads at most 1 MiB of the body."""
    nth: Annotated[int, Bounds(1, 10**9)] | None = None
    """Only the nth request that matches otherwise."""
    after: Annotated[int, Bounds(0, 10**9)] = 0
    """Only requests after the first so many that match otherwise: a quota that is used up."""
    every: Annotated[int, Bounds(1, 10**9)] = 1
    """Every so many of them."""
    share: Annotated[float, Bounds(0, 1)] = 1.0
    """Share of them, drawn with the fault's seed."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One fault as it was planned. Times in seconds."""

    id: str
    mechanism: Mechanism
    match: Match = field(default_factory=Match)
    seed: int = 0
    start: Annotated[float, Bounds(0, MAX_DURATION)] = 0.0
    """From the moment the plan was taken."""
    duration: Annotated[float, Bounds(0.001, MAX_DURATION)] | None = None
    """How long it lasts at most, renewed or not."""
    ttl: Annotated[float, Bounds(0.05, MAX_TTL)] = 10.0
    """How long it lasts without being renewed."""
    course: Course | None = None
    """How its share moves over time."""

    def shown(self) -> dict[str, Any]:
        """As in a plan, with every default filled in: what was planned, word for word."""
        own = {p.name: getattr(self.mechanism, p.name) for p in parameters(type(self.mechanism))}
        match = {n: v for n in Match.__slots__ if (v := _plain(getattr(self.match, n))) not in (None, {})}
        told: dict[str, Any] = {"id": self.id, "fault": self.mechanism.name, **own, "match": match}
        told |= {"seed": self.seed, "start": self.start, "duration": self.duration, "ttl": self.ttl}
        if self.course is not None:
            told["course"] = {n: getattr(self.course, n) for n in Course.__slots__}
        return told


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def parse(text: str | bytes | Mapping[str, Any]) -> tuple[Spec, ...]:
    """Read a plan: `{"seed": 7, "faults": [{"fault": NAME, parameters …, "match": {…}, …}]}`.

    Raises BadPlanError with everything that is wrong.
    """
    try:
        plan = text if isinstance(text, Mapping) else json.loads(text)
    except ValueError as error:
        raise BadPlanError([f"the plan is no JSON: {error}"]) from None
    if not isinstance(plan, Mapping) or not isinstance(plan.get("faults"), list):
        raise BadPlanError(['a plan is {"faults": [ … ]}'])
    problems = [f"plan: no such key: {name}" for name in sorted(set(plan) - {"faults", "seed", "comment", "source"})]
    if len(plan["faults"]) > MAX_FAULTS:
        raise BadPlanError([f"{len(plan['faults'])} faults: {MAX_FAULTS} are the most"])
    seed = plan.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        problems.append(f"plan: seed: {seed!r} is no whole number")
        seed = 0
    specs = []
    for number, entry in enumerate(plan["faults"], 1):
        told = f"fault {number}" + (f" ({entry.get('id') or entry.get('fault')})" if isinstance(entry, dict) else "")
        try:
            specs.append(_spec(entry, number, seed))
        except BadPlanError as error:
            problems += [f"{told}: {problem}" for problem in error.problems]
    seen: set[str] = set()
    problems += [f"two faults have the id {s.id}" for s in specs if s.id in seen or seen.add(s.id)]  # type: ignore[func-returns-value]
    problems += quarrels(specs)
    if problems:
        raise BadPlanError(problems)
    return tuple(specs)


def _spec(entry: Any, number: int, seed: int) -> Spec:
    if not isinstance(entry, Mapping):
        raise BadPlanError(['a fault is {"fault": NAME, …}'])
    rest = dict(entry)
    name = rest.pop("fault", None)
    known = mechanisms()
    if name not in known:
        raise BadPlanError([f"no such fault: {name!r}; there are {', '.join(sorted(known))}"])
    cls = known[name]
    own = {p.name: rest.pop(p.name) for p in parameters(cls) if p.name in rest}
    problems: list[str] = []
    made = _build(cls, own, problems, "")
    parts: dict[str, Any] = {"id": f"{number}-{name}", "seed": seed, **rest}
    match = parts.get("match", {})
    if isinstance(match, Mapping) and "host" not in match and hasattr(made, "default_match"):
        parts["match"] = {**made.default_match(), **match}
    for part, kind in (("match", Match), ("course", Course)):
        if part in parts:
            parts[part] = _build(kind, parts[part], problems, f"{part}.")
    spec = _build(Spec, {**parts, "mechanism": made}, problems, "", skip={"match", "course", "mechanism"})
    if spec is not None and not _ID.fullmatch(spec.id):
        problems.append("id: letters, digits and . : - _, at most 80")
    if spec is not None and made is not None and not problems:
        problems += _contradictions(spec)
    if problems or spec is None:
        raise BadPlanError(problems)
    return typing.cast("Spec", spec)


def _contradictions(spec: Spec) -> list[str]:
    match, wrong = spec.match, []
    if match.nth is not None and (match.every > 1 or match.after):
        wrong.append("match: nth with every or after: say one of them")
    if match.share == 0:
        wrong.append("match.share: 0 can match nothing")
    if spec.mechanism.listener() and (
        match.host is None or match.path or match.method or match.header or match.body or match.share < 1 or match.nth
    ):
        wrong.append(f"{spec.mechanism.name} acts before a request is seen: match a host and nothing else")
    early = type(spec.mechanism).connect is not Mechanism.connect or spec.mechanism.certificate()
    if early and (match.path or match.method or match.header or match.body):
        wrong.append(f"{spec.mechanism.name} acts before a request is seen: path, method, header, body cannot match")
    if spec.course is not None:
        wrong += spec.course.problems()
    check = getattr(spec.mechanism, "problems", None)
    return wrong + (list(check()) if check else [])


def _build(
    cls: type, given: Any, problems: list[str], prefix: str, skip: frozenset[str] | set[str] = frozenset()
) -> Any:
    """An instance of a dataclass from JSON, its annotations checked; None, and problems, when it cannot be made."""
    if not isinstance(given, Mapping):
        problems.append(f"{prefix.rstrip('.') or 'fault'}: an object is needed")
        return None
    hints = get_type_hints(cls, include_extras=True)
    fields = {p.name: p for p in parameters(cls)}
    before = len(problems)
    problems += [
        f"{prefix}{n}: no such key; there are {', '.join(sorted(fields))}" for n in sorted(set(given) - set(fields))
    ]
    for name, value in given.items():
        if name in fields and name not in skip and (wrong := _wrong(value, hints[name])):
            problems.append(f"{prefix}{name}: {wrong}")
    for name, entry in fields.items():
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING:
            problems.append(f"{prefix}{name}: is needed")
    if len(problems) > before:
        return None
    return cls(**{n: tuple(v) if isinstance(v, list) else v for n, v in given.items()})


def _wrong(value: Any, hint: Any) -> str | None:
    """What is wrong with a value of an annotation; None when nothing is."""
    origin = get_origin(hint)
    if origin is Annotated:
        kind, *extras = get_args(hint)
        if wrong := _wrong(value, kind):
            return wrong
        bounds = next((e for e in extras if isinstance(e, Bounds)), None)
        if bounds and isinstance(value, int | float) and not bounds.least <= value <= bounds.most:
            return f"{value} is not between {bounds.least:g} and {bounds.most:g}"
        return None
    if origin in (typing.Union, types.UnionType):
        reasons = [_wrong(value, one) for one in get_args(hint)]
        return None if None in reasons else next((r for r in reasons if r), "is wrong")
    if origin is Literal:
        return None if value in get_args(hint) else f"{value!r} is none of {', '.join(map(repr, get_args(hint)))}"
    if origin is tuple:
        return None if isinstance(value, list | tuple) else "a list is needed"
    if origin is not None and issubclass(origin, Mapping):
        good = isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())
        return None if good else "an object of texts is needed"
    return _plainly_wrong(value, hint)


def _plainly_wrong(value: Any, hint: Any) -> str | None:
    if hint is types.NoneType:
        return None if value is None else "is wrong"
    if hint is float:
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return None if good else f"{value!r} is no number"
    if hint is int:
        return None if isinstance(value, int) and not isinstance(value, bool) else f"{value!r} is no whole number"
    if hint is bool:
        return None if isinstance(value, bool) else f"{value!r} is neither true nor false"
    if hint is str:
        return None if isinstance(value, str) else f"{value!r} is no text"
    return None


def pattern(glob: str) -> re.Pattern[bytes]:
    """A glob over bytes of a head, case-sensitive."""
    return re.compile(translate(glob).encode("latin-1", "replace"))
