"""Stand-ins that installed packages bring (docs/extend.md), of which a profile wants some in its sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dialtone import extension
from dialtone.standins.config import NEEDED_SECRETS


def secrets_of(names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Name -> the secrets that its stand-in needs. Raises RuntimeError, in words, for one that no package brings."""
    try:
        points = extension.brought("standins", NEEDED_SECRETS) if names else {}
        for name in names:
            if name in NEEDED_SECRETS:
                raise RuntimeError(f"standins: {name} comes with the sandbox and runs in any case: leave it out")
            if name not in points:
                there = ", ".join(sorted(points)) or "none"
                raise RuntimeError(
                    f"standins: no installed package brings {name!r}, there are: {there}. Install it beside dialtone"
                )
        return {name: tuple(extension.load(points[name], "NEEDS", "build").NEEDS) for name in names}
    except extension.ExtensionError as wrong:
        raise RuntimeError(str(wrong)) from None
