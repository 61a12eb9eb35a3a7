"""Every call that leaves the receptionist through one shared HTTP client, each with a limit on its total time."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx


class OutgoingError(Exception):
    """A provider did not answer. `maybe_taken`: the request may have arrived, only the answer is missing."""

    def __init__(self, provider: str, why: str, *, maybe_taken: bool) -> None:
        super().__init__(f"{provider} did not answer: {why}")
        self.provider = provider
        self.maybe_taken = maybe_taken


class Outgoing:
    """The shared client. An answer is an answer, whatever its status; no answer is an `OutgoingError`."""

    def __init__(self, context: ssl.SSLContext, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            verify=context,
            transport=transport,
            timeout=httpx.Timeout(None, connect=2.0),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20),
        )

    async def call(
        self, provider: str, method: str, url: str, *, total: float | None, **request: Any
    ) -> httpx.Response:
        """Send one request; `total` seconds for connection, sending and the whole answer, None for no limit."""
        try:
            async with asyncio.timeout(total):
                return await self._client.request(method, url, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.LocalProtocolError) as error:
            raise OutgoingError(provider, type(error).__name__, maybe_taken=False) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise OutgoingError(provider, type(error).__name__, maybe_taken=True) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
