"""How many requests each check may send where the target allows an address only so many, and intervals differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dialtone.budget import Need


def spread(needs: Sequence[Need], intervals: Mapping[str, float], requests: int, window: float) -> dict[str, int]:
    """Requests of one look of each check, so that all looks within `window` seconds send `requests` at most.

    As in a round: the most severe first, each whole or not at all; what is left is shared by those that take samples.
    A check costs as often as it is looked at within a window, once at least.
    """
    left, granted, takers = float(requests), {}, []
    looks = {need.id: max(1.0, window / intervals[need.id]) for need in needs}
    for need in sorted(needs, key=lambda n: (n.severity, n.samples, n.id)):
        cost = need.requests * looks[need.id]
        served = cost <= left
        granted[need.id] = need.requests if served else 0
        left -= cost if served else 0.0
        if served and need.samples:
            takers.append(need.id)
    for name in takers:
        granted[name] += int(left / len(takers) / looks[name])
    return granted


def month(reads: Mapping[str, Mapping[str, int]], intervals: Mapping[str, float]) -> dict[str, float]:
    """Reads of each provider in 30 days; `reads` is check -> provider -> reads of one look."""
    summed: dict[str, float] = {}
    for name, of in reads.items():
        for provider, count in of.items():
            summed[provider] = summed.get(provider, 0.0) + count * 30 * 86_400 / intervals[name]
    return summed
