"""Enriches Allure results: label `verdict`, severity, link to the runbook, evidence where it is worse than ok.

Everything happens only when a results directory was asked for; allure-pytest is an optional dependency.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from dialtone.judging import Record
from dialtone.redact import secrets
from dialtone.verdict import Severity, Verdict

_SEVERITY = {
    Severity.P0: "blocker",
    Severity.P1: "critical",
    Severity.P2: "normal",
    Severity.P3: "minor",
}


def results_directory(config: pytest.Config) -> Path | None:
    """Where allure-pytest writes, or None when it does not."""
    folder = getattr(config.option, "allure_report_dir", None)
    return Path(folder) if folder else None


def to_allure(config: pytest.Config, check_id: str, record: Record, runbook: str) -> None:
    """Labels, link and evidence of the check that just ran."""
    if results_directory(config) is None:
        return
    import allure

    worst = record.worst()
    unarmed = record.notes.get("unarmed")
    verdict = "unarmed" if unarmed else str(worst.verdict)
    allure.dynamic.label("verdict", verdict)
    if worst.kind and not unarmed:
        allure.dynamic.label("kind", str(worst.kind))
    allure.dynamic.label("effect", str(record.meta.effect))
    allure.dynamic.severity(_SEVERITY[worst.severity or record.meta.severity])
    allure.dynamic.link(f"{runbook}#{record.meta.runbook}", name=f"runbook: {record.meta.runbook}")
    if unarmed or worst.verdict is Verdict.OK:
        return
    text = json.dumps(evidence(check_id, record), indent=1, ensure_ascii=False, default=str)
    allure.attach(secrets.scrub(text), "evidence", allure.attachment_type.JSON)


def evidence(check_id: str, record: Record) -> dict[str, Any]:
    """Everything that a person may see of what a check saw: findings, notes, the last exchanges, all masked."""
    return {
        "check": check_id,
        "findings": [
            {
                "verdict": str(f.verdict),
                "kind": f.kind and str(f.kind),
                "reason": f.reason,
                "value": f.value,
                "unit": f.unit,
                "samples": f.samples,
                **({"evidence": dict(f.evidence)} if f.evidence else {}),
            }
            for f in record.findings[-20:]
        ],
        "notes": record.notes,
        "exchanges": [exchange() for exchange in record.exchanges[-10:]],
    }


def crash_to_allure(config: pytest.Config, entry: dict[str, Any]) -> None:
    """An Allure result for a check whose worker died: nobody else writes one."""
    folder = results_directory(config)
    if folder is None:
        return
    now = int(time.time() * 1000)
    result = {
        "uuid": str(uuid.uuid4()),
        "name": f"test_{entry['id']}",
        "fullName": entry["id"],
        "status": "broken",
        "statusDetails": {"message": entry["reason"]},
        "labels": [{"name": "verdict", "value": "unknown"}, {"name": "kind", "value": "broken"}],
        "start": now,
        "stop": now,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result['uuid']}-result.json").write_text(json.dumps(result))
