"""A real PostgreSQL, the one of all tests."""

from tests.probes.conftest import admin

__all__ = ["admin"]
