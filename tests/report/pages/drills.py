"""Drills made up for the pages, in the form that `dialtone drill` leaves."""

from __future__ import annotations

from typing import Any

AIMS = {"alert_within": 10.0, "recover_within": 20.0, "rpo": 0.0}
COUNTS = {"kept": 7, "lost": 0, "pending": 0, "doubled": 0}


def step(at: float, kind: str, what: str, *, holds: bool = True, **more: str) -> dict[str, Any]:
    """One step of a story."""
    return {"at": at, "step": kind, "what": what, "holds": holds, **more}


def experiment(name: str, verdict: str = "pass", **more: Any) -> dict[str, Any]:
    """An experiment under a refused connection, with callers and an alert after 0.5 s."""
    where = {"host": "api.stripe.com", "fault": "refuse"}
    steps = [
        step(0.3, "steady state", "a booking works"),
        step(0.6, "fault", "connections are refused", **where),
        step(2.9, "fallback", "callers get their <b>appointments</b>", holds=verdict == "pass"),
        step(3.0, "alert", "slack hears of it, after 0.5 s", channel="slack"),
        step(3.1, "fault ends", "refuse at api.stripe.com: acted on 2 of 2", **where),
        step(3.4, "recovery", "a caller books, after 0.3 s"),
        step(3.6, "ledger", "charge: 7 kept"),
    ]
    points = [{"at": 0.3 * n, "ms": 200.0 + n, "good": n != 4, "what": ""} for n in range(10)]
    return {
        "id": name, "dependency": "stripe", "verdict": verdict, "seconds_to_detect": 0.5, "seconds_to_alert": 0.5,
        "seconds_to_recover": 0.3, "lost": 0, "doubled": 0, "severity": "P0", "runbook": "external-apis", "kind": None,
        "reason": "7 steps hold" if verdict == "pass" else "fallback: callers get nothing", "seconds": 4.0,
        "nodeid": f"chaos/test_stripe.py::test_{name}", "objectives": AIMS, "steps": steps,
        "symptoms": [{"what": "callers", "samples": 10, "bad": 1, "points": points}], "ledger": {"charge": COUNTS},
        "cells": [{**where, "matched": 2, "acted": 2}], "started": 1.0, "fault": [0.6, 3.1],
        "hosts": ["api.stripe.com", "smtp"], **more,
    }  # fmt: skip


def drill(*experiments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A drill of these."""
    count = {v: sum(e["verdict"] == v for e in experiments) for v in ("fail", "inconclusive", "pass")}
    cells = [
        {"host": "api.stripe.com", "fault": "refuse", "outcome": "pass", "experiments": []},
        {"host": "api.stripe.com", "fault": "stripe.any.unavailable", "outcome": "fail", "experiments": []},
        {"host": "api.stripe.com", "fault": "stripe.any.limited", "outcome": "pass", "experiments": []},
    ]
    kinds = sorted({c["fault"] for c in cells})
    matrix = {"hosts": ["api.stripe.com", "smtp"], "faults": kinds, "cells": cells}
    return {
        "target": "sandbox", "started": "2026-11-26T15:00:00+00:00", "seconds": 60.0, "verdicts": count,
        "experiments": list(experiments), "unarmed": [],
        "matrix": {**matrix, "classes": {"api.stripe.com": 3, "smtp": 0}},
        **more,
    }  # fmt: skip


def line(started: str, target: str = "sandbox", **verdicts: str) -> dict[str, Any]:
    """A line of `drills.jsonl`."""
    count = {v: sum(x == v for x in verdicts.values()) for v in ("fail", "inconclusive", "pass")}
    return {
        "target": target, "started": started, "seconds": 50.0, "verdicts": count,
        "experiments": {name: {"verdict": verdict} for name, verdict in verdicts.items()},
    }  # fmt: skip
