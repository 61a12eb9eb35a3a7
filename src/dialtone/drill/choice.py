"""Which experiments there are, and which of them a drill takes."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialtone.sandbox.campaign import catalogued
from dialtone.sandbox.matrix import Claims

HERE = ("--rootdir", ".")
"""Experiments are known by their path from here, and results go below here, also where a suite is a part of another."""


@dataclass(frozen=True, slots=True)
class Known:
    """One experiment, or one case of it, as it is declared."""

    id: str
    function: str
    nodeid: str
    dependency: str
    smoke: bool
    catches: tuple[str, ...]
    effect: str
    needs: tuple[str, ...]
    searches: bool = False

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Known:
        """From an entry of the catalogue that the plugin writes."""
        plain = {name: entry[name] for name in ("id", "function", "nodeid", "dependency", "effect")}
        catches, needs = tuple(entry["catches"]), tuple(entry["needs"])
        return cls(**plain, smoke=entry["smoke"], catches=catches, needs=needs, searches=entry["searches"])

    def claims(self) -> Claims:
        """Its claims for the matrix of defects; those of a function without a mapping are met by any of its cases."""
        return Claims(self.id, self.function, self.catches, any_case="[" in self.id)


def known(paths: Sequence[str], target: str, folder: Path) -> list[Known]:
    """The experiments below these paths, in the order of the files. Raises CampaignError."""
    entries = catalogued([*paths, "--target", target, "-p", "no:randomly", *HERE], folder)
    return [Known.of(entry) for entry in entries if entry["experiment"]]


def smoke(experiments: Sequence[Known]) -> list[Known]:
    """Those of the short drill; of a function with cases the first."""
    seen: set[str] = set()
    return [e for e in experiments if e.smoke and not (e.function in seen or seen.add(e.function))]  # type: ignore[func-returns-value]


def named(experiments: Sequence[Known], words: Collection[str]) -> list[Known]:
    """Those whose id, function or dependency is among the words. Raises LookupError for a word that names nothing."""
    for word in words:
        if not any(word in (e.id, e.function, e.dependency) for e in experiments):
            there = ", ".join(sorted({e.dependency for e in experiments if e.dependency}))
            raise LookupError(f"no experiment and no dependency is called {word!r}; dependencies: {there}")
    return [e for e in experiments if {e.id, e.function, e.dependency} & set(words)]


def for_defect(defect: str, experiments: Sequence[Known], seed: int, share: float = 0.25) -> list[Known]:
    """Whom a defect is held against: who claims it, all of their dependencies, and a seeded share of the rest."""
    claiming = [e for e in experiments if defect in e.catches]
    near = {e.dependency for e in claiming}
    rest = [e for e in experiments if e.dependency not in near]
    chooser = random.Random(f"{seed}/{defect}")  # noqa: S311 - a choice that can be repeated
    drawn = {e.id for e in chooser.sample(rest, round(len(rest) * share))}
    return [e for e in experiments if e.dependency in near or e.id in drawn]
