"""What a drill says to people, as data: what fails newly, the matrix with its holes, what a person has to sign.

Made of `drill.json` and of `drills.jsonl` beside it, whose form `docs/write-an-experiment.md` tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

OWN = "own answers"
"""The column of faults that are a provider's own answers (`provider.row`): each host has other ones."""
HOLE = "not tried"
CANNOT = "-"
"""A class that does not exist at that host."""
WORST = ("fail", "inconclusive", "pass")
SHOWN = 12
"""Drills that the trend shows."""
_AIMS = {"seconds_to_alert": "alert_within", "seconds_to_recover": "recover_within"}


def read(document: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A drill and those before it on the same target, the oldest first. Raises OSError or ValueError."""
    told = json.loads(document.read_text())
    if not isinstance(told, dict) or "experiments" not in told:
        raise ValueError(f"{document} is no drill.json: `dialtone drill` writes one")
    path = document.with_name("drills.jsonl")
    lines = path.read_text().splitlines() if path.exists() else []
    return told, before(told, lines)


def before(told: Mapping[str, Any], lines: Iterable[str]) -> list[dict[str, Any]]:
    """The drills of the trend that were earlier, on the same target; lines that cannot be read are left out."""
    found = []
    for line in lines:
        try:
            one = json.loads(line)
            mine = one["target"] == told["target"] and one["started"] < told["started"]
            whole = {"seconds", "verdicts"} <= set(one) and all("verdict" in e for e in one["experiments"].values())
            if mine and whole:
                found.append(one)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(found, key=lambda one: str(one["started"]))


def past(name: str, earlier: Sequence[Mapping[str, Any]]) -> list[str]:
    """Verdicts of an experiment in the drills that ran it, the oldest first."""
    return [one["experiments"][name]["verdict"] for one in earlier if name in one["experiments"]]


def newly(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> list[str]:
    """Experiments that do not pass, and passed when they were run last."""
    return [e["id"] for e in told["experiments"] if e["verdict"] != "pass" and past(e["id"], earlier)[-1:] == ["pass"]]


def ordered(told: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The experiments: newly failing first, then worst first, then by name."""
    new = set(newly(told, earlier))
    return sorted(told["experiments"], key=lambda e: (e["id"] not in new, WORST.index(e["verdict"]), e["id"]))


def aim(experiment: Mapping[str, Any], figure: str) -> float | None:
    """The objective (s) of one of its times; None where it has none."""
    found = experiment["objectives"].get(_AIMS.get(figure, ""))
    return None if found is None else float(found)


def late(experiment: Mapping[str, Any], figure: str) -> bool:
    """Whether a time is beyond its objective."""
    value, most = experiment[figure], aim(experiment, figure)
    return value is not None and most is not None and value > most


def columns(matrix: Mapping[str, Any]) -> list[str]:
    """Classes of fault: those that any host may have, then the providers' own answers as one."""
    common = [kind for kind in matrix["faults"] if "." not in kind]
    return [*common, *([OWN] if len(common) < len(matrix["faults"]) else [])]


def cells(matrix: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, int]]:
    """(host, column) -> worst outcome and how many faults; what nobody tried is not in it."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for one in matrix["cells"]:
        key = (one["host"], one["fault"] if "." not in one["fault"] else OWN)
        outcome, number = found.get(key, ("pass", 0))
        found[key] = (min(outcome, one["outcome"], key=WORST.index), number + 1)
    return found


def empty(matrix: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """What stands in each cell that nobody tried.

    What is done by hand (a webhook sent twice, a bad revision) exists only where it was done; what an interceptor does
    to one host it can do to any other, except that plain TCP knows no statuses, heads or bodies.
    """
    filled, by_hand = cells(matrix), set(matrix.get("by_hand", ()))
    tcp, http = set(matrix.get("tcp", ())), {OWN, *matrix.get("http", ())}
    on_wire = {kind for host, kind in filled if host not in by_hand}
    return {
        (host, kind): HOLE
        if kind in on_wire and host not in by_hand and (host not in tcp or kind not in http)
        else CANNOT
        for host in matrix["hosts"]
        for kind in columns(matrix)
        if (host, kind) not in filled
    }


def holes(matrix: Mapping[str, Any]) -> tuple[int, int, list[str]]:
    """Cells that nobody tried, of how many that there are, and the hosts that no fault met."""
    tried, missing = len(cells(matrix)), sum(told == HOLE for told in empty(matrix).values())
    return missing, tried + missing, [host for host, number in matrix["classes"].items() if not number]


def recoveries(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Experiments that lost data and brought it back."""
    return [e for e in told["experiments"] if e.get("recovery")]


def to_sign(told: Mapping[str, Any]) -> list[str]:
    """What a person has to decide or to do, since no experiment can; a line for each."""
    lines = []
    for e in told["experiments"]:
        if e["verdict"] == "fail":
            lines.append(f"{e['id']} fails: it has an owner and a date, or somebody accepts what it means")
        elif e["verdict"] == "inconclusive":
            lines.append(f"{e['id']} proved nothing: it is run again, or somebody says why not")
    if told["unarmed"]:
        lines.append(f"{len(told['unarmed'])} experiments did not run here: where else they ran, or why they need not")
    missing, every, bare = holes(told["matrix"])
    if bare:
        lines.append(f"No fault met {', '.join(bare)}: that is accepted")
    if missing:
        lines.append(f"{missing} of {every} cells of the matrix were not tried: none of them is a class that matters")
    if recoveries(told):
        lines.append("RPO and RTO above are still what the business wants")
        lines.append("How long a restore of production takes, with the decision and DNS, is written down")
    return [
        *lines,
        "The person on call was reached by phone in time, and the second one after no answer",
        "Somebody who had never done it followed the runbook without asking",
        "Access to hosting, database and every provider's dashboard works",
    ]
