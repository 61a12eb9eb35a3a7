"""Fixtures of the HTTP client's tests: one hostile server, and a client with short patience."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.authority import Authority
from tests.hostile import Hostile

from dialtone.http import Client, Limits

SHORT = Limits(connect=0.3, read=0.25, total=0.4, max_body=200_000)
PATIENT = Limits(connect=30, read=30, total=30, max_body=200_000)
"""For failures that need no time-out: a busy machine is slow to bring them about."""


@pytest.fixture
def server() -> Iterator[Hostile]:
    """A hostile server of this test's own."""
    with Hostile() as started:
        yield started


@pytest.fixture
def client(server: Hostile) -> Iterator[Client]:
    """A client of that server with short patience."""
    with Client(server.url(""), limits=SHORT) as made:
        yield made


@pytest.fixture(scope="session")
def authority() -> Authority:
    """A throw-away authority."""
    return Authority()
