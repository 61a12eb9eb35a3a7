"""Redis through Upstash's REST protocol, and no more of it than limits need: POST /pipeline.

Protocol: Upstash, "REST API": a list of commands, answered by a list of `{"result": …}` or `{"error": …}`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from dialtone_receptionist.connections import Headers, Upstream
from dialtone_receptionist.defects import on

Command = Sequence[str | int]

_MOST_ANSWER = 64 * 1024  # bytes: limits ask for three small numbers


class UpstashError(Exception):
    """Redis did not answer, or refused. The message holds neither keys nor the token."""


class _Answer:
    """Collects one answer (`connections.Sink`)."""

    def __init__(self) -> None:
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._body = b""

    def answer_begins(self, status: int, headers: Headers, *, has_length: bool) -> None:
        """See `Sink`."""
        self._status = status

    def answer_goes_on(self, data: bytes) -> None:
        """See `Sink`."""
        if len(self._body) < _MOST_ANSWER:
            self._body += data

    def answer_pauses(self) -> None:
        """See `Sink`."""

    def answer_ends(self) -> None:
        """See `Sink`."""
        if self.done.done():
            return
        if self._status == 200:
            self.done.set_result(self._body)
        else:
            self.done.set_exception(UpstashError(f"Redis answered {self._status}"))

    def answer_fails(self) -> None:
        """See `Sink`."""
        if not self.done.done():
            self.done.set_exception(ConnectionResetError("the connection broke"))


class Upstash:
    """A client for one database. `timeout` is the limit on a whole call in seconds. ValueError for a bad address."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext | None = None, timeout: float = 1.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("REDIS_REST_URL is not an http address")
        is_tls = parts.scheme == "https"
        self._upstream = Upstream(parts.hostname, parts.port or (443 if is_tls else 80), context if is_tls else None)
        path = parts.path.rstrip("/") + "/pipeline"
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: {parts.netloc.rpartition('@')[2]}\r\nauthorization: Bearer {token.strip()}"
            "\r\ncontent-type: application/json\r\ncontent-length: "
        ).encode()
        self._timeout = timeout

    async def pipeline(self, *commands: Command) -> list[object]:
        """The results of the commands, in order; raises `UpstashError` when one of them has none."""
        body = json.dumps(commands).encode()
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        try:
            async with asyncio.timeout(None if on("no-timeout-upstash") else self._timeout):
                answer = await self._send(request)
        except OSError as error:  # TimeoutError and ssl.SSLError are among them
            raise UpstashError(f"Redis did not answer: {type(error).__name__}") from error
        try:
            return [element["result"] for element in json.loads(answer)]
        except (ValueError, KeyError, TypeError) as error:
            raise UpstashError("Redis answered a pipeline with an error or with something else") from error

    async def _send(self, request: bytes) -> bytes:
        while True:
            kept = self._upstream.idle_connection()
            connection = kept or await self._upstream.connect()
            answer = _Answer()
            connection.send(request, answer, is_head=False)
            try:
                return await answer.done
            except ConnectionResetError:
                if kept is None:
                    raise
                # An idle connection that the server has just closed says nothing about the server. If the request was
                # taken all the same, a client was counted once too often.
            except asyncio.CancelledError:
                connection.close()  # the answer of a call that was given up must not meet the next one
                raise

    async def close(self) -> None:
        """Close the connections."""
        self._upstream.close()
