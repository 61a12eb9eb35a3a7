"""Every call that leaves the receptionist through one shared HTTP client.

Each has a limit on its total time. What can be repeated without harm is, a little later and never at the same moment as
everybody else (full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015); a provider that
keeps failing is left alone for a while.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from typing import Any, Literal

import httpx

from dialtone_receptionist.breakers import Breaker, Breakers
from dialtone_receptionist.defects import on

_TRIES = 3
_FIRST_WAIT = 0.15  # seconds at most before the second try; twice that before the third
_PASSING = (429, 500, 502, 503, 504)

Repeat = Literal["never", "unsent", "always"]
"""Which failures are tried again within a call: none; those that surely did not arrive; all that may pass."""


class OutgoingError(Exception):
    """A provider did not answer. `maybe_taken`: the request may have arrived, only the answer is missing.

    `is_ours`: it could not even be asked, so that this says nothing about the provider.
    """

    def __init__(self, provider: str, why: str, *, maybe_taken: bool, is_ours: bool = False) -> None:
        super().__init__(f"{provider} did not answer: {why}")
        self.provider = provider
        self.maybe_taken = maybe_taken
        self.is_ours = is_ours


class Budget:
    """Seconds that are left for all calls of one piece of work; `Budget(None)` never ends."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds that are left, at least 0, or None."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


def retry_after(answer: httpx.Response) -> float:
    """The seconds that a Retry-After asks for, 0 without one; a date in it counts as a second (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.isdecimal() else 1.0 if text else 0.0


class Outgoing:
    """The shared client. An answer is an answer, whatever its status; no answer is an `OutgoingError`."""

    def __init__(
        self,
        context: ssl.SSLContext,
        transport: httpx.AsyncBaseTransport | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self._client = httpx.AsyncClient(
            verify=context,
            transport=transport,
            timeout=httpx.Timeout(None, connect=2.0),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20),
        )
        self.breakers = breakers or Breakers()
        self._known: dict[str, Breaker] = {}

    def breaker(self, provider: str) -> Breaker:
        """The provider's breaker."""
        found = self._known.get(provider)
        if found is None:
            found = self._known[provider] = self.breakers.make(provider)
        return found

    async def call(
        self, provider: str, method: str, url: str, *, total: float | None, repeat: Repeat = "never", **request: Any
    ) -> httpx.Response:
        """Send a request; `total` seconds for all tries, connections and whole answers, None for no limit."""
        breaker, budget = self.breaker(provider), Budget(total)
        if not breaker.admits():
            raise OutgoingError(provider, "it is not asked for a while after many failures", maybe_taken=False)
        try:
            answer = await self._tries(provider, method, url, budget, repeat, **request)
        except OutgoingError as error:
            breaker.gave_up() if error.is_ours else breaker.failed(str(error))
            raise
        except BaseException:
            breaker.gave_up()
            raise
        if answer.status_code >= 500:
            breaker.failed(f"{provider} answered {answer.status_code}")
        else:
            breaker.succeeded()
        return answer

    async def _tries(
        self, provider: str, method: str, url: str, budget: Budget, repeat: Repeat, **request: Any
    ) -> httpx.Response:
        number = 0
        while True:
            number += 1
            try:
                answer = await self._once(provider, method, url, budget.left(), **request)
            except OutgoingError as error:
                wait = self._wait(number, repeat, budget, is_unsent=not error.maybe_taken)
                if wait is None:
                    raise
            else:
                passes = answer.status_code in _PASSING and repeat == "always"
                asked = 0.0 if on("retry-after-ignored") else retry_after(answer)
                wait = self._wait(number, repeat, budget, asked=asked) if passes else None
                if wait is None:
                    return answer
            await asyncio.sleep(wait)

    @staticmethod
    def _wait(
        number: int, repeat: Repeat, budget: Budget, *, is_unsent: bool = False, asked: float = 0.0
    ) -> float | None:
        """Seconds until the next try; None when there is none."""
        if repeat == "never" or (repeat == "unsent" and not is_unsent):
            return None
        if on("retry-storm"):
            return 0.0 if number < 40 else None
        wait = asked + random.uniform(0, _FIRST_WAIT * 2 ** (number - 1))  # noqa: S311  # no secret
        left = budget.left()
        return wait if number < _TRIES and (left is None or wait < left / 2) else None

    async def _once(self, provider: str, method: str, url: str, total: float | None, **request: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(total):
                return await self._client.request(method, url, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise OutgoingError(provider, type(error).__name__, maybe_taken=False) from error
        except httpx.LocalProtocolError as error:
            raise OutgoingError(provider, type(error).__name__, maybe_taken=False, is_ours=True) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise OutgoingError(provider, type(error).__name__, maybe_taken=True) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
