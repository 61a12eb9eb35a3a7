"""A real PostgreSQL, the one of the probes' tests."""

from tests.probes.conftest import admin, postgres

__all__ = ["admin", "postgres"]
