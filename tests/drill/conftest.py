"""A story on a real interceptor, with a customer who speaks to it, and inboxes that a test fills."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interceptor.conftest import Proxy, ask

from dialtone.drill.story import Story
from dialtone.interceptor.client import Controller
from dialtone.interceptor.tls import Authority
from dialtone.judging import Aims, Meta, Record, current


class Inboxes:
    """What arrived at stand-ins."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def tell(self, provider: str, text: str, at: float | None = None, *, accepted: bool = True) -> None:
        """A message arrives."""
        now = time.time() if at is None else at
        self.entries.append({"provider": provider, "at": now, "accepted": accepted, "body": {"text": text}})

    def requests(self, **filters: Any) -> list[dict[str, Any]]:
        """As the journal of the stand-ins."""
        return [e for e in self.entries if e["provider"] == filters["provider"]]


class Customer:
    """Asks `api.test` through the interceptor."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def served(self) -> bool:
        """Whether the answer is 200."""
        try:
            with self._proxy.connect(timeout=20) as sock:
                return ask(sock).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


@pytest.fixture(scope="module")
def _own_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    made = Proxy(tmp_path_factory.mktemp("interceptor"), Authority())
    yield made
    made.stop()


@pytest.fixture
def proxy(_own_proxy: Proxy) -> Proxy:
    """An interceptor without faults."""
    _own_proxy.reset()
    return _own_proxy


@pytest.fixture
def controller(proxy: Proxy) -> Iterator[Controller]:
    """Its controller."""
    with Controller(proxy.interceptor.control_url, "token-of-the-tests") as made:
        yield made


@pytest.fixture
def customer(proxy: Proxy) -> Customer:
    """Somebody who calls `api.test`."""
    return Customer(proxy)


@pytest.fixture
def inboxes() -> Inboxes:
    """Receiving ends, empty."""
    return Inboxes()


@pytest.fixture
def record() -> Iterator[Record]:
    """The record of an experiment that is running."""
    made = Record(Meta("x", experiment=True, dependency="api", aims=Aims(30, 30, 0)))
    token = current.set(made)
    yield made
    current.reset(token)


@pytest.fixture
def story(record: Record, controller: Controller, inboxes: Inboxes) -> Story:
    """A story that is patient for no longer than a test."""
    return Story(inboxes, controller, settle=0.0, quiet=0.0)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build folder."""
    return tmp_path
