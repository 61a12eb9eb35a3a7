"""Sends a request to an upstream once more, over a connection of its own: for duplicates and late deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from dialtone.interceptor.edit import renamed
from dialtone.interceptor.framing import body
from dialtone.interceptor.heads import END, MAX_HEAD, BadMessageError, RequestHead, ResponseHead

if TYPE_CHECKING:
    from dialtone.interceptor.core import Core
    from dialtone.interceptor.settings import Host

_TIMEOUT = 30.0


async def once_more(core: Core, target: Host, head: RequestHead, raw: bytes) -> AsyncIterator[bytes]:
    """Pieces of the answer to the same request: the head first. Raises OSError or TimeoutError when there is none.

    `raw` is the whole body without chunks; a chunked request is sent with its length instead.
    """
    origin, sized = target.upstream, _sized(head, raw)
    if target.renamed:
        sized = renamed(sized, origin.authority())
    async with asyncio.timeout(_TIMEOUT):
        reader, writer = await asyncio.open_connection(
            origin.address, origin.port, limit=2 * MAX_HEAD,
            ssl=core.upstream_context() if origin.tls else None, server_hostname=origin.name if origin.tls else None,
        )  # fmt: skip
        try:
            writer.write(sized + raw)
            try:
                first = await reader.readuntil(END)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise ConnectionResetError("the upstream did not answer") from error
            answer = ResponseHead(first)
            yield first
            counter = body(answer.framing(head.method))
            done = counter.take(b"", 0) >= 0
            while not done and (piece := await reader.read(65536)):
                end = counter.take(piece, 0)
                done = end >= 0
                yield piece[:end] if done else piece
        except BadMessageError as error:
            raise ConnectionResetError(f"the upstream answered with {error}") from error
        finally:
            writer.close()


def _sized(head: RequestHead, raw: bytes) -> bytes:
    """The head with Content-Length instead of Transfer-Encoding, and without Expect."""
    first, *lines = head.raw[:-4].split(b"\r\n")
    kept = [ln for ln in lines if not ln.lower().startswith((b"transfer-encoding:", b"expect:", b"content-length:"))]
    if raw or head.length() is not None:
        kept.append(b"content-length: %d" % len(raw))
    return b"\r\n".join([first, *kept, b"", b""])
