"""What came of one request: an `Answer`, which holds a `Failure` where the network or the peer did not do its part.

An answer is made of somebody else's bytes, which may be a customer's. So nothing here shows them: not `repr`, not a
failure's reason, not the message of `BadBody`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}")
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:+-]{1,40})", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.IGNORECASE)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Codecs of Python that no web page is written in; some take quadratic time.
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape"})


class FailureKind(StrEnum):
    """How a request failed for a reason other than the status of its answer."""

    DNS = "dns"  # the name does not resolve
    REFUSED = "refused"  # nobody listens there, or there is no way to the network
    CONNECT_TIMEOUT = "connect-timeout"
    TLS = "tls"  # the handshake failed or did not finish
    RESET = "reset"  # the connection was cut before the answer was whole
    TIMEOUT = "timeout"  # nothing more came
    NEVER_ENDS = "never-ends"  # something came all the time, until the time was over
    TOO_LARGE = "too-large"
    BAD_ENCODING = "bad-encoding"  # the body's compression is damaged or was not asked for
    PROTOCOL = "protocol"  # not HTTP
    REDIRECT_LOOP = "redirect-loop"
    NO_ADDRESS_FAMILY = "no-address-family"  # the prober lacks the peer's kind of address, or its own source address


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no whole answer. `reason` is a sentence for people; it quotes nothing that the peer sent."""

    kind: FailureKind
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Phases:
    """Where the time went, in seconds. None where a phase did not happen, as on a connection that was there already.

    `dns` and `connect` and `tls` make the connection; `first_byte` is from the request having been written to the
    first byte of the answer; `total` is everything, reading the body included.
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None


class BadBody(ValueError):
    """The body is not what it says it is. The message holds its type and size, never its content."""


class Url(str):
    """A URL that can be used as the text it is, but whose `str()`, `repr()` and format mask query and password."""

    __slots__ = ()

    def __str__(self) -> str:
        plain = self[:]
        before, question, _ = plain.partition("?")
        scheme, slashes, rest = before.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}{'?…' if question else ''}"

    def __repr__(self) -> str:
        return repr(str(self))


class Headers(Sequence[tuple[str, str]]):
    """Headers in the order of their arrival. `repr` shows names only."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._raw = raw

    def all(self, name: str) -> list[str]:
        """Every value of a header, by its name in any case."""
        wanted = name.lower().encode()
        return [v.decode("latin-1") for k, v in self._raw if k.lower() == wanted]

    def __getitem__(self, index: Any) -> Any:
        return [(k.decode("latin-1"), v.decode("latin-1")) for k, v in self._raw][index]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self[:])

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"Headers({', '.join(sorted({k.lower() for k, _ in self}))})"


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """The answer to one request, or what is there of it. `status` is 0 if there was none.

    `body` is decompressed and never longer than the limit. `hops` counts the redirects that were followed;
    `redirected_off_host` says that the answer leads to another host (or back to plain HTTP) and was not followed.
    """

    method: str
    url: Url
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    phases: Phases = Phases()
    reused: bool = False
    failure: Failure | None = None
    hops: int = 0
    redirected_off_host: bool = False

    @property
    def ok(self) -> bool:
        """Whether the answer is whole and its status 2xx."""
        return self.failure is None and 200 <= self.status < 300

    @property
    def path(self) -> str:
        """The URL's path without its query."""
        return urlsplit(self.url[:]).path or "/"

    @property
    def origin(self) -> str:
        """The URL's scheme, host and port."""
        parts = urlsplit(self.url[:])
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case."""
        values = self.headers.all(name)
        return values[0] if values else None

    def headers_all(self, name: str) -> list[str]:
        """Every value of a header, by its name in any case."""
        return self.headers.all(name)

    def cookies(self) -> dict[str, str]:
        """The cookies that the answer sets, by name (RFC 6265 section 5.2: what stands before the first `;`)."""
        pairs = (line.partition(";")[0].partition("=") for line in self.headers.all("set-cookie"))
        return {name.strip(): value.strip() for name, equals, value in pairs if equals}

    @property
    def is_html(self) -> bool:
        """Whether the answer says that it is a web page."""
        return (self.header("content-type") or "").lower().startswith(("text/html", "application/xhtml"))

    def text(self) -> str:
        """The body as text, by its byte order mark, else its declared charset, else UTF-8. Raises BadBody.

        A web page may declare it within its first 1,024 bytes (https://html.spec.whatwg.org/#charset), and is read as
        browsers do: a byte that is none of its charset is shown as U+FFFD, a charset that is none counts as UTF-8.
        """
        declared = _CHARSET.search(self.header("content-type") or "")
        if not declared and self.is_html and (meta := _META.search(self.body[:1024])):
            declared = _CHARSET.search(f"charset={meta[1].decode()}")
        charset = next((c for mark, c in _BOMS if self.body.startswith(mark)), None)
        if charset is None:
            charset = declared[1] if declared else "utf-8"
        elif charset == "utf-8":
            charset = "utf-8-sig"  # the same without its mark
        errors = "replace" if self.is_html else "strict"
        try:
            known = codecs.lookup(charset).name not in _NO_CHARSETS
            return self.body.decode(charset if known else "none", errors)
        except LookupError:
            if self.is_html:
                return self.body.decode(errors=errors)
            raise BadBody(f"its charset {charset!r} is none: {self._outline()}") from None
        except UnicodeError as wrong:
            at = f", wrong at byte {wrong.start:,}" if isinstance(wrong, UnicodeDecodeError) else ""
            raise BadBody(f"not {charset}{' as it says' if declared else ''}: {self._outline()}{at}") from None

    def json(self) -> Any:
        """The body as JSON. Raises BadBody."""
        if self.failure:
            raise BadBody(f"no whole answer: {self.failure.reason}")
        try:
            return json.loads(self.text())
        except BadBody:
            raise
        except (ValueError, RecursionError):
            raise BadBody(f"not JSON: {self._outline()}") from None

    def _outline(self) -> str:
        found = _MEDIA_TYPE.match(self.header("content-type") or "")
        return f"{found[0] if found else 'no content type'}, {len(self.body):,} bytes"

    def __repr__(self) -> str:
        what = f"failure={str(self.failure.kind)!r}" if self.failure else f"status={self.status}"
        return f"<Answer {self.method} {self.url} {what}, {len(self.body):,} bytes>"
