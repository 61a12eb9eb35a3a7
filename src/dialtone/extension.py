"""What other packages bring: an entry point in one of the groups `dialtone.*` is found without a change here.

    [project.entry-points."dialtone.channels"]
    teams = "dialtone_teams.channel"

Groups: `signing`, `channels`, `faults`, `standins`; docs/extend.md says what each of them points to. A probe is a
pytest fixture, and those come by pytest's own group, `pytest11`. Source: the entry points specification,
https://packaging.python.org/en/latest/specifications/entry-points/.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUPS = ("signing", "channels", "faults", "standins")


class ExtensionError(ValueError):
    """What an installed package brings cannot be used; the text names package, group, name and remedy."""


@functools.cache
def _found(group: str) -> Mapping[str, EntryPoint]:
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"dialtone.{group}"):
        if point.name in by_name and point.value != by_name[point.name].value:
            told = " and ".join(sorted({_package(point), _package(by_name[point.name])}))
            raise ExtensionError(f"two packages bring the {group} {point.name!r}: {told}; remove one of them")
        by_name[point.name] = point
    return by_name


def brought(group: str, own: Collection[str] = ()) -> Mapping[str, EntryPoint]:
    """The entry points of a group by name, unloaded.

    Raises ExtensionError for a name in `own`, the names that come with the suite, or that two packages claim.
    """
    found = _found(group)
    for name in sorted(found.keys() & set(own)):
        raise ExtensionError(f"{_package(found[name])} brings the {group} {name!r}, which is ours: name it otherwise")
    return found


def load(point: EntryPoint, *needs: str) -> Any:
    """The object behind an entry point. Raises ExtensionError when it cannot be imported or lacks one of `needs`."""
    try:
        made = point.load()
    except Exception as error:  # whatever a foreign module raises while it is imported
        raise ExtensionError(
            f"{_package(point)}: {point.group} {point.name!r} ({point.value}) cannot be imported:"
            f" {type(error).__name__}: {error}; update or remove that package"
        ) from error
    for need in needs:
        if not hasattr(made, need):
            raise ExtensionError(
                f"{_package(point)}: {point.group} {point.name!r} ({point.value}) has no `{need}`; see docs/extend.md"
            )
    return made


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
