"""A first experiment, where there is evidence for one: a page or the health route was seen to call a provider."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dialtone.interceptor.client import Controller
from dialtone.sandbox.interception import HOSTS
from dialtone.start.look import Asks, Seen
from dialtone.start.sdks import Sdk

_TEXT = '''"""The first experiment: what a visitor gets while {provider} cannot be reached."""

import pytest

from dialtone import experiment, fault

HOST = "{host}"
# Not seen to be called by a GET. Whoever puts faults there gives each a call of its own in `canaries`.
OTHERS = [
{others}
]


@pytest.fixture
def canaries(http, target):
    """What makes the application call {host}: it has to be seen before any fault."""
    return {{"{words}": lambda: http.get({path}), **dict.fromkeys(OTHERS)}}


@experiment(
    dependency="{provider}",
    runbook="external-apis",
    severity="P1",
    needs=["{needs}"],
    faults={{
        "gone": fault("refuse", host=HOST),
        "errors": fault("status", host=HOST, status=503),
    }},
)
def test_{place}_survives_{provider}(story, fault, http, target):
    """{sentence} while {provider} fails, and when it is back."""

    def served():
        return http.get({path}).status == 200

    story.steady("{words} answers", served)
    with story.fault(fault):
        story.fallback("{words} answers all the same", served)
    story.recovered("{words} answers", served)
'''
_PLACES = {
    "home": ("the first page", "The first page is served", "target.home.path", "pages.home"),
    "health": ("the health route", "The health route answers", 'target.route("health")', "routes.health"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What an experiment can be about: asking for `place` (`home`, `health`) made the application call `provider`."""

    place: str
    provider: str

    @property
    def host(self) -> str:
        """The provider's host."""
        return HOSTS[self.provider]

    @property
    def path(self) -> Path:
        """Where the experiment is written to, relative to the repository."""
        return Path(f"chaos/test_{self.provider}.py")

    def text(self) -> str:
        """The experiment: policy alone."""
        words, sentence, path, needs = _PLACES[self.place]
        others = "\n".join(f'    "{host}",' for host in HOSTS.values() if host != self.host)
        told = {"provider": self.provider, "place": self.place, "host": self.host, "others": others}
        return _TEXT.format(words=words, sentence=sentence, path=path, needs=needs, **told)


def find(controller: Controller, client: Asks, seen: Seen, used: Iterable[Sdk]) -> Trial | None:
    """Ask for page and health route once more, and see at the interceptor which provider is called for it."""
    places = {"home": seen.page[0] if seen.page else None, "health": seen.health}
    for place, path in places.items():
        if path is None:
            continue
        before = controller.state()["arrived"]
        client.send("GET", path)
        after = controller.state()["arrived"]
        for sdk in used:
            host = HOSTS[sdk.name]
            if after.get(host, 0) > before.get(host, 0):
                seen.told.append(f"GET {path}: it called {host}")
                return Trial(place, sdk.name)
    return None
