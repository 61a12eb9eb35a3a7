"""Values that go through a command of the application's own: never shown, never taken for something else."""

from __future__ import annotations

import sys
from typing import Any, cast

import pytest

from dialtone.probes.database import Database
from dialtone.probes.sealing import through
from dialtone.probes.synthetic import Run, Tenants
from dialtone.target import Profile, Target
from dialtone.target.model import Tenant
from dialtone.verdict import Misdeclared

FLIP = "import sys; print(sys.stdin.read()[::-1])"


def test_there_and_back() -> None:
    """Blanks at an end belong to the value; the line break of a print does not."""
    command = [sys.executable, "-c", FLIP]
    sealed = through(command, " ya29.token ")
    assert sealed == " nekot.92ay "
    assert through(command, sealed) == " ya29.token "


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([sys.executable, "-c", "import sys; sys.exit(3)"], "ended with 3"),
        ([sys.executable, "-c", "pass"], "ended with 0 and no value"),
        (["/no/such/command"], "did not run: FileNotFoundError"),
    ],
)
def test_a_command_that_fails_is_a_mistake_of_the_profile(command: list[str], said: str) -> None:
    """Told without the value, which may be a secret."""
    with pytest.raises(Misdeclared, match=said) as raised:
        through(command, "s3cret")
    assert "s3cret" not in str(raised.value)


def test_sealed_fields_need_their_commands() -> None:
    """Both: what is stored has to be read again."""
    with pytest.raises(ValueError, match="seal and unseal"):
        Tenant.model_validate({"create": "x", "runs": "x", "sweep": [], "sealed": ["token"], "seal": ["a"]})


class Written:
    """A database that keeps what is written to it."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def hold(self, *_: Any) -> bool:
        """See `Database.hold`."""
        return True

    def rows(self, *_: Any) -> list[Any]:
        """See `Database.rows`."""
        return []

    def write(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """See `Database.write`."""
        self.parameters = parameters
        return [{"id": "1"}]


def test_a_tenant_is_stored_as_the_application_stores_it() -> None:
    """Sealed fields of the profile and of the check; what is empty or NULL stays so."""
    command = [sys.executable, "-c", FLIP]
    tenant = {
        "create": "INSERT",
        "runs": "SELECT",
        "sweep": [],
        "fields": {"access": "ya29", "refresh": "", "name": "shop"},
        "sealed": ["access", "refresh"],
        "seal": command,
        "unseal": command,
    }
    profile = Profile.model_validate({"kind": "sandbox", "base_url": "http://a", "tenant": tenant})
    database, target = Written(), Target("here", profile, {})
    tenants = Tenants(target, Run("dialtone"), cast("Database", database))
    tenants.create()
    told = {name: database.parameters[name] for name in ("access", "refresh", "name")}
    assert told == {"access": "92ay", "refresh": "", "name": "shop"}
    tenants.create(access=None, refresh="1//x")
    assert (database.parameters["access"], database.parameters["refresh"]) == (None, "x//1")
