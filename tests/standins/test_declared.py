"""A stand-in that a test declares: what it took is read, and it has to be called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.standins.conftest import SECRETS, World
from tests.standins.serving import Served, serving

from dialtone.probes.journal import Journal


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A stand-in and the journal beside it."""
    world = World(Path(tmp_path_factory.mktemp("declared")) / "defects.json")
    with serving({"retell": world.standins["retell"], "journal": world.control}, world.exchange, world.journal) as made:
        yield made


@pytest.fixture
def journal(served: Served) -> Iterator[Journal]:
    """The client of the journal."""
    spec = SimpleNamespace(url=served.url("journal"), token="journal_token")
    target: Any = SimpleNamespace(profile=SimpleNamespace(journal=spec, settle=0.1), secret=lambda name: SECRETS[name])
    opened = Journal(target)
    yield opened
    opened.close()


def call(served: Served, key: str = SECRETS["retell_api_key"]) -> None:
    """Register a call."""
    headers = {"authorization": f"Bearer {key}"}
    httpx.post(f"{served.url('retell')}/v2/register-phone-call", json={"agent_id": "agent_1"}, headers=headers)


def test_what_it_took_is_read(served: Served, journal: Journal) -> None:
    """Only what came since it was declared, taken and refused apart, bodies included."""
    call(served)
    with journal.standin("retell") as retell:
        call(served)
        call(served, key="wrong")
        assert [one["body"] for one in retell.accepted(path="*register*")] == [{"agent_id": "agent_1"}]
        assert [one["status"] for one in retell.refused()] == [401]
        assert len(retell.wait(1)) == 1
        assert retell.requests(contains="agent_2") == []


def test_one_that_nobody_called_fails_the_test(served: Served, journal: Journal) -> None:
    """With its name, unless the test has failed by itself."""
    call(served)
    with pytest.raises(AssertionError, match="nobody called the stand-in retell"), journal.standin("retell"):
        pass
    with pytest.raises(LookupError), journal.standin("retell"):
        raise LookupError


def test_the_fixture_fails_it_too(journal: Journal) -> None:
    """Without a context: when the test is over."""
    from dialtone.fixtures import standin

    fixture = standin.__wrapped__(journal)  # type: ignore[attr-defined] # pytest's mark around the function
    assert next(fixture)("retell").accepted() == []
    with pytest.raises(AssertionError, match="nobody called the stand-in retell"):
        next(fixture)
