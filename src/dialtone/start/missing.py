"""What is not armed on a target, grouped by what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dialtone.catalog import lacks, variables
from dialtone.target import Target
from dialtone.verdict import Effect

What = Literal["variable", "option", "setting", "effect"]
_ORDER = ["variable", "option", "setting", "effect"]


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that is missing: a variable, an optional one (`${NAME?}`), a setting of the profile, or an effect.

    `arms` are the checks that lack nothing else, `needed` those that lack more besides.
    """

    what: What
    name: str
    credential: str | None = None
    arms: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


def needs_of(entry: Mapping[str, Any]) -> list[str]:
    """Everything that a collected check needs, its objective among it."""
    return [*entry["needs"], *([f"objectives.{entry['objective']}"] if entry["objective"] else [])]


def gaps(entries: Sequence[Mapping[str, Any]], target: Target) -> tuple[list[str], list[Gap]]:
    """The ids that are armed, and what the others lack: variables first, then what arms most."""
    armed: list[str] = []
    found: dict[tuple[What, str], Gap] = {}
    credential_of = {variable: name for name, variable in target.profile.credentials.items()}
    unset = {v for name, v in target.profile.credentials.items() if name not in target.credentials}
    left_out = {f"{entry} needs {variable}, which is not set": variable for entry, variable in target.absent.items()}
    for entry in entries:
        refused = target.refuses(Effect(entry["effect"]))
        wants: list[tuple[What, str]] = []
        if refused:  # what it lacks besides does not matter as long as it may not run
            wants.append(("effect", refused))
        else:
            needs = needs_of(entry)
            wants += [("variable", name) for name in sorted(set(variables(target, needs)) & unset)]
            reasons = [reason for need in needs for reason in lacks(target, [need])]
            wants += [("option", left_out[reason]) if reason in left_out else ("setting", reason) for reason in reasons]
        wants = list(dict.fromkeys(wants))
        if not wants:
            armed.append(entry["id"])
        for what, name in wants:
            gap = found.setdefault((what, name), Gap(what, name, credential_of.get(name)))
            (gap.arms if len(wants) == 1 else gap.needed).append(entry["id"])
    ranked = sorted(
        found.values(), key=lambda gap: (_ORDER.index(gap.what), -len(gap.arms), -len(gap.needed), gap.name)
    )
    return armed, ranked
