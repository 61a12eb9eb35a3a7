"""A first experiment: only where a provider was seen to be called, and of that one."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialtone.interceptor.client import Controller
from dialtone.sandbox.interception import HOSTS
from dialtone.start.look import Seen
from dialtone.start.sdks import sdks
from dialtone.start.trial import Trial, find


class Application:
    """Path -> hosts that it calls when it is asked for that."""

    def __init__(self, calls: dict[str, list[str]]) -> None:
        self.calls, self.arrived = calls, {"api.telnyx.com": 3}

    def send(self, _method: str, where: str, *, follow: int = 0) -> Any:
        """Asked."""
        for host in self.calls.get(where, ()):
            self.arrived[host] = self.arrived.get(host, 0) + 1

    def state(self) -> dict[str, Any]:
        """As the interceptor tells it."""
        return {"arrived": dict(self.arrived)}


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ({}, None),
        ({"/": ["hooks.slack.com"]}, None),
        ({"/": ["api.telnyx.com"], "/up": ["api.stripe.com"]}, Trial("home", "telnyx")),
        ({"/up": ["api.stripe.com"]}, Trial("health", "stripe")),
        ({"/other": ["api.stripe.com"]}, None),
    ],
)
def test_who_is_called_for_what(calls: dict[str, list[str]], found: Trial | None) -> None:
    """What arrived before the request, from elsewhere, or from a provider without an SDK here is no evidence."""
    application, seen = Application(calls), Seen(page=("/", "x"), health="/up")
    got = find(cast(Controller, application), application, seen, sdks({"stripe", "telnyx"}))
    assert got == found
    assert len(seen.told) == (found is not None)


def test_nothing_is_asked_for_that_is_not_there() -> None:
    """An application without a page."""
    application = Application({"/": ["api.stripe.com"]})
    assert find(cast(Controller, application), application, Seen(health="/up"), sdks({"stripe"})) is None


@pytest.mark.parametrize("place", ["home", "health"])
@pytest.mark.parametrize("provider", ["stripe", "retell", "telnyx"])
def test_every_host_is_told(place: str, provider: str) -> None:
    """The canaries know each host of the sandbox, so that a new one is not taken for called."""
    names = SimpleNamespace()
    for node in ast.parse(Trial(place, provider).text()).body:
        if isinstance(node, ast.Assign):
            setattr(names, ast.unparse(node.targets[0]), ast.literal_eval(node.value))
    assert sorted([names.HOST, *names.OTHERS]) == sorted(HOSTS.values())
    assert HOSTS[provider] == names.HOST
