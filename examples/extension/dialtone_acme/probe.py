"""A probe is a fixture: how long Acme's status page says that pages wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dialtone.http import Client


@pytest.fixture
def acme_backlog(http: Client) -> Callable[[], float]:
    """Seconds that a page waits at Acme now."""

    def measure() -> float:
        answer = http.get("/acme/backlog")
        return float(answer.json()["seconds"])

    return measure
