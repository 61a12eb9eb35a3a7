"""A small record of the last ok run, beside the verdicts: what a diagnosis compares with.

The history of results will know more; until then this is what `since` and `what changed` are made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_MOVED = 2.0
"""A measured value is told as changed when it is more than so many times what it was."""
_FEW = 12


def place(verdicts: Path, target: str) -> Path:
    """Where the record of a target is kept."""
    return verdicts.parent / "last-ok" / f"{target}.json"


def read(path: Path) -> dict[str, Any] | None:
    """The record, or None when there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("finished"), str) else None


def record(document: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an ok run: its time, verdict and value of each check, and facts of the deployment."""
    checks = {
        e["id"]: {"verdict": e["verdict"], "value": e["value"], "unit": e["unit"]}
        for e in document["checks"]
        if e["armed"]
    }
    return {"target": document["target"], "finished": document["finished"], "checks": checks, "facts": dict(facts)}


def changes(last: Mapping[str, Any], document: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """What is different from the last ok run, in sentences: facts first, then checks, then values that moved."""
    said = [*_facts(last.get("facts", {}), facts), *_checks(last["checks"], document["checks"])]
    return said if len(said) <= _FEW else [*said[:_FEW], f"{len(said) - _FEW} more changes"]


def _facts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for look in before.keys() & now.keys():
        old, new = _flat(before[look]), _flat(now[look])
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield f"{look}: {name} was {_say(old.get(name))}, is {_say(new.get(name))}"


def _flat(rows: Any) -> dict[str, Any]:
    """Facts by name: of one row its columns, of many the rest of a row by its first column."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return {}
    if len(rows) == 1:
        return dict(rows[0])
    found = {}
    for row in rows:
        first, *rest = row.values()
        found[str(first)] = rest[0] if len(rest) == 1 else rest
    return found


def _say(value: Any) -> str:
    return "not there" if value is None else str(value)


def _checks(before: Mapping[str, Any], now: list[Mapping[str, Any]]) -> Iterator[str]:
    moved = []
    for entry in now:
        old = before.get(entry["id"])
        if old is None and entry["armed"]:
            yield f"{entry['id']}: was not there"
        elif old is not None and not entry["armed"]:
            yield f"{entry['id']}: was {old['verdict']}, is unarmed"
        elif old is not None and _has_moved(old["value"], entry["value"]):
            moved.append(f"{entry['id']}: was {old['value']:g} {old['unit']}, is {entry['value']:g} {entry['unit']}")
    yield from moved


def _has_moved(old: Any, new: Any) -> bool:
    if not isinstance(old, int | float) or not isinstance(new, int | float) or old == new:
        return False
    low, high = sorted((abs(old), abs(new)))
    return high > _MOVED * low and high - low >= 1
