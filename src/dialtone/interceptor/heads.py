"""HTTP/1.1 heads: read twice, by llhttp for their grammar and here for their framing.

A proxy and the server behind it must agree on where a message ends. What two readers could understand differently is
refused: both Content-Length and Transfer-Encoding, several lengths (here); folded lines, bare CR or LF, blanks before
a colon (llhttp, in its strict mode); and whatever the two of us end at different bytes (RFC 9112, sections 2.2, 5.2
and 6.3).
"""

from __future__ import annotations

import re

END = b"\r\n\r\n"
MAX_HEAD = 64 * 1024
"""Bytes of a head, the first line included; more is answered with 431."""
SHORT = 16 * 1024
"""Bytes of a whole message that goes the short way (`lane`)."""

NO_BODY, CHUNKED, UNTIL_CLOSE = 0, -1, -2
"""Framings besides a length in bytes."""

_DIGITS = re.compile(rb"\d{1,18}")


class BadMessageError(ValueError):
    """A message that is refused. `status` is what a client is told; the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Head:
    """One head as it came, with the blank line at its end. Header names are asked for in lower case."""

    __slots__ = ("lower", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.lower = raw.lower()

    def get(self, name: bytes) -> bytes | None:
        """The first value of a header, without the blanks around it; None when there is none."""
        at = self.lower.find(b"\r\n" + name + b":")
        if at < 0:
            return None
        begin = at + len(name) + 3
        return self.raw[begin : self.raw.find(b"\r\n", begin)].strip(b" \t")

    def length(self) -> int | None:
        """Content-Length in bytes, CHUNKED, or None when neither is said. Raises BadMessageError when in doubt."""
        lower = self.lower
        sized = lower.find(b"\r\ncontent-length:")
        coded = lower.find(b"\r\ntransfer-encoding:")
        if coded < 0 and sized < 0:
            return None
        if coded >= 0:
            if sized >= 0:
                raise BadMessageError(400, "both Content-Length and Transfer-Encoding")
            if lower.find(b"\r\ntransfer-encoding:", coded + 2) >= 0:
                raise BadMessageError(400, "more than one Transfer-Encoding")
            coding = lower[coded + 20 : lower.find(b"\r\n", coded + 20)].strip(b" \t")
            if coding != b"chunked":
                raise BadMessageError(501, "a Transfer-Encoding other than chunked")
            return CHUNKED
        if lower.find(b"\r\ncontent-length:", sized + 2) >= 0:
            raise BadMessageError(400, "more than one Content-Length")
        value = lower[sized + 17 : lower.find(b"\r\n", sized + 17)].strip(b" \t")
        if not _DIGITS.fullmatch(value):
            raise BadMessageError(400, "a Content-Length that is no number")
        return int(value)

    def closes(self) -> bool:
        """Whether the sender closes the connection after this message (RFC 9112 section 9.3)."""
        if b"\r\nconnection:" not in self.lower:
            return self._is_1_0()
        at = self.lower.find(b"\r\nconnection:")
        value = self.lower[at + 13 : self.lower.find(b"\r\n", at + 13)]
        return b"close" in value or (self._is_1_0() and b"keep-alive" not in value)

    def _is_1_0(self) -> bool:
        raise NotImplementedError


class RequestHead(Head):
    """The head of a request: method, target as sent, and what follows from them."""

    __slots__ = ("method", "old", "path", "target")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.lower = raw.lower()
        try:
            self.method, target, version = raw[: raw.find(b"\r\n")].split(b" ")
        except ValueError:
            raise BadMessageError(400, "a request line that has not three parts") from None
        self.old = version != b"HTTP/1.1"
        if self.old and version != b"HTTP/1.0":
            raise BadMessageError(505, "a version other than HTTP/1.1 and HTTP/1.0")
        self.target = path = target
        if path[:1] != b"/":
            mark, rest = path.partition(b"://")[1:]
            if mark:
                path = b"/" + rest.partition(b"/")[2]
        self.path = path.partition(b"?")[0] if b"?" in path else path

    def _is_1_0(self) -> bool:
        return self.old

    def framing(self) -> int:
        """How the body is framed; never UNTIL_CLOSE. Raises BadMessageError."""
        if b"\r\ncontent-length:" not in self.lower and b"\r\ntransfer-encoding:" not in self.lower:
            return NO_BODY
        length = self.length()
        if length == CHUNKED and self._is_1_0():
            raise BadMessageError(400, "Transfer-Encoding in HTTP/1.0")
        return length or NO_BODY

    def authority(self) -> bytes:
        """Whom the request names: the target's authority if it has one, else Host; lower case, empty if neither."""
        target = self.target
        if target[:1] != b"/":
            _, mark, rest = target.partition(b"://")
            if mark:
                return rest.partition(b"/")[0].partition(b"?")[0].rpartition(b"@")[2].lower()
            if self.method == b"CONNECT":
                return target.lower()
        at = self.lower.find(b"\r\nhost:")
        if at < 0:
            return b""
        if self.lower.find(b"\r\nhost:", at + 2) >= 0:
            raise BadMessageError(400, "more than one Host")
        return self.lower[at + 7 : self.lower.find(b"\r\n", at + 7)].strip(b" \t")


class ResponseHead(Head):
    """The head of an answer."""

    __slots__ = ("status",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.lower = raw.lower()
        code = raw[9:12]
        if raw[:7] != b"HTTP/1." or len(code) != 3 or not code.isdigit():
            raise BadMessageError(502, "a status line that is none")
        self.status = int(code)

    def _is_1_0(self) -> bool:
        return self.raw[:8] == b"HTTP/1.0"

    def framing(self, method: bytes) -> int:
        """How the body is framed, given the method that was asked with (RFC 9112 section 6.3)."""
        status = self.status
        if method == b"HEAD" or status == 204 or status == 304 or status < 200:
            return NO_BODY
        length = self.length()
        return UNTIL_CLOSE if length is None else length


def hostname(authority: bytes) -> str:
    """The name in `host[:port]`, without brackets and trailing dot."""
    if authority[:1] == b"[":
        return authority[1 : authority.find(b"]")].decode("latin-1")
    return authority.partition(b":")[0].rstrip(b".").decode("latin-1")
