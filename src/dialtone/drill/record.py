"""A drill as data: `drill.json` from the reports of its experiments, and one line of it for the trend."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dialtone.judging import Meta, Record
from dialtone.redact import secrets

PROPERTY = "dialtone-experiment"
PROGRESS = "DIALTONE_DRILL_PROGRESS"
"""Number of a file descriptor to which a line of JSON is written as each experiment ends."""
TREND = "drills.jsonl"
"""One line for each drill, beside `drill.json`."""
KEPT = 200
_WORST = ("fail", "inconclusive", "pass")
_TIMES = ("seconds_to_detect", "seconds_to_alert", "seconds_to_recover")
FIGURES = (*_TIMES, "lost", "doubled")


def told(meta: Meta, record: Record) -> dict[str, Any]:
    """What a worker tells of an experiment: its declaration, and what its story showed if it got that far."""
    aims = {"alert_within": meta.aims.alert_within, "recover_within": meta.aims.recover_within, "rpo": meta.aims.rpo}
    return {"dependency": meta.dependency, "objectives": aims, **_nothing(), **record.notes.get("experiment", {})}


def _nothing() -> dict[str, Any]:
    """Of an experiment that told nothing: its worker died."""
    times: dict[str, Any] = dict.fromkeys(_TIMES)
    return {**times, "lost": 0, "doubled": 0, "steps": [], "symptoms": [], "ledger": {}, "cells": []}


def verdict_of(entry: Mapping[str, Any]) -> str:
    """`pass`, `fail` or `inconclusive` from an entry of verdicts.json: what is unknown is never a pass."""
    return {"ok": "pass", "degraded": "pass", "breach": "fail", "critical": "fail"}.get(
        entry["verdict"], "inconclusive"
    )


class Drill:
    """Gathers the experiments of a run in its controller, from reports only."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}

    def take(self, nodeid: str, properties: Iterable[tuple[str, Any]]) -> None:
        """Take one report's properties."""
        for name, value in properties:
            if name == PROPERTY:
                self.told[nodeid] = json.loads(value) if isinstance(value, str) else dict(value)

    def progress(self, nodeid: str, entry: Mapping[str, Any] | None, when: str) -> None:
        """Tell whoever started this run that an experiment is over."""
        descriptor = os.environ.get(PROGRESS)
        if descriptor is None or entry is None or when != "teardown" or not entry["experiment"]:
            return
        known = self.told.get(nodeid, {})
        line = {"id": entry["id"], "armed": entry["armed"], "verdict": verdict_of(entry), "reason": entry["reason"]}
        line |= {name: known.get(name) for name in FIGURES}
        with contextlib.suppress(OSError, ValueError):
            os.write(int(descriptor), json.dumps(line).encode() + b"\n")

    def finish(self, entries: Mapping[str, Mapping[str, Any]], verdicts: Path, target: str, started: float) -> None:
        """Write `drill.json` and its report beside the verdicts, and remember the drill, if an experiment was run."""
        if not any(entry["experiment"] and entry["armed"] for entry in entries.values()):
            return
        told = self.document(entries, target=target, started=started, finished=time.time())
        usual = verdicts.stem == "verdicts"
        path = verdicts.with_name("drill.json" if usual else f"{verdicts.stem}-drill.json")
        _replace(path, json.dumps(secrets.tree(told), indent=1, ensure_ascii=False) + "\n")
        if usual:
            from dialtone.report.pages.written import drill_report

            keep(path.parent, told)
            drill_report(path)

    def document(
        self, entries: Mapping[str, Mapping[str, Any]], *, target: str, started: float, finished: float
    ) -> dict[str, Any]:
        """`build/drill.json`, from this and the entries of verdicts.json by test; times are seconds."""
        experiments, unarmed = [], []
        for nodeid, entry in entries.items():
            if not entry["experiment"]:
                continue
            if not entry["armed"]:
                unarmed.append({"id": entry["id"], "reason": entry["reason"]})
                continue
            known = {"objectives": {}, **_nothing(), **self.told.get(nodeid, {})}
            own = {name: entry[name] for name in ("severity", "runbook", "kind", "reason", "seconds")}
            head = {"id": entry["id"], "dependency": known.get("dependency", ""), "verdict": verdict_of(entry)}
            figures = {name: known[name] for name in FIGURES}
            experiments.append({**head, **figures, **own, "nodeid": nodeid, **known})
        experiments.sort(key=lambda e: (_WORST.index(e["verdict"]), e["id"]))
        return {
            "target": target,
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "seconds": round(finished - started, 1),
            "verdicts": {v: sum(e["verdict"] == v for e in experiments) for v in _WORST},
            "experiments": experiments,
            "unarmed": unarmed,
            "matrix": matrix(experiments),
        }


def matrix(experiments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Dependency x fault -> outcome. A cell that no experiment met is not in it: a hole.

    `by_hand` are what no interceptor stands before (a webhook, a deployment): an experiment disturbs it by itself.
    `tcp` are hosts of which only connections and bytes are known, `http` the faults that cannot be there.
    """
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    hosts: set[str] = set()
    tcp: set[str] = set()
    for experiment in experiments:
        hosts |= set(experiment.get("hosts", ()))
        tcp |= set(experiment.get("tcp", ()))
        for cell in experiment["cells"]:
            found = cells.setdefault(
                (cell["host"], cell["fault"]),
                {"host": cell["host"], "fault": cell["fault"], "outcome": "pass", "experiments": []},
            )
            found["experiments"].append(experiment["id"])
            found["outcome"] = min(found["outcome"], experiment["verdict"], key=_WORST.index)
    by_hand = {host for host, _ in cells} - hosts
    hosts |= by_hand
    classes: dict[str, int] = dict.fromkeys(sorted(hosts), 0)
    for host, _ in cells:
        classes[host] += 1
    faults = sorted({kind for _, kind in cells})
    return {
        "hosts": sorted(hosts),
        "by_hand": sorted(by_hand),
        "tcp": sorted(tcp),
        "faults": faults,
        "http": [kind for kind in faults if tcp and _needs_http(kind)],
        "cells": [cells[key] for key in sorted(cells)],
        "classes": classes,
    }


def _needs_http(kind: str) -> bool:
    from dialtone.interceptor.mechanism import mechanisms, on_tcp

    if "." in kind:  # a provider's own answer
        return True
    found = mechanisms().get(kind)
    return found is not None and not on_tcp(found)


def keep(folder: Path, document: Mapping[str, Any]) -> None:
    """Append the drill to the trend, which keeps its last 200."""
    path = folder / TREND
    line = {name: document[name] for name in ("target", "started", "seconds", "verdicts")}
    line["experiments"] = {e["id"]: {n: e[n] for n in ("verdict", *FIGURES)} for e in document["experiments"]}
    lines = path.read_text().splitlines()[-(KEPT - 1) :] if path.exists() else []
    _replace(path, "\n".join([*lines, json.dumps(line, separators=(",", ":"))]) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def trend(folder: Path) -> list[dict[str, Any]]:
    """The drills that are remembered, the oldest first; a line that cannot be read is left out."""
    found = []
    path = folder / TREND
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
