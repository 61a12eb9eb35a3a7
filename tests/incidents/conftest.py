"""A configuration, a store on both databases, and signs as rounds bring them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from dialtone.history import Store
from dialtone.incidents.desk import Desk
from dialtone.incidents.lifecycle import Rules, Sign
from dialtone.incidents.routing import Router
from dialtone.target.alerting import Alerting
from dialtone.verdict import Severity, Verdict

NOON = 1_780_315_200.0
"""2026-06-01, noon UTC, a Monday."""

CONFIGURED: dict[str, Any] = {
    "channels": {
        "slack": {"kind": "slack", "secret": "SLACK_TOKEN", "to": ["C0001"]},
        "mail": {"kind": "smtp", "url": "smtp://127.0.0.1:2525", "sender": "dialtone@example.com"},
        "pager": {"kind": "pagerduty", "secret": "PAGER_KEY"},
    },
    "people": {
        "ada": {"email": "ada@example.com", "slack": "U0ADA"},
        "bo": {"email": "bo@example.com"},
        "founders": {"email": "founders@example.com"},
    },
    "on_call": {
        "primary": "ada",
        "secondary": "bo",
        "escalation": "founders",
        "quiet": "22:00-07:00",
        "timezone": "Europe/Berlin",
    },
    "routes": {
        "urgent": {"severities": ["P0"], "channels": ["slack", "mail", "pager"], "fallback": ["mail"]},
        "rest": {"channels": ["slack", "mail"], "fallback": ["mail"]},
    },
}


def alerting(**more: Any) -> Alerting:
    """The configuration of most tests, with other tables."""
    return Alerting.model_validate({**CONFIGURED, **more})


def sign(check: str = "health", verdict: str = "critical", at: float = NOON, **more: Any) -> Sign:
    """What a round says of a check."""
    more.setdefault("severity", Severity.P0)
    more.setdefault("reason", f"{check} is {verdict}")
    return Sign(check, at, Verdict(verdict), **more)


@pytest.fixture
def engine(tmp_path: Any) -> Iterator[Any]:
    """An empty history of SQLite."""
    store = Store.open(tmp_path / "history.db")
    yield store.engine
    store.close()


class Rounds:
    """A desk that is handed one round after the other, a minute apart."""

    def __init__(self, desk: Desk, every: float = 60.0) -> None:
        self.desk, self.every, self.now = desk, every, NOON
        self._numbers = itertools.count()

    def play(self, **verdicts: str) -> list[str]:
        """One round: check=verdict; what was told."""
        return self.of([sign(check, verdict) for check, verdict in verdicts.items()])

    def of(self, signs: list[Sign]) -> list[str]:
        """One round with these signs, whose time it sets."""
        from dataclasses import replace

        signs = [replace(one, at=self.now) for one in signs]
        told = self.desk.absorb(f"round {next(self._numbers)}", "production", signs, self.now)
        told += self.desk.tick(self.now)
        self.now += self.every
        return [str(step.told) for step in told]

    def wait(self, seconds: float) -> list[str]:
        """Time passes, with a tick a minute."""
        told = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 60)
            told += [str(step.told) for step in self.desk.tick(self.now)]
        return told


@pytest.fixture
def rounds(engine: Any) -> Rounds:
    """Rounds on a desk with the configuration above; two bad rounds confirm."""
    return Rounds(Desk(engine, Router(alerting(), ["production"]), rules=Rules()))
