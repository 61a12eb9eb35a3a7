"""Reads what the stand-ins of a non-production target took in: outgoing calls of the application, seen on arrival."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlencode

from dialtone.http import Client, Limits
from dialtone.target import Target
from dialtone.verdict import Unarmed, Undecided


class Journal:
    """The journal's HTTP interface: requests by provider, method, path (glob) and a text that they contain."""

    def __init__(self, target: Target) -> None:
        spec = target.profile.journal
        if spec is None:
            raise Unarmed("the profile has no journal")
        headers = {"authorization": f"Bearer {target.secret(spec.token)}"}
        self._client = Client(spec.url, limits=Limits(2, 5, 5, 20_000_000), headers=headers)
        self._settle = target.profile.settle
        self.start = self.last()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._client.send(method, path, **options)
        if answer.failure or answer.status >= 300:
            raise Undecided(f"the journal does not answer: {answer.failure or answer.status}")
        return answer.json() if answer.body else None

    def last(self) -> int:
        """Sequence number of the newest entry."""
        return int(self._call("GET", "/requests?limit=0")["last"])

    def requests(self, **filters: Any) -> list[dict[str, Any]]:
        """Entries since this journal was opened; `provider`, `method`, `path` (glob), `contains`, `after`."""
        query = urlencode({"after": self.start, **{k: v for k, v in filters.items() if v is not None}})
        return list(self._call("GET", f"/requests?{query}")["requests"])

    def wait(self, count: int = 1, *, within: float | None = None, **filters: Any) -> list[dict[str, Any]]:
        """Accepted entries, as soon as there are `count`, or whatever is there after `within` (settle time) seconds."""
        found: list[dict[str, Any]] = eventually(
            lambda: [r for r in self.requests(**filters) if r["accepted"]],
            lambda found: len(found) >= count,
            within=self._settle if within is None else within,
        )
        return found

    def standin(self, provider: str) -> StandIn:
        """What one stand-in takes in from now on; used as a context, it has to be called before the context ends."""
        return StandIn(self, provider, self.last())

    def fault(self, **fault: Any) -> str:
        """Switch a fault on at a stand-in (`provider`, `path`, `status`, `ttl` …); returns its id."""
        return str(self._call("POST", "/faults", json=fault)["id"])

    def faults(self) -> list[Mapping[str, Any]]:
        """Active faults with how often each matched."""
        return list(self._call("GET", "/faults")["faults"])

    def end_fault(self, fault_id: str) -> None:
        """Switch one fault off."""
        self._call("DELETE", f"/faults/{fault_id}")

    def rotate(self, old: str, new: str) -> str:
        """Have the providers take a second key of the application from now on; the rotation's id."""
        return str(self._call("POST", "/rotations", json={"old": old, "new": new})["id"])

    def retire(self, rotation: str) -> None:
        """Have the providers refuse the old key of a rotation from now on."""
        self._call("DELETE", f"/rotations/{rotation}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class StandIn:
    """What one stand-in took in since it was declared."""

    def __init__(self, journal: Journal, provider: str, after: int) -> None:
        self._journal, self.provider, self._after = journal, provider, after

    def requests(self, **filters: Any) -> list[dict[str, Any]]:
        """Everything that it was asked, refused or not; `method`, `path` (glob), `contains`."""
        return self._journal.requests(**{"provider": self.provider, "after": self._after, **filters})

    def accepted(self, **filters: Any) -> list[dict[str, Any]]:
        """What it took, with a body each."""
        return [request for request in self.requests(**filters) if request["accepted"]]

    def refused(self, **filters: Any) -> list[dict[str, Any]]:
        """What it answered with something else than 2xx."""
        return [request for request in self.requests(**filters) if not request["accepted"]]

    def wait(self, count: int = 1, *, within: float | None = None, **filters: Any) -> list[dict[str, Any]]:
        """`accepted`, as soon as there are `count`."""
        return self._journal.wait(count, within=within, **{"provider": self.provider, "after": self._after, **filters})

    def must_have_been_called(self) -> None:
        """Raises AssertionError when nobody has called it: the test shows nothing about this provider then."""
        if not self.requests(limit=1):
            raise AssertionError(f"nobody called the stand-in {self.provider} that this test declares")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """An error of the block's own says more than that nobody called."""
        if failed is None:
            self.must_have_been_called()


def eventually(
    look: Callable[[], Any],
    enough: Callable[[Any], bool],
    *,
    within: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Look until it is enough or `within` seconds are over, at growing intervals (5 to 100 ms); the last look."""
    end, pause = clock() + within, 0.005
    while True:
        found = look()
        if enough(found) or clock() >= end:
            return found
        sleep(pause)
        pause = min(0.1, pause * 1.5)
