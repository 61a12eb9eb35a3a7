"""Keys that an owner rotates: for a while two are valid, then the old one is refused.

A provider that lets one roll a key keeps the old one for as long as it is told to (https://docs.stripe.com/keys#rolling-keys).
Here a request with the new key is taken as one with the key that the stand-in knows; once the old one is retired, a
request that still carries it is refused as one with a wrong key is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dialtone.standins.wire import Request

_SHORTEST = 12  # characters: a shorter key would be found in other words


@dataclass(frozen=True, slots=True, repr=False)
class Rotation:
    """From one key to the next. No `repr`: both are secrets."""

    old: str
    new: str
    retired: bool = False


class Rotations:
    """The keys that are being rotated, by a number."""

    def __init__(self) -> None:
        self._rotations: dict[str, Rotation] = {}

    def add(self, told: object) -> str:
        """Begin one: `{"old": …, "new": …}`; its id. Raises ValueError for what is no rotation."""
        if not isinstance(told, Mapping) or set(told) != {"old", "new"}:
            raise ValueError("a rotation has old and new")
        old, new = told["old"], told["new"]
        if not isinstance(old, str) or not isinstance(new, str) or min(len(old), len(new)) < _SHORTEST or old == new:
            raise ValueError(f"old and new are two different keys of {_SHORTEST} characters at least")
        name = str(len(self._rotations) + 1)
        self._rotations[name] = Rotation(old, new)
        return name

    def retire(self, name: str) -> bool:
        """From now on the old key is refused; False when there is no such rotation."""
        if name not in self._rotations:
            return False
        self._rotations[name] = replace(self._rotations[name], retired=True)
        return True

    def seen(self, request: Request) -> Request:
        """The request as the stand-in is to see it."""
        for rotation in self._rotations.values():
            request = _through(request, rotation)
        return request


def _through(request: Request, rotation: Rotation) -> Request:
    steps = [(rotation.old, "0" * len(rotation.old))] if rotation.retired else []
    steps.append((rotation.new, rotation.old))
    authority, raw, path = request.headers.get("authorization", ""), request.raw, request.path
    for given, taken in steps:
        authority, path = authority.replace(given, taken), path.replace(given, taken)
        raw = raw.replace(given.encode(), taken.encode())
    if (authority, raw, path) == (request.headers.get("authorization", ""), request.raw, request.path):
        return request
    headers = {**request.headers, "authorization": authority} if authority else request.headers
    return replace(request, headers=headers, raw=raw, path=path)
