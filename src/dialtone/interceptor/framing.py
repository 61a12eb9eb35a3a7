"""Where a body ends, found in bytes as they come; nothing is copied or changed."""

from __future__ import annotations

import re

from dialtone.interceptor.heads import CHUNKED, UNTIL_CLOSE, BadMessageError

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_LINE = 4096
_MAX_TRAILER = 16 * 1024


class Complete:
    """llhttp's word on where a message ends; ours has to be the same.

    What the parser calls is a method of a list: half the time of a function of ours, and a second end without `renew`
    is an error of its own.
    """

    __slots__ = ("left", "on_message_complete")

    def __init__(self) -> None:
        self.left = [True]
        """Empty when the parser has seen the end."""
        self.on_message_complete = self.left.pop

    def seen(self) -> bool:
        """Whether the end was seen; the next message may begin then."""
        if self.left:
            return False
        self.left.append(True)
        return True


class Length:
    """A body of a known length."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length

    def take(self, data: bytes, start: int) -> int:
        """The index in `data` after the last byte of the body; -1 when all of it belongs to it and more follows."""
        end = start + self.left
        if end <= len(data):
            self.left = 0
            return end
        self.left = end - len(data)
        return -1


class UntilClose:
    """A body that ends with the connection."""

    __slots__ = ()

    def take(self, data: bytes, start: int) -> int:
        """Always -1: only the end of the connection is the end."""
        return -1


class Chunks:
    """A chunked body with its trailer (RFC 9112 section 7.1). Raises BadMessageError when it is malformed."""

    __slots__ = ("_left", "_line", "_trailer")

    def __init__(self) -> None:
        self._left = 0  # bytes of the current chunk, the CRLF behind it included
        self._line = b""  # a line that has not ended yet
        self._trailer = -1  # bytes of the trailer so far; -1 before the last chunk

    def take(self, data: bytes, start: int) -> int:
        """As `Length.take`."""
        at = start
        while at < len(data):
            if self._left:
                at = self._skip(data, at)
                continue
            end = data.find(b"\n", at) + 1
            line = self._line + data[at : end or len(data)]
            if len(line) > (_MAX_LINE if self._trailer < 0 else _MAX_TRAILER):
                raise BadMessageError(400, "a line of a chunked body that is too long")
            if not end:
                self._line = line
                return -1
            self._line, at = b"", end
            if self._trailer < 0:
                self._begin(line)
            elif self._closes(line):
                return at
        return -1

    def _skip(self, data: bytes, at: int) -> int:
        """Go on in the data of a chunk; its last two bytes are CR and LF."""
        if self._left > 2:
            step = min(self._left - 2, len(data) - at)
            self._left -= step
            return at + step
        if data[at] != (13 if self._left == 2 else 10):
            raise BadMessageError(400, "a chunk that is longer than it says")
        self._left -= 1
        return at + 1

    def _begin(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise BadMessageError(400, "a chunk size that is none")
        size = int(found[1], 16)
        if size:
            self._left = size + 2
        else:
            self._trailer = 0

    def _closes(self, line: bytes) -> bool:
        if line[-2:-1] != b"\r" or line.count(b"\r") != 1:
            raise BadMessageError(400, "a CR or LF that stands alone in a trailer")
        self._trailer += len(line)
        if self._trailer > _MAX_TRAILER:
            raise BadMessageError(400, "a trailer that is too long")
        return line == b"\r\n"


Body = Length | UntilClose | Chunks


def body(framing: int) -> Body:
    """The counter for a framing as `heads` says it."""
    if framing == CHUNKED:
        return Chunks()
    return UntilClose() if framing == UNTIL_CLOSE else Length(framing)
