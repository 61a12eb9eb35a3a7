"""Decompresses a body within a limit: what a few kilobytes unpack to is the peer's choice, what we hold is ours.

Only gzip and deflate are offered (`OFFERED`): zlib is in the standard library and can stop after so many bytes.
"""

from __future__ import annotations

import re
import zlib

from dialtone.http.answer import FailureKind
from dialtone.http.exchange import Interrupted

OFFERED = "gzip, deflate"

_GZIP, _ZLIB, _RAW = 31, 15, -15  # wbits of zlib.decompressobj
_GZIP_MAGIC = b"\x1f\x8b"
_NAME = re.compile(r"[\w+-]{1,20}")


class Body:
    """Collects the chunks of one answer, decompressed, at most `limit` bytes (of either form)."""

    def __init__(self, encodings: list[str], limit: int) -> None:
        named = [e.strip().lower() for value in encodings for e in value.split(",")]
        self._encodings = [e for e in named if e not in ("", "identity")]
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._raw = 0
        self._inflater: zlib._Decompress | None = None
        self._held = b""  # what a deflate stream began with, until it has shown of which kind it is

    def feed(self, chunk: bytes) -> None:
        """Take a chunk as it came. Raises Interrupted: too large, damaged, or an encoding that was not offered."""
        self._raw += len(chunk)
        if self._encodings:
            self._inflate(chunk)
        else:
            self._keep(chunk)
        if self._raw > self._limit:
            raise self._too_large()

    def finish(self) -> None:
        """The body is over. Raises Interrupted when the compressed stream is not."""
        if self._inflater is not None and not self._inflater.eof:
            raise Interrupted(FailureKind.BAD_ENCODING, f"the {self._encodings[0]} body ends too early")

    @property
    def received(self) -> int:
        """Bytes of the body as they came."""
        return self._raw

    def content(self) -> bytes:
        """What is there, at most `limit` bytes."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _keep(self, data: bytes) -> None:
        room = self._limit - self._size
        self._size += len(data)
        self._parts.append(data[:room])
        if self._size > self._limit:
            raise self._too_large()

    def _too_large(self) -> Interrupted:
        return Interrupted(FailureKind.TOO_LARGE, f"the body is larger than {self._limit:,} bytes")

    def _inflate(self, chunk: bytes) -> None:
        if len(self._encodings) > 1 or self._encodings[0] not in ("gzip", "x-gzip", "deflate"):
            name = "+".join(self._encodings)
            shown = name if _NAME.fullmatch(name) else "unknown"
            raise Interrupted(FailureKind.BAD_ENCODING, f"the body has an encoding that was not offered: {shown}")
        while chunk:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(_ZLIB if self._encodings[0] == "deflate" else _GZIP)
            elif self._inflater.eof:
                if not chunk.startswith(_GZIP_MAGIC):
                    return  # padding after the last member, which gzip ignores as well
                self._inflater = zlib.decompressobj(_GZIP)  # RFC 1952 section 2.2: members may follow one another
            self._keep(self._decompress(chunk))
            chunk = self._inflater.unused_data if self._inflater.eof else b""

    def _decompress(self, chunk: bytes) -> bytes:
        assert self._inflater is not None
        room = self._limit - self._size + 1  # one more than allowed shows that there is more
        try:
            data = self._inflater.decompress(chunk, room)
        except zlib.error:
            if self._encodings[0] != "deflate" or self._size:
                raise self._damaged() from None
            # "deflate" is to be a zlib stream (RFC 9110 section 8.4.1.2), but some send a bare one.
            self._inflater = zlib.decompressobj(_RAW)
            try:
                data = self._inflater.decompress(self._held + chunk, room)
            except zlib.error:
                raise self._damaged() from None
        self._held = self._held + chunk if not self._size and len(self._held) < 64 else b""
        return data

    def _damaged(self) -> Interrupted:
        where = f"within its first {self._raw:,} bytes"
        return Interrupted(FailureKind.BAD_ENCODING, f"the {self._encodings[0]} body is damaged {where}")
