"""A round is planned within what the target allows the prober's address, and a month within providers' quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dialtone.verdict import Severity


@dataclass(frozen=True, slots=True)
class Need:
    """What one check sends at most: `requests`, and as many samples as it can get if it asks for samples."""

    id: str
    severity: Severity
    requests: int
    samples: bool


def plan(needs: Sequence[Need], allowance: int | None) -> dict[str, int | None]:
    """Requests that each check may send; 0 leaves one that needs any out of the round, None is unlimited.

    The most severe checks are served first, each whole or not at all; what is left is shared evenly by those that take
    samples. The same checks and allowance give the same plan in every process.
    """
    if allowance is None:
        return {need.id: None for need in needs}
    left, granted, takers = allowance, {}, []
    for need in sorted(needs, key=lambda n: (n.severity, n.samples, n.id)):
        served = need.requests <= left
        granted[need.id] = need.requests if served else 0
        left -= granted[need.id]
        if served and need.samples:
            takers.append(need.id)
    for position, name in enumerate(takers):
        granted[name] += left // len(takers) + (1 if position < left % len(takers) else 0)
    return dict(granted)


def overdrawn(reads: Mapping[str, int], quotas: Mapping[str, int], rounds: int) -> dict[str, int]:
    """Providers that a month of `rounds` reads more often than its quota allows, with the reads of that month."""
    month = {name: rounds * count for name, count in reads.items()}
    return {name: count for name, count in month.items() if name in quotas and count > quotas[name]}
