"""Connections to the tests' PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from dialtone.probes.database import Database


@pytest.fixture
def admin(postgres: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The superuser's own connection."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield connection


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    """A prober's connection with short patience."""
    made = Database(postgres, connect_timeout=3, statement_timeout=0.3)
    yield made
    made.close()


@pytest.fixture
def table(admin: psycopg.Connection[tuple[object, ...]], request: pytest.FixtureRequest) -> Iterator[str]:
    """A table of this test's own: a unique phone number and a note."""
    name = f"customers_{os.getpid()}_{abs(hash(request.node.nodeid)) % 10**8}"
    admin.execute(f"CREATE TABLE {name} (phone text UNIQUE NOT NULL, note text)".encode())
    yield name
    admin.execute(f"DROP TABLE {name}".encode())
