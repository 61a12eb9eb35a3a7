"""A prober that is offline: no check of the suite takes that for a verdict on the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.docs.conftest import Outcome
from tests.hostile import closed_port


def test_every_check_says_offline(run_checks: Callable[..., Outcome]) -> None:
    """Nothing answers, and no witness does: the certificate is as unknown as the pages are."""
    dead = f"127.0.0.1:{closed_port()}"
    mine: dict[str, Any] = {
        "kind": "preview",
        "base_url": f"https://{dead}",
        "witnesses": [f"https://{dead}", f"https://{dead}/other"],
        "pages": {"home": {"path": "/", "contains": "x"}},
        "routes": {"health": "/health"},
        "objectives": {"certificate_days": {"alert": 14, "unit": "days", "direction": "above"}},
    }
    outcome = run_checks({"target": {"mine": mine}}, {})
    assert outcome.are("offline", "unarmed") == set(outcome.checks), outcome.told("undecided", "critical", "breach")
    assert {"certificate_chain_is_valid", "certificate_has_time_left", "health_answers_ok"} <= outcome.are("offline")
    assert outcome.exit_code == 11
