"""Gathers the verdicts of a run in the controller, from reports only: a worker that crashes takes nothing with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dialtone.judging import Meta, Record
from dialtone.redact import secrets
from dialtone.verdict import Finding, Kind, Severity, Verdict

EXIT_BROKEN, EXIT_OFFLINE, EXIT_REFUSED, EXIT_NOTHING_JUDGED, EXIT_INCONCLUSIVE = 10, 11, 12, 13, 14
EXIT_HISTORY, EXIT_UNHEARD, EXIT_MISSED = 15, 16, 17
EXIT_REQUIRED, EXIT_REVISION = 18, 19
EXIT_WORDS = {
    EXIT_BROKEN: "a check itself failed: nothing is known about what it checks",
    EXIT_OFFLINE: "the prober is offline: none of its witnesses answers",
    EXIT_REFUSED: "the prober was turned away from a P0 check",
    EXIT_NOTHING_JUDGED: "nothing was judged: no check was armed or none had enough evidence",
    EXIT_INCONCLUSIVE: "an experiment was inconclusive",
    EXIT_HISTORY: "the history is in trouble; the verdicts above are complete",
    EXIT_UNHEARD: "a message about an incident reached nobody on any channel: build/undelivered.json holds it",
    EXIT_REQUIRED: "a check that the gate requires is not armed, or is none of its checks",
    EXIT_REVISION: "the revision that was to be looked at was not served, or not all the time",
    EXIT_MISSED: "rounds were missed: those that ran found nothing",
}


def entry(check_id: str, meta: Meta, record: Record, *, teardown: bool = False) -> dict[str, Any]:
    """One check of `verdicts.json`, with the proof and the place that the summary shows."""
    unarmed = record.notes.get("unarmed")
    worst = record.worst()
    if teardown and worst.kind is not Kind.BROKEN and not worst.verdict.is_bad:
        worst = Finding(Verdict.UNKNOWN, "the clean-up of the check failed", Kind.BROKEN, samples=0)
    return {
        "id": check_id,
        **declared(meta),
        "severity": str(worst.severity or meta.severity),
        "verdict": None if unarmed else str(worst.verdict),
        "kind": None if unarmed or worst.kind is None else str(worst.kind),
        "value": None if unarmed else _number(worst.value),
        "unit": None if unarmed else worst.unit,
        "samples": 0 if unarmed else int(worst.samples),
        "levels": {name: _number(getattr(worst.levels, name)) for name in ("target", "alert", "critical")},
        "armed": not unarmed,
        "reason": secrets.scrub(str(unarmed or worst.reason)),
        "seconds": 0.0,
        "at": record.notes.get("at"),
        **{name: record.notes[name] for name in ("explained", "baseline", "window") if record.notes.get(name)},
        "trace": _trace(record) if worst.verdict.is_bad else None,
    }


def _trace(record: Record) -> str | None:
    """The trace id of the last request to the target: its own logs know it (W3C Trace Context)."""
    said = (exchange().get("trace") for exchange in reversed(record.exchanges))
    return next((str(trace) for trace in said if trace), None)


def declared(meta: Meta) -> dict[str, Any]:
    """What stands at a check and is told of it, in plain types: it travels from worker to controller."""
    return {
        "severity": str(meta.severity),
        "runbook": meta.runbook,
        "effect": str(meta.effect),
        "proof": meta.proof,
        "experiment": meta.experiment,
        **({"depends": list(meta.depends)} if meta.depends else {}),
    }


def _number(value: Any) -> float | None:
    """A database's Decimal as a number; what is no finite number has no place in JSON."""
    return float(value) if value is not None and math.isfinite(value) else None


def crashed(nodeid: str, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entry of a check whose worker died; `known` is what its worker had told of its declaration, if anything."""
    function, bracket, case = nodeid.partition("[")
    name = function.rpartition("::")[2].removeprefix("test_") + bracket + case
    reason = f"the worker process died in {nodeid}"
    record = Record(Meta(""), [Finding(Verdict.UNKNOWN, reason, Kind.BROKEN, samples=0)])
    return {**entry(name, record.meta, record), **(known or {})}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(json.dumps(secrets.tree(document), indent=1, ensure_ascii=False) + "\n")
    draft.replace(path)


class Gatherer:
    """The verdicts that arrived, by test."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.declared: dict[str, dict[str, Any]] = {}
        self._seconds: dict[str, float] = {}
        self.other_failures = 0

    def add(self, report: pytest.TestReport | pytest.CollectReport) -> bool:
        """Take one report; whether it carries a verdict. Failures of anything else are counted."""
        properties = dict(getattr(report, "user_properties", ()))
        found, declared = (_unpacked(properties.get(name)) for name in ("dialtone", "dialtone-declared"))
        if declared:
            self.declared[report.nodeid] = declared
        if found and isinstance(report, pytest.TestReport):
            report.user_properties = [("dialtone", found)]  # for whoever reads it after us
            before = self.entries.get(report.nodeid)
            if before is None or _rank(found) >= _rank(before):
                self.entries[report.nodeid] = found
        elif report.failed:
            self.other_failures += 1
        if isinstance(report, pytest.TestReport):
            self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
            if report.nodeid in self.entries:
                self.entries[report.nodeid]["seconds"] = round(self._seconds[report.nodeid], 4)
        return found is not None

    def all(self) -> list[dict[str, Any]]:
        """Every check, worst first, then by severity and id."""
        return sorted(self.entries.values(), key=lambda e: (-_rank(e), e["severity"], e["id"]))

    def of(self, *verdicts: Verdict) -> list[dict[str, Any]]:
        """The armed checks with one of these verdicts, in the order of `all`."""
        return [e for e in self.all() if e["armed"] and e["verdict"] in verdicts]

    def exit_code(self, pytests: int, fail_on: Verdict = Verdict.BREACH) -> int:
        """pytest's own exit code, or one of ours (>= 10) in place of 0, or of a 1 that only broken checks caused.

        `fail_on` is the mildest verdict that is a failure.
        """
        judged = self.of(Verdict.DEGRADED, Verdict.BREACH, Verdict.CRITICAL)
        bad = [e for e in judged if Verdict(e["verdict"]).rank >= fail_on.rank]
        borne = any(Verdict(e["verdict"]).is_bad for e in judged) and not bad
        unknown = self.of(Verdict.UNKNOWN)
        broken = any(e["kind"] == Kind.BROKEN for e in unknown)
        if pytests not in (0, 1):
            return pytests
        if bad or self.other_failures or (pytests and not broken and not borne):
            return 1
        if broken:
            return EXIT_BROKEN
        if any(e["kind"] == Kind.OFFLINE for e in unknown):
            return EXIT_OFFLINE
        if any(e["kind"] == Kind.REFUSED and e["severity"] == Severity.P0 for e in unknown):
            return EXIT_REFUSED
        if any(e["experiment"] for e in unknown):
            return EXIT_INCONCLUSIVE
        if not self.of(Verdict.OK, Verdict.DEGRADED) and not borne:
            return EXIT_NOTHING_JUDGED
        return 0

    def lacking(self, required: Iterable[str]) -> dict[str, str]:
        """Why each required check is not armed; an id without a case stands for all of its cases."""
        found = {}
        for name in required:
            cases = [e for e in self.all() if name in (e["id"], e["id"].partition("[")[0])]
            reasons = [e["reason"] for e in cases if not e["armed"]]
            if reasons or not cases:
                found[name] = reasons[0] if reasons else "no check of the gate has this id"
        return found

    def document(self, target: str, started: datetime, finished: datetime, exit_code: int) -> dict[str, Any]:
        """`build/verdicts.json`."""
        times = (t.isoformat(timespec="milliseconds").replace("+00:00", "Z") for t in (started, finished))
        begin, end = times
        return {"target": target, "started": begin, "finished": end, "exit_code": exit_code, "checks": self.all()}


def _unpacked(value: Any) -> dict[str, Any] | None:
    """A property of ours, which a worker has packed into text."""
    found: dict[str, Any] | None = json.loads(value) if isinstance(value, str) else value
    return found


def _rank(found: Mapping[str, Any]) -> float:
    if not found["armed"]:
        return -1
    if found["kind"] == Kind.BROKEN:
        return Verdict.UNKNOWN.rank + 0.5  # worse than any other way of not knowing, better than known to be bad
    return Verdict(found["verdict"]).rank
