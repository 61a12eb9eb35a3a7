"""The prober's HTTP client: synchronous, bounded in every direction, and silent about what it was told.

It is the only module that imports httpx and httpcore. httpx makes the requests; a network backend of our own below it
measures the phases of a connection (there is no DNS phase otherwise) and holds every read and write to one deadline, so
that an answer that drips for ever still ends. Bodies are decompressed here, bounded, because a gzip bomb unfolds inside
one chunk. `send` never raises for what the network or the peer does: the answer then has a `failure`.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx
from httpcore._backends.sync import SyncBackend


class FailureKind(StrEnum):
    """Ways in which no good answer arrives."""

    DNS = "dns"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS = "tls"
    RESET = "reset"
    TIMEOUT = "timeout"
    NEVER_ENDS = "never-ends"
    TOO_LARGE = "too-large"
    BAD_ENCODING = "bad-encoding"
    PROTOCOL = "protocol"
    REDIRECT_LOOP = "redirect-loop"
    NO_ADDRESS_FAMILY = "no-address-family"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no good answer, as a sentence without any data."""

    kind: FailureKind
    reason: str

    def __str__(self) -> str:
        return self.reason


class BadBody(ValueError):
    """The body is not what it claims to be; the message holds no data of it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request: seconds, and bytes of the decoded body."""

    connect: float = 3.0
    read: float = 10.0
    total: float = 15.0
    max_body: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds that each phase took; None where it did not happen (a connection that was used again)."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What came back. `body` is decoded and at most `max_body` long; `status` is 0 when nothing came."""

    method: str
    url: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    phases: Phases = Phases()
    reused: bool = False
    failure: Failure | None = None

    def __repr__(self) -> str:
        return f"<Answer {self.method} {self.path} {self.failure.kind if self.failure else self.status}>"

    @property
    def path(self) -> str:
        """The path without its query, which may hold secrets."""
        return urlsplit(self.url).path or "/"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((v for k, v in self.headers if k == name.lower()), None)

    def headers_all(self, name: str) -> list[str]:
        """Every value of a header: some answers carry one twice."""
        return [v for k, v in self.headers if k == name.lower()]

    @property
    def ok(self) -> bool:
        """A 2xx that arrived whole."""
        return self.failure is None and 200 <= self.status < 300

    @property
    def is_html(self) -> bool:
        """The answer says that it is a page."""
        return "html" in (self.header("content-type") or "").lower()

    def text(self) -> str:
        """The body as text; raises BadBody when its charset is unknown or wrong."""
        match = re.search(r"charset=\"?([\w.:-]+)", self.header("content-type") or "")
        charset = match[1] if match else "utf-8"
        try:
            return self.body.decode("utf-8-sig" if charset.lower() in ("utf-8", "utf8") else charset)
        except LookupError:
            raise BadBody(f"the answer names an unknown charset ({len(self.body):,} bytes)") from None
        except UnicodeDecodeError:
            raise BadBody(f"the answer is not {charset} as it says ({len(self.body):,} bytes)") from None

    def json(self) -> Any:
        """The body as JSON; raises BadBody with type and size."""
        try:
            return json.loads(self.text())
        except BadBody:
            raise
        except (ValueError, RecursionError):
            kind = (self.header("content-type") or "no content type").split(";")[0][:60]
            raise BadBody(f"the answer is not JSON ({kind}, {len(self.body):,} bytes)") from None


@lru_cache(maxsize=8)
def shared_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A verifying TLS context, made once: loading the authorities costs 40 ms. `ca_file` adds authorities."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


@dataclass(slots=True)
class _Clock:
    """State of the one request that is under way."""

    now: Callable[[], float]
    deadline: float = 0.0
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    addresses: dict[str, list[str]] = field(default_factory=dict)

    def left(self, timeout: float | None) -> float:
        left = self.deadline - self.now()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)


class _Failed(httpcore.ConnectError):
    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.failure = Failure(kind, reason)


class _Stream(httpcore.NetworkStream):
    """A connection whose every read and write ends at the deadline of the request."""

    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner, self._clock = inner, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._clock.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        begin = self._clock.now()
        try:
            secured = self._inner.start_tls(ssl_context, server_hostname, self._clock.left(timeout))
        except httpcore.TimeoutException:
            raise _Failed(FailureKind.TLS, "the TLS handshake was never finished") from None
        except (httpcore.ConnectError, ssl.SSLError, OSError) as error:
            raise _Failed(FailureKind.TLS, f"TLS handshake failed: {tls_reason(error)}") from None
        self._clock.tls = self._clock.now() - begin
        return _Stream(secured, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Looks names up within bounds, connects, and takes the time of both."""

    def __init__(self, clock: _Clock, limits: Limits, source: str | None) -> None:
        self._clock, self._limits, self._source, self._sync = clock, limits, source, SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        clock, last = self._clock, _Failed(FailureKind.REFUSED, "connection refused")
        begin = clock.now()
        addresses = self._look_up(host, port)
        clock.dns = clock.now() - begin
        begin = clock.now()
        for address in addresses:
            try:
                stream = self._sync.connect_tcp(
                    address, port, clock.left(self._limits.connect), self._source, socket_options
                )
            except httpcore.ConnectTimeout:
                last = _Failed(FailureKind.CONNECT_TIMEOUT, f"no connection within {self._limits.connect:g} s")
            except httpcore.ConnectError as error:
                last = _Failed(*_connect_reason(error))
            else:
                clock.connect = clock.now() - begin
                return _Stream(stream, clock)
        raise last

    def _look_up(self, host: str, port: int) -> list[str]:
        if re.fullmatch(r"[\d.]+|[\da-fA-F:]*:[\da-fA-F:.]*", host):
            return [host]
        if host not in self._clock.addresses:
            found: list[list[str] | OSError] = []

            def ask() -> None:
                try:
                    found.append([str(i[4][0]) for i in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
                except OSError as error:
                    found.append(error)

            # The resolver knows no time-out: it is asked in a thread that nobody waits for longer than allowed.
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            asking.join(self._clock.left(self._limits.connect))
            if not found:
                raise _Failed(FailureKind.DNS, f"the name {host} was not resolved within {self._limits.connect:g} s")
            if isinstance(found[0], OSError):
                raise _Failed(FailureKind.DNS, f"the name {host} does not resolve")
            self._clock.addresses[host] = list(dict.fromkeys(found[0]))
        return self._clock.addresses[host]


class _Transport(httpx.BaseTransport):
    """httpx over a connection pool with our backend."""

    def __init__(self, verify: ssl.SSLContext, backend: _Backend) -> None:
        self._verify, self._backend = verify, backend
        self.pool = self._new_pool()

    def _new_pool(self) -> httpcore.ConnectionPool:
        # A second of silence and the connection is not used again: the peer may be about to close it.
        return httpcore.ConnectionPool(
            ssl_context=self._verify,
            max_connections=4,
            keepalive_expiry=1.0,
            network_backend=self._backend,
        )

    def drop(self) -> None:
        """Forget every connection."""
        self.pool.close()
        self.pool = self._new_pool()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        inner = self.pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(inner.stream, Iterable)
        return httpx.Response(inner.status, headers=inner.headers, stream=_Body(inner), extensions=inner.extensions)

    def close(self) -> None:
        self.pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: httpcore.Response) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._inner.stream, Iterable)
        yield from self._inner.stream

    def close(self) -> None:
        self._inner.close()


class Client:
    """Requests from one source address, over kept-alive connections. A context manager."""

    def __init__(
        self,
        base_url: str,
        *,
        limits: Limits = Limits(),
        headers: Mapping[str, str] | None = None,
        verify: ssl.SSLContext | None = None,
        local_address: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url, self.limits = base_url.rstrip("/") + "/", limits
        self._clock = _Clock(clock)
        self._transport = _Transport(verify or shared_context(), _Backend(self._clock, limits, local_address))
        self._client = httpx.Client(
            transport=self._transport,
            trust_env=False,
            timeout=httpx.Timeout(limits.read, connect=limits.connect, pool=limits.connect),
            headers={"accept": "*/*", "accept-encoding": "gzip, deflate", **(headers or {})},
        )

    def send(
        self,
        method: str,
        where: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        data: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> Answer:
        """Send one request and return what happened; redirects are not followed. `fresh` opens a new connection."""
        url = urljoin(self.base_url, where)
        if fresh:
            self._transport.drop()
        state = self._clock
        begin = state.now()
        state.deadline, state.dns, state.connect, state.tls = begin + self.limits.total, None, None, None
        status, seen, body, first, failure = 0, (), b"", None, None
        try:
            request = self._client.build_request(method, url, headers=headers, json=json, content=content, data=data)
            response = self._client.send(request, stream=True)
            try:
                first = state.now() - begin
                status = response.status_code
                seen = tuple((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.headers.raw)
                body, failure = self._read(response, begin)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001 - whatever the peer does becomes a failure, never a traceback
            failure = self._failure(error, begin, status, len(body))
        if failure:
            self._transport.drop()
        phases = Phases(state.dns, state.connect, state.tls, first, state.now() - begin)
        return Answer(method, url, status, seen, body, phases, state.connect is None, failure)

    def _read(self, response: httpx.Response, begin: float) -> tuple[bytes, Failure | None]:
        encoding = (response.headers.get("content-encoding") or "identity").strip().lower()
        unfold = _DECODERS.get(encoding)
        if unfold is None:
            return b"", Failure(FailureKind.BAD_ENCODING, "the answer is encoded in a way that was not offered")
        decoder, kept, size, raw, most = unfold(), [], 0, 0, self.limits.max_body
        try:
            for chunk in response.iter_raw():
                raw += len(chunk)
                piece = decoder.decompress(chunk, most + 1 - size) if decoder else chunk
                kept.append(piece)
                size += len(piece)
                if size > most:
                    return b"".join(kept)[:most], Failure(FailureKind.TOO_LARGE, f"the answer is over {most:,} bytes")
        except zlib.error:
            return b"".join(kept), Failure(FailureKind.BAD_ENCODING, f"the answer is not {encoding} as it says")
        except Exception as error:  # noqa: BLE001 - as in send: the bytes so far are worth keeping
            return b"".join(kept)[:most], self._failure(error, begin, response.status_code, raw)
        return b"".join(kept), None

    def _failure(self, error: Exception, begin: float, status: int, got: int) -> Failure:
        if isinstance(error, _Failed):
            return error.failure
        took = self._clock.now() - begin
        late = took >= self.limits.total * 0.99
        if isinstance(error, httpcore.TimeoutException | httpx.TimeoutException):
            if status:
                return Failure(FailureKind.NEVER_ENDS, f"the answer never ended: {got:,} bytes in {took:.1f} s")
            what = "no whole answer" if late else "no answer"
            return Failure(FailureKind.TIMEOUT, f"{what} within {took:.1f} s")
        text = str(error)
        if isinstance(error, httpcore.RemoteProtocolError | httpx.RemoteProtocolError):
            if status:
                return Failure(FailureKind.RESET, f"the connection ended after {got:,} bytes of the body")
            if "disconnected" in text or "without sending" in text:
                return Failure(FailureKind.RESET, "the connection was closed without an answer")
            return Failure(FailureKind.PROTOCOL, "what came back is not HTTP")
        if isinstance(error, httpcore.NetworkError | httpx.NetworkError | OSError):
            where = f"after {got:,} bytes of the body" if status else "before an answer"
            return Failure(FailureKind.RESET, f"the connection was reset {where}")
        if isinstance(error, httpcore.LocalProtocolError | httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
            return Failure(FailureKind.PROTOCOL, f"the request cannot be sent ({type(error).__name__})")
        return Failure(FailureKind.PROTOCOL, f"the exchange failed ({type(error).__name__})")

    def get(self, where: str, **options: Any) -> Answer:
        """GET a path or URL."""
        return self.send("GET", where, **options)

    def post(self, where: str, **options: Any) -> Answer:
        """POST to a path or URL."""
        return self.send("POST", where, **options)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_DECODERS: dict[str, Callable[[], Any]] = {
    "identity": lambda: None,
    "": lambda: None,
    "gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "deflate": zlib.decompressobj,
}


def tls_reason(error: Exception) -> str:
    """Why a TLS handshake failed, in words."""
    text = str(error)
    for sign, words in (
        ("certificate has expired", "the certificate has expired"),
        ("not yet valid", "the certificate is not valid yet"),
        ("Hostname mismatch", "the certificate is for another name"),
        ("IP address mismatch", "the certificate is for another name"),
        ("self-signed", "the certificate is self-signed"),
        ("self signed", "the certificate is self-signed"),
        ("unable to get", "the certificate's authority is not known"),
        ("WRONG_VERSION_NUMBER", "the peer does not speak TLS"),
    ):
        if sign in text:
            return words
    code = re.search(r"\[SSL: (\w+)\]", text)
    return code[1].lower().replace("_", " ") if code else "the connection was closed"


def _connect_reason(error: Exception) -> tuple[FailureKind, str]:
    cause = error.__cause__ or error.__context__ or error
    number = getattr(cause, "errno", None)
    import errno

    if number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH):
        return FailureKind.NO_ADDRESS_FAMILY, "this machine has no route of the address family that the name has"
    if number == errno.ECONNREFUSED:
        return FailureKind.REFUSED, "connection refused"
    return FailureKind.REFUSED, f"no connection ({errno.errorcode.get(number or 0, type(cause).__name__)})"
