"""The prober's voice: requests to the target that identify themselves, keep to the budget, and judge an outage.

Every request says who it is (user agent), proves it (signed header, where the profile has a key), and carries a
`traceparent` (https://www.w3.org/TR/trace-context/), so that the target's own logs can tell probes from people. Where
the profile gives the prober addresses of its own, each check speaks from one that no other check shares.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets as random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from dialtone.assertions import describe
from dialtone.http import Answer, Client, Limits, shared_context
from dialtone.judging import running
from dialtone.probes.reach import BREAKS, Reach, second
from dialtone.target import Target
from dialtone.verdict import Undecided

AGENT = "dialtone/0.1 (synthetic check)"


class Budget:
    """Requests that one check may send; None is unlimited."""

    def __init__(self, granted: int | None) -> None:
        self.granted, self.spent = granted, 0

    def take(self, count: int = 1) -> None:
        """Count requests; raises Undecided when the check's share of the round is used up."""
        if self.granted is not None and self.spent + count > self.granted:
            raise Undecided(f"the round's budget allows this check {self.granted} requests", samples=self.spent)
        self.spent += count

    @property
    def left(self) -> int | None:
        """Requests that may still be sent."""
        return None if self.granted is None else self.granted - self.spent


class Caller:
    """Requests of one check to one target. `get`, `post` … judge an outage; `send` returns whatever happened."""

    def __init__(
        self, target: Target, run: str, seed: str, reach: Reach, budget: Budget, clock: Callable[[], float] = time.time
    ) -> None:
        self.target, self.budget = target, budget
        self._run, self._seed, self._reach, self._clock = run, seed, reach, clock
        self._clients: list[Client] = []
        self._turn = 0
        self.trace = random.token_hex(16)
        self._key = target.credentials.get("synthetic_key")
        profile = target.profile
        times = profile.timeouts
        self._limits = Limits(times.connect, times.read, times.total, times.max_body)
        self._context = shared_context(profile.ca_file)
        self._extra = target.headers(profile.headers)
        self.address: str | None = None
        self.source: str | None = None
        self._common: dict[str, str] = {}
        self.client = self.fresh_address()

    def fresh_address(self) -> Client:
        """Go on from another client address (a new connection at least); returns the client that does."""
        block = self.target.profile.client_address
        headers, source = {"user-agent": AGENT, **self._extra}, None
        if block:
            self.address = _pick(block.range, f"{self._run}/{self._seed}/{self._turn}")
            if block.header:
                headers[block.header] = self.address
            else:
                source = self.address
        self.source, self._common = source, headers
        self._turn += 1
        client = Client(
            self.target.profile.base_url,
            limits=self._limits,
            headers=headers,
            verify=self._context,
            local_address=source,
        )
        self._clients.append(client)
        self.client = client
        return client

    def send(self, method: str, where: str, *, count: bool = True, **options: Any) -> Answer:
        """Send one request and return what happened, failures included; never raises for what the target does."""
        url = self.target.url(where)
        self._reach.dead(_origin(url))
        if count and not (self.target.profile.client_address and self.target.profile.budget):
            self.budget.take()
        headers = {**self._marks(method, url), **(options.pop("headers", None) or {})}
        answer = self.client.send(method, url, headers=headers, **options)
        exchanges = running().exchanges
        if len(exchanges) < 50:
            exchanges.append(lambda: {"request": f"{method} {answer.path}", "trace": self.trace, **describe(answer)})
        return answer

    def request(self, method: str, where: str, **options: Any) -> Answer:
        """Send one request; an unreachable target is judged at once (critical, offline or refused)."""
        running().second = None
        return self.judge(self.send(method, where, **options))

    def get(self, where: str, **options: Any) -> Answer:
        """GET a path of the target or a whole URL."""
        return self.request("GET", where, **options)

    def post(self, where: str, **options: Any) -> Answer:
        """POST to a path of the target or a whole URL."""
        return self.request("POST", where, **options)

    def put(self, where: str, **options: Any) -> Answer:
        """PUT to a path of the target."""
        return self.request("PUT", where, **options)

    def patch(self, where: str, **options: Any) -> Answer:
        """PATCH a path of the target."""
        return self.request("PATCH", where, **options)

    def delete(self, where: str, **options: Any) -> Answer:
        """DELETE a path of the target."""
        return self.request("DELETE", where, **options)

    def agree_on_time(self) -> None:
        """Raise Undecided when our clock is off by more than the profile's `clock_skew`."""
        self._reach.agree_on_time(self.target.profile.clock_skew)

    def judge(self, answer: Answer) -> Answer:
        """Judge an outage seen in an answer of `send`; returns the answer otherwise.

        A read that failed on the way is tried once more, over a new connection, within the budget: the first answer
        counts, the second tells a broken target from a broken path, and the history holds both as samples.
        """
        again = self._again(answer)
        self._reach.judge(answer, again)
        return answer

    def _again(self, answer: Answer) -> Answer | None:
        left = self.budget.left
        breaks = answer.failure is not None and answer.failure.kind in BREAKS and answer.method in ("GET", "HEAD")
        if not breaks or left == 0 or self._reach.known_dead(answer.origin):
            return None
        again = self.send(answer.method, answer.url[:], fresh=True)
        running().second = second(again), 1 + (again.failure is not None)
        return again

    def headers(self, method: str, url: str) -> dict[str, str]:
        """What every request of this caller carries; what is the target's alone goes to no other host."""
        own = same_origin(url, self.target.profile.base_url)
        return {**(self._common if own else {"user-agent": AGENT}), **self._marks(method, url)}

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients:
            client.close()

    def _marks(self, method: str, url: str) -> Mapping[str, str]:
        marks = {"traceparent": f"00-{self.trace}-{random.token_hex(8)}-01"}
        if self._key:
            at = int(self._clock())
            said = f"{at}.{self._run}.{method} {urlsplit(url).path}"
            digest = hmac.new(self._key.encode(), said.encode(), hashlib.sha256).hexdigest()
            marks["x-dialtone-synthetic"] = f"t={at},run={self._run},v1={digest}"
        return marks


def same_origin(url: str, other: str) -> bool:
    """Whether two URLs name one scheme, host and port."""
    return _origin(url).lower() == _origin(other).lower()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _pick(block: str, seed: str) -> str:
    """An address of the block, chosen by the seed; network and broadcast address are left out."""
    network = ipaddress.ip_network(block)
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    return str(network[1 + number % max(1, network.num_addresses - 2)])
